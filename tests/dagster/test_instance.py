"""The instance of a plant: what is rendered, and runs whose process was killed."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import yaml
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from assets_defs.instance import BORN_TAG, HOST_TAG, PID_TAG, fail_dead_runs, own_tags, render
from assets_defs.location import carry_switches, job_origin, render_workspace
from pipelines.plant import load_plant
from resources.outside import Outside


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    """A run that is at work, with a pool slot."""
    job = dg.GraphDefinition(name="g").to_job(name="backfill_pi1")
    run = instance.create_run_for_job(job, tags=tags)
    instance.handle_run_event(run.run_id, _event("PIPELINE_START", run))
    instance.event_log_storage.set_concurrency_slots("source_pi1", 1)
    claim = instance.event_log_storage.claim_concurrency_slot("source_pi1", run.run_id, "pi1__samples")
    assert claim.is_claimed
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.STARTED
    return found


def _event(kind: str, run: dg.DagsterRun) -> Any:
    return dg.DagsterEvent(event_type_value=kind, job_name=run.job_name)


def slots(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info("source_pi1").active_slot_count


def a_dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def test_a_run_of_a_killed_process_is_failed_and_its_slot_freed(stored_instance: Any) -> None:
    run = started(stored_instance, {**own_tags(), PID_TAG: str(a_dead_pid())})
    assert slots(stored_instance) == 1
    assert fail_dead_runs(stored_instance) == [run.run_id]
    found = stored_instance.get_run_by_id(run.run_id)
    assert found.status == dg.DagsterRunStatus.FAILURE
    assert found.tags["dagster/max_retries"] == "0"
    assert slots(stored_instance) == 0
    assert fail_dead_runs(stored_instance) == []


def test_a_dead_run_of_an_older_version_is_found_by_its_old_tags(stored_instance: Any) -> None:
    tags = {HOST_TAG: "ferry/host", PID_TAG: "ferry/pid", BORN_TAG: "ferry/born"}
    dead = {**own_tags(), PID_TAG: str(a_dead_pid())}
    run = started(stored_instance, {tags[name]: value for name, value in dead.items()})
    assert fail_dead_runs(stored_instance) == [run.run_id]


def test_a_pid_that_was_given_to_another_process_is_dead(stored_instance: Any) -> None:
    run = started(stored_instance, {**own_tags(), BORN_TAG: f"{psutil.Process().create_time() - 3600:.0f}"})
    assert fail_dead_runs(stored_instance) == [run.run_id]


@pytest.mark.parametrize(
    "tags",
    [own_tags(), {**own_tags(), HOST_TAG: "another", PID_TAG: "999999999"}, {}],
    ids=["alive", "of another host", "of nobody we know"],
)
def test_other_runs_are_left_alone(stored_instance: Any, tags: dict[str, str]) -> None:
    run = started(stored_instance, tags)
    assert fail_dead_runs(stored_instance) == []
    found = stored_instance.get_run_by_id(run.run_id)
    assert found.status == dg.DagsterRunStatus.STARTED
    assert slots(stored_instance) == 1


def test_a_slot_of_an_ended_run_is_freed(stored_instance: Any) -> None:
    run = started(stored_instance, own_tags())
    stored_instance.report_run_failed(run)
    assert slots(stored_instance) == 1
    assert fail_dead_runs(stored_instance) == []
    assert slots(stored_instance) == 0


def test_the_rendered_file_is_private_and_names_what_it_needs(
    write_plant: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://ferry:hunter2@127.0.0.1:1/x")
    plant = load_plant(write_plant())
    home = render(plant, Outside(plant))
    assert home == tmp_path / ".ferry" / "dagster"
    assert home.is_absolute()
    file = home / "dagster.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text(encoding="utf-8")
    assert "hunter2" not in text
    settings = yaml.safe_load(text)
    assert settings["storage"]["postgres"]["postgres_url"] == {"env": "FERRY_UNIT_DSN"}
    assert settings["concurrency"]["pools"]["default_limit"] == 1
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings["telemetry"]["enabled"] is False
    assert sorted(each.name for each in home.iterdir()) == ["dagster.yaml", "workspace.yaml"]
    assert render(plant, Outside(plant)) == home


def test_switches_stay_when_the_location_gets_its_name(stored_instance: Any, write_plant: Any, tmp_path: Path) -> None:
    """A plant that was followed by its schedules must not stop with an upgrade."""
    render_workspace(load_plant(write_plant()), tmp_path)
    old = tmp_path / "old"
    old.mkdir()
    module = {"python_module": {"module_name": "assets_defs.defs"}}
    (old / "workspace.yaml").write_text(json.dumps({"load_from": [module]}), encoding="utf-8")
    for name, status in (
        ("sync_pi1_schedule", InstigatorStatus.RUNNING),
        ("sweep_pi1_schedule", InstigatorStatus.STOPPED),
    ):
        origin = job_origin(old, "any").repository_origin.get_instigator_origin(name)
        stored_instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("* * * * *"))
        )
    assert set(carry_switches(stored_instance, tmp_path)) == {"sync_pi1_schedule", "sweep_pi1_schedule"}
    found = {each.name: each for each in stored_instance.all_instigator_state()}
    assert len(stored_instance.all_instigator_state()) == 2
    assert {name: each.is_running for name, each in found.items()} == {
        "sync_pi1_schedule": True, "sweep_pi1_schedule": False
    }  # fmt: skip
    assert {each.origin.repository_origin.code_location_origin.location_name for each in found.values()} == {"unit"}
    assert carry_switches(stored_instance, tmp_path) == []


def test_own_tags_find_this_process() -> None:
    tags = own_tags()
    assert tags[HOST_TAG] == socket.gethostname()
    assert tags[PID_TAG] == str(os.getpid())
