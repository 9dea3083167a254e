"""Real servers, a stand-in plant, Dagster's daemon and webserver: what an operator does, over GraphQL and the shell."""

from __future__ import annotations

import json

import pytest

from tests.dagster.real_plant import KEYS, SAMPLES, RealPlant, held
from tests.dagster.webserver import Webserver, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RANGE = json.dumps({"dagster/asset_partition_range_start": KEYS[0], "dagster/asset_partition_range_end": KEYS[-1]})


def test_a_backfill_over_graphql_and_once_more(real_plant: RealPlant, webserver: Webserver) -> None:
    backfill = webserver.backfill(SAMPLES, KEYS)
    assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    stats = webserver.asset(SAMPLES)["partitionStats"]
    assert (stats["numMaterialized"], stats["numFailed"], stats["numPartitions"]) == (6, 0, 6)
    first, counts = held(webserver), real_plant.recount()
    assert not counts.drift
    assert not counts.unproved
    assert sum(first.values()) == counts.source_events == counts.landed_events == counts.stored_events > 100_000
    events = webserver.asset(SAMPLES)["assetMaterializations"]
    assert sorted(each["partition"] for each in events) == sorted(KEYS)

    again = webserver.backfill(SAMPLES, KEYS)
    assert webserver.wait_for_backfill(again) == "COMPLETED_SUCCESS"
    assert len(webserver.asset(SAMPLES)["assetMaterializations"]) == 2 * len(KEYS)
    assert held(webserver) == first
    after = real_plant.recount()
    assert (after.source_events, after.stored_events) == (counts.source_events, counts.stored_events)


def test_a_job_is_launched_from_a_clean_shell(real_plant: RealPlant, webserver: Webserver) -> None:
    launched = real_plant.command(
        "dagster", "job", "launch", "-w", str(real_plant.home / "workspace.yaml"), "-j", "backfill_pi1", "--tags", RANGE
    )
    assert launched.returncode == 0, launched.stderr
    assert "BetaWarning" not in launched.stderr
    run = wait_for(
        lambda: webserver.runs(dagster__asset_partition_range_start=KEYS[0]),
        lambda runs: any(run["jobName"] == "backfill_pi1" and run["status"] in {"SUCCESS", "FAILURE"} for run in runs),
        180,
    )
    assert [each["status"] for each in run if each["jobName"] == "backfill_pi1"] == ["SUCCESS"]


def test_the_daemon_watches_the_plant(webserver: Webserver) -> None:
    found = wait_for(lambda: webserver.sensor("watch"), lambda state: bool(state["ticks"]), 120)
    assert found["status"] == "RUNNING"
    assert [(each["status"], each["error"]) for each in found["ticks"]] == [("SKIPPED", None)] * len(found["ticks"])
    assert all(each["skipReason"] for each in found["ticks"])


def test_a_schedule_that_somebody_paused_is_seen_in_the_status(real_plant: RealPlant, webserver: Webserver) -> None:
    name = "discover_pi1_schedule"

    def told() -> str:
        done = real_plant.command("ferry", "status", "--json")
        [source] = json.loads(done.stdout.splitlines()[-1])["sources"]
        assert f"{name} {source['schedules'][name]}" in done.stdout + done.stderr
        return source["schedules"][name]

    assert told() == "off"
    started = webserver.start_schedule(name)
    assert told() == "on"
    webserver.stop_schedule(started)
    assert told() == "paused"


@pytest.mark.parametrize("job", ["backfill_pi1", "marts_pi1"])
def test_without_partitions_there_is_one_clear_error(real_plant: RealPlant, webserver: Webserver, job: str) -> None:
    tags = json.dumps({"test": job})
    launched = real_plant.command(
        "dagster", "job", "launch", "-w", str(real_plant.home / "workspace.yaml"), "-j", job, "--tags", tags
    )
    assert launched.returncode == 0, launched.stderr
    (run,) = wait_for(lambda: webserver.runs(test=job), lambda runs: bool(runs) and runs[0]["status"] == "FAILURE", 180)
    said = [json.dumps(each) for each in webserver.events(run["runId"]) if "No partitions were chosen" in str(each)]
    assert said
    assert any(KEYS[0] in each and KEYS[-1] in each for each in said)
    assert {"key": "dagster/will_retry", "value": "true"} not in run["tags"]


@pytest.mark.long
def test_all_partitioned_assets_in_one_backfill(real_plant: RealPlant, webserver: Webserver) -> None:
    keys = [("pi1", name) for name in ("samples", "aggregates", "quality", "exports")]
    backfill = webserver.backfill(SAMPLES, KEYS, assetSelection=[{"path": list(key)} for key in keys])
    assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    for key in keys:
        stats = webserver.asset(key)["partitionStats"]
        assert (stats["numMaterialized"], stats["numFailed"]) == (6, 0), key


@pytest.mark.long
def test_wrong_credentials_are_said_once_and_not_tried_again(real_plant: RealPlant, webserver: Webserver) -> None:
    real_plant.withdraw(*KEYS[:3])
    with real_plant.fault(kind="401", times=-1):
        backfill = webserver.backfill(SAMPLES, KEYS[:3])
        assert "FAILED" in webserver.wait_for_backfill(backfill)
        runs = webserver.runs(dagster__backfill=backfill)
    assert len(runs) == 1
    assert {"key": "dagster/will_retry", "value": "false"} in runs[0]["tags"]
    asset = webserver.asset(SAMPLES)
    assert asset["partitionStats"]["numFailed"] == 3
    said = [each for each in asset["assetObservations"] if each["runId"] == runs[0]["runId"]]
    reasons = {each["partition"]: each["description"] for each in said}
    assert all("FERRY_TEST_PI" in reasons[key] or "401" in reasons[key] for key in KEYS[:3]), reasons
    assert "ferry-demo" not in json.dumps(webserver.events(runs[0]["runId"]))
    again = webserver.backfill(SAMPLES, KEYS[:3])
    assert webserver.wait_for_backfill(again) == "COMPLETED_SUCCESS"
    assert webserver.asset(SAMPLES)["partitionStats"]["numFailed"] == 0
