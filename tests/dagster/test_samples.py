"""The samples asset over a plant in memory: one event a window, whatever becomes of the run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets_defs.instance import own_tags
from pipelines.ports import NoRoom, Retry, SliceId, Stop, Unreachable
from pipelines.timeline import DAY_NS, Interval, parse
from tests.dagster.conftest import KEYS, POINTS, MemoryPlant
from tests.dagster.event_log import SAMPLES, failure, materializations, observations, statuses

JOB = "backfill_pi1"
PER_POINT_DAY = 144


def day(number: int) -> Interval:
    start_ns = parse(f"2026-01-0{number}")
    return Interval(start_ns, start_ns + DAY_NS)


def test_every_window_of_a_range_run_has_one_materialization(memory_plant: MemoryPlant, instance: Any) -> None:
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    assert result.success
    found = materializations(instance)
    assert sorted(partition for partition, _ in found) == sorted(KEYS)
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}
    by_key = dict(found)
    assert sum(each["events"] for each in by_key.values()) == len(POINTS) * 3 * PER_POINT_DAY
    for each in by_key.values():
        assert each["dagster/row_count"] == each["events"] == each["moved_events"] == each["points"] * PER_POINT_DAY
        assert f"| {each['events']:,} | {each['events']:,} | {each['events']:,} |" in each["counts"]
        assert each["unproved_points"] == 0
        if each["events"]:
            assert "deep" in each["proof"] or "counted" in each["proof"]
            assert each["picture"].startswith("![events per 20 min](data:image/svg+xml;base64,")
            assert each["events_per_s"] > 0


def test_a_run_says_how_far_it_is(memory_plant: MemoryPlant, instance: Any) -> None:
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    said = [
        record.user_message for record in instance.all_logs(result.run_id) if " of 6 windows" in record.user_message
    ]
    assert [line.partition(",")[0] for line in said] == [
        "1 of 6 windows (17%)", "2 of 6 windows (33%)", "3 of 6 windows (50%)", "4 of 6 windows (67%)",
        "5 of 6 windows (83%)", "6 of 6 windows (100%)",
    ]  # fmt: skip
    assert f"{len(POINTS) * 3 * PER_POINT_DAY:,} events" in said[-1]


def test_a_second_run_changes_no_count(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    first = {key: each["events"] for key, each in materializations(instance)}
    pulls = memory_plant.source.pulls
    memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    again = materializations(instance)[len(KEYS) :]
    assert {key: each["events"] for key, each in again} == first
    assert {each["moved_events"] for _, each in again} == {0}
    assert all("Nothing was to do" in each["slices"] for _, each in again)
    assert memory_plant.source.pulls == pulls


def test_a_rectangle_is_only_the_rectangle(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.run(instance, JOB, "g001|2026-01-02", "g001|2026-01-03")
    shown = statuses(instance, memory_plant.defs)
    assert {key for key, status in shown.items() if status} == {"g001|2026-01-02", "g001|2026-01-03"}


def test_a_single_partition(memory_plant: MemoryPlant, instance: Any) -> None:
    job = memory_plant.defs.resolve_job_def(JOB)
    result = job.execute_in_process(instance=instance, partition_key="g000|2026-01-02", raise_on_error=False)
    assert result.success
    assert [key for key, _ in materializations(instance)] == ["g000|2026-01-02"]


def test_windows_that_are_through_count_when_another_is_not(memory_plant: MemoryPlant, instance: Any) -> None:
    with memory_plant.ledger.lease("pi1", "g001", day(2), "somebody else"):
        result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    assert not result.success
    lost = "g001|2026-01-02"
    found = materializations(instance)
    assert sorted(key for key, _ in found) == sorted(set(KEYS) - {lost})
    assert all(each["events"] == each["points"] * PER_POINT_DAY for _, each in found)
    shown = statuses(instance, memory_plant.defs)
    assert {key for key, status in shown.items() if status == "FAILED"} == {lost}
    assert "held" in observations(instance)[lost]
    assert list(observations(instance)) == [lost]
    assert failure(result).startswith("1 of 6 windows are not through. g001|2026-01-02: ")
    again = memory_plant.run(instance, JOB, lost, lost)
    assert again.success
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (Stop("the password is wrong"), False),
        (NoRoom("the disk is full"), False),
        (Unreachable("nobody answers"), True),
    ],
)
def test_what_ends_the_run_leaves_what_was_through(
    memory_plant: MemoryPlant, instance: Any, error: Exception, retries: bool
) -> None:
    memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-01")

    def refuse(what: str) -> None:
        if what == "pull":
            raise error

    memory_plant.source.hook = refuse
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    assert not result.success
    assert failure(result) == str(error)
    shown = statuses(instance, memory_plant.defs)
    assert {key for key, status in shown.items() if status == "MATERIALIZED"} >= {KEYS[0], KEYS[1]}
    failed = {key for key, status in shown.items() if status == "FAILED"}
    assert failed
    said = observations(instance)
    assert set(said) == failed
    assert all(str(error) in each for each in said.values())
    exception = result.failure_data_for_node("pi1__samples").user_failure_data
    assert exception is not None
    assert exception.label == "intentional-failure"
    step = next(event for event in result.all_events if event.is_step_failure)
    assert "windows" in exception.metadata, step
    raised = _raised(memory_plant, instance)
    assert raised.allow_retries is retries


def _raised(plant: MemoryPlant, instance: dg.DagsterInstance) -> dg.Failure:
    job = plant.defs.resolve_job_def(JOB)
    with pytest.raises(dg.Failure) as caught:
        job.execute_in_process(instance=instance, partition_key="g000|2026-01-03")
    return caught.value


def test_an_interrupt_leaves_what_was_through(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-01")

    def interrupt(what: str) -> None:
        if what == "pull":
            raise KeyboardInterrupt

    memory_plant.source.hook = interrupt
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    assert not result.success
    newest = [key for key, _ in materializations(instance)][2:]
    assert set(newest) <= {KEYS[0], KEYS[1]}
    assert all(each == "not reached: the run was stopped" for each in observations(instance).values())
    assert len(newest) + len(observations(instance)) == len(KEYS)


def test_without_partitions_there_is_one_clear_error(memory_plant: MemoryPlant, instance: Any) -> None:
    result = memory_plant.run(instance, JOB)
    assert not result.success
    assert failure(result).startswith("No partitions were chosen.")
    assert '{"dagster/asset_partition_range_start": "g000|2026-01-01", ' in failure(result)
    assert '"dagster/asset_partition_range_end": "g001|2026-01-03"}' in failure(result)
    assert materializations(instance) == []
    assert memory_plant.source.pulls == 0


def test_a_first_run_asks_for_the_points(memory_plant: MemoryPlant, instance: Any) -> None:
    assert memory_plant.ledger.points == []
    memory_plant.run(instance, JOB, KEYS[0], KEYS[0])
    assert memory_plant.ledger.points == POINTS


def test_a_source_that_shows_no_points_is_not_an_empty_one(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.source.points = []
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-03")
    assert not result.success
    assert "shows none of the points" in failure(result)
    assert memory_plant.ledger.covering == {}


def test_a_run_may_be_limited_to_points_and_a_span(memory_plant: MemoryPlant, instance: Any) -> None:
    config = {"points": ["A*"], "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T12:00:00Z"}
    run_config = {"ops": {"pi1__samples": {"config": config}}}
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-01", run_config)
    assert result.success
    half = [part for parts in memory_plant.ledger.covering.values() for part in parts]
    assert {part.end_ns for part in half} <= {parse("2026-01-01T12:00:00Z")}
    assert {key[1] for key in memory_plant.store.rows} <= {"A1", "A2"}


def test_a_quarantined_slice_fails_its_window(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-01")
    for group in ("g000", "g001"):
        memory_plant.ledger.withdraw(SliceId("pi1", group, day(1)), "restated")
    memory_plant.source.events = memory_plant.source.events.slice(0, 0)
    result = memory_plant.run(instance, JOB, "g000|2026-01-01", "g001|2026-01-01")
    assert not result.success
    assert any("quarantine" in each for each in observations(instance).values())


def test_the_process_of_a_run_is_written_down(memory_plant: MemoryPlant, instance: Any) -> None:
    result = memory_plant.run(instance, JOB, KEYS[0], KEYS[0])
    run = instance.get_run_by_id(result.run_id)
    assert own_tags().keys() <= set(run.tags)
    assert all(name.startswith(".dagster/") for name in own_tags()), "Dagster shows no such tags"


def test_a_source_that_comes_back_is_retried_by_nobody_but_the_next_run(
    memory_plant: MemoryPlant, instance: Any
) -> None:
    def away(what: str) -> None:
        if what == "pull":
            raise Retry("the archive is not mounted")

    memory_plant.source.hook = away
    result = memory_plant.run(instance, JOB, KEYS[0], KEYS[-1])
    assert not result.success
    steps = [event for event in result.all_events if event.event_type_value in {"STEP_UP_FOR_RETRY", "STEP_RESTARTED"}]
    assert steps == []
    assert instance.get_runs_count() == 1
    assert SAMPLES in instance.all_asset_keys() or observations(instance)
