"""Sync, discovery and sweeps as jobs and schedules, over a plant in memory."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets_defs import old_runs
from assets_defs.following import sync_pass
from assets_defs.old_runs import forget_runs
from pipelines.ports import Stop, Unreachable
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, parse
from tests.dagster.conftest import PLANT, POINTS, MemoryPlant, events_of, in_memory
from tests.dagster.event_log import SAMPLES, failure, materializations, observations

NOW_NS = parse("2026-01-03T12:00:00Z")
LATE = dt.datetime(2026, 1, 2, 20, tzinfo=dt.UTC)
SCHEDULES = {"sync_pi1_schedule", "discover_pi1_schedule", "sweep_pi1_schedule"}


@pytest.fixture
def followed(memory_plant: MemoryPlant) -> MemoryPlant:
    """It is noon; sync looks after what is younger than the day's beginning."""
    memory_plant.line.now_ns = lambda: NOW_NS
    memory_plant.source.events = events_of(POINTS, 60)
    memory_plant.ledger.save_points("pi1", POINTS, 1)
    memory_plant.ledger.hand_over("pi1", parse("2026-01-03"))
    return memory_plant


def checks(instance: dg.DagsterInstance) -> list[bool]:
    """What the check `swept` said, oldest first."""
    key = dg.AssetCheckKey(SAMPLES, "swept")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    return [record.event.dagster_event.event_specific_data.passed for record in reversed(records)]


def test_a_pass_moves_and_materializes_once_an_hour(followed: MemoryPlant, instance: Any) -> None:
    result = followed.run(instance, "sync_pi1")
    assert result.success
    found = dict(materializations(instance))
    assert set(found) == {"g000|2026-01-03", "g001|2026-01-03"}
    moved = sum(each["followed_events"] for each in found.values())
    assert moved == len(POINTS) * 72
    assert all(each["followed_up_to"] == "2026-01-03T11:59:00Z" for each in found.values())
    assert followed.run(instance, "sync_pi1").success
    assert len(materializations(instance)) == 2, "every pass leaves events"


def test_runs_of_passes_go_after_a_while_and_what_they_told_of_assets_stays(
    followed: MemoryPlant, stored_instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = followed.run(stored_instance, "sync_pi1").run_id
    other = followed.run(stored_instance, "discover_pi1").run_id
    logs = tmp_path / "instance" / "storage" / first
    assert list(logs.rglob("*.err"))
    told = materializations(stored_instance)
    newest = followed.run(stored_instance, "sync_pi1").run_id
    assert stored_instance.get_run_by_id(first) is not None, "it is of today"
    monkeypatch.setitem(old_runs._KEPT, dg.DagsterRunStatus.SUCCESS, dt.timedelta(seconds=-60))
    for _ in range(2):
        assert followed.run(stored_instance, "discover_pi1").success
    assert stored_instance.get_run_by_id(other) is None, "each job forgets its own, but for the newest"
    assert forget_runs(stored_instance, "sync_pi1") == 1
    assert stored_instance.get_run_by_id(first) is None
    assert stored_instance.get_run_by_id(newest) is not None
    assert not logs.exists()
    assert materializations(stored_instance) == told
    assert told
    monkeypatch.setattr(old_runs, "forget_runs", lambda *_: 1 / 0)
    assert followed.run(stored_instance, "sync_pi1").success, "what is old ends nothing"


def test_a_late_edit_of_a_window_that_is_over_is_told_at_once(followed: MemoryPlant, instance: Any) -> None:
    """So that what is made of its samples can be made again; those of the open window wait for the hour."""
    followed.ledger.handed["pi1"] = parse("2026-01-02")
    assert followed.run(instance, "sync_pi1").success
    told = len(materializations(instance))
    rows = followed.source.events.to_pylist()
    late = next(i for i, row in enumerate(rows) if row["point"] == "A1" and row["time"] > LATE)
    del rows[late]
    followed.source.events = type(followed.source.events).from_pylist(rows, schema=followed.source.events.schema)
    followed.line.now_ns = lambda: NOW_NS + 26 * HOUR_NS
    assert followed.run(instance, "sync_pi1").success
    edited = [key for key, _ in materializations(instance)[told:] if key and key.endswith("2026-01-02")]
    assert len(edited) == 1, materializations(instance)[told:]


def test_a_window_that_the_backfill_has_to_fill_is_not_shown_as_done(followed: MemoryPlant, instance: Any) -> None:
    followed.ledger.handed["pi1"] = parse("2026-01-03T06:00:00Z")
    assert followed.run(instance, "sync_pi1").success
    assert materializations(instance) == []
    assert set(observations(instance)) == {"g000|2026-01-03", "g001|2026-01-03"}
    assert followed.run(instance, "sync_pi1").success
    assert len(observations(instance)) == 2


def test_what_was_kept_before_the_first_pass_is_syncs(
    memory_plant: MemoryPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that began in the last seconds of an hour, before anything else was up."""

    async def first_ns() -> int:
        return parse("2026-01-03T11:59:49Z")

    memory_plant.line.now_ns = lambda: NOW_NS
    for name in ("first_ns", "spare", "let_go"):
        monkeypatch.setattr(memory_plant.source, name, first_ns, raising=False)
    settings = memory_plant.line.plant.source[0]
    assert memory_plant.line.hand_over(settings) == parse("2026-01-03T11:00:00Z") - settings.lateness
    monkeypatch.delattr(memory_plant.source, "first_ns")
    assert memory_plant.line.hand_over(settings) == parse("2026-01-03T11:00:00Z") - settings.lateness, "once for ever"


def test_a_pass_leaves_history_before_the_handover_alone(followed: MemoryPlant, instance: Any) -> None:
    followed.run(instance, "sync_pi1")
    for group in ("g000", "g001"):
        [covered] = followed.ledger.coverage("pi1", group)
        assert covered == Interval(parse("2026-01-03"), parse("2026-01-03T11:59:00Z"))


def test_a_source_that_is_away_or_refuses_fails_the_run_with_one_sentence(followed: MemoryPlant, instance: Any) -> None:
    for error in (Unreachable("nobody answers at pi1"), Stop("the login was refused")):
        followed.outside.failure = error
        result = followed.run(instance, "sync_pi1")
        assert not result.success
        assert failure(result) == str(error)


def test_discovery_is_a_job(followed: MemoryPlant, instance: Any) -> None:
    followed.source.points = [*POINTS[:-1]]
    assert followed.run(instance, "discover_pi1").success
    assert len(followed.line.present(followed.settings)) == len(POINTS) - 1
    assert followed.line.gone(followed.settings).keys() == {POINTS[-1].id}


def test_a_sweep_names_drift_as_a_failed_check_until_it_is_mended(followed: MemoryPlant, instance: Any) -> None:
    followed.line.now_ns = lambda: NOW_NS + 72 * HOUR_NS
    assert followed.run(instance, "backfill_pi1", "g000|2026-01-01", "g001|2026-01-01").success
    assert followed.run(instance, "sweep_pi1").success
    rows = followed.source.events.to_pylist()
    rows[3] = {**rows[3], "value": -7.0}
    followed.source.events = type(followed.source.events).from_pylist(rows, schema=followed.source.events.schema)
    followed.line.now_ns = lambda: NOW_NS + 144 * HOUR_NS
    assert followed.run(instance, "sweep_pi1").success
    assert followed.run(instance, "backfill_pi1", "g000|2026-01-01", "g001|2026-01-01").success
    followed.line.now_ns = lambda: NOW_NS + 288 * HOUR_NS
    assert followed.run(instance, "sweep_pi1").success
    assert checks(instance) == [True, False, True]


def test_schedules_are_off_and_say_what_they_do(followed: MemoryPlant) -> None:
    found = {each.name: each for each in followed.defs.schedules or []}
    assert set(found) == SCHEDULES
    for each in found.values():
        assert isinstance(each, dg.ScheduleDefinition)
        assert each.default_status is dg.DefaultScheduleStatus.STOPPED
        assert each.description
        assert "pi1" in each.description
        assert each.execution_timezone == "UTC"
    sync = found["sync_pi1_schedule"]
    assert isinstance(sync, dg.ScheduleDefinition)
    assert sync.cron_schedule == "* * * * *"


def test_a_pass_that_overruns_is_not_doubled(followed: MemoryPlant, stored_instance: Any) -> None:
    schedule = next(each for each in followed.defs.schedules or [] if each.name == "sync_pi1_schedule")
    assert isinstance(schedule, dg.ScheduleDefinition)

    def tick() -> Any:
        with dg.build_schedule_context(instance=stored_instance) as context:
            return schedule.evaluate_tick(context)

    assert len(tick().run_requests or []) == 1
    job = followed.defs.resolve_job_def("sync_pi1")
    run = stored_instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    skipped = tick()
    assert not skipped.run_requests
    assert "not finished" in (skipped.skip_message or "")
    stored_instance.report_run_failed(run)
    assert len(tick().run_requests or []) == 1


def test_a_source_whose_start_is_in_the_hour_of_the_handover_is_followed_all_the_same(write_plant: Any) -> None:
    text = PLANT.replace("end = 2026-01-04T00:00:00Z\n", "").replace(
        "start = 2026-01-01T00:00:00Z", "start = 2026-01-03T11:20:00Z"
    )
    with in_memory(write_plant(text=text)) as found:
        found.line.now_ns = lambda: NOW_NS - 10 * MINUTE_NS
        found.source.events = events_of(POINTS, 60)
        settings = found.line.plant.source[0]
        assert settings.start > found.line.hand_over(settings)
        done = sync_pass(found.line, settings, 60.0)
        assert set(found.line.followed_to(settings).values()) == {done.up_to_ns}
