"""What a run was asked for by its tags is what it does, or it fails and says why.

Dagster's own reading of the tags of a range beside those of one partition is the one (dagster-io/dagster#28861).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from dagster_shared.check import CheckError

from assets_defs.partitions import RANGE_END, RANGE_START, key_of
from pipelines.timeline import missing, parse
from tests.dagster.conftest import KEYS, MemoryPlant
from tests.dagster.event_log import SAMPLES, failure, materializations, statuses

PARTITION, GROUP, WINDOW = "dagster/partition", "dagster/partition/point_group", "dagster/partition/window"
ALL = {RANGE_START: KEYS[0], RANGE_END: KEYS[-1]}
ONE_OF_THEM = {GROUP: "g000", WINDOW: "2026-01-01"}


def ran(
    plant: MemoryPlant, instance: dg.DagsterInstance, tags: Mapping[str, str], job: str = "backfill_pi1"
) -> dg.ExecuteInProcessResult:
    return plant.defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def covered(plant: MemoryPlant) -> set[str]:
    """Keys of the partitions that the ledger holds as proved."""
    settings = plant.settings
    return {
        key_of(group, window)
        for window in settings.windows(parse("2026-01-04"))
        for group in ("g000", "g001")
        if not missing(window, plant.ledger.coverage("pi1", group))
    }


def test_a_range_beside_one_of_its_partitions_is_the_range(memory_plant: MemoryPlant, instance: Any) -> None:
    assert ran(memory_plant, instance, ALL | ONE_OF_THEM).success
    assert covered(memory_plant) == set(KEYS)
    found = materializations(instance)
    assert sorted(key or "" for key, _ in found) == sorted(KEYS), "one event for every partition"
    assert all(each["events"] == each["moved_events"] for _, each in found)
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}


def test_the_same_holds_for_the_marts(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.store.__dict__["write_aggregates"] = lambda *_: None
    assert ran(memory_plant, instance, ALL).success
    assert ran(memory_plant, instance, ALL | ONE_OF_THEM, "marts_pi1").success
    for name in ("aggregates", "quality", "exports"):
        found = materializations(instance, dg.AssetKey(["pi1", name]))
        assert sorted(key or "" for key, _ in found) == sorted(KEYS)
    made = (memory_plant.line.plant.state_dir / "marts").rglob("interval=1h/*/*/*.parquet")
    assert {f"{path.stem[6:]}|{path.parent.name[7:]}" for path in made} == set(KEYS), "files on disk, not the UI's word"


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (
            {RANGE_START: "g001|2026-01-02", RANGE_END: "g001|2026-01-03", **ONE_OF_THEM},
            "g000|2026-01-01, too, which is not among g001|2026-01-02 to g001|2026-01-03",
        ),
        ({**ALL, WINDOW: "2026-01-01"}, "2026-01-01, too, which is not among"),
        ({PARTITION: "g000|2026-01-01", GROUP: "g001", WINDOW: "2026-01-01"}, "g001|2026-01-01, too"),
        ({RANGE_START: KEYS[-1], RANGE_END: KEYS[0]}, "no partitions from g001|2026-01-03 to g000|2026-01-01"),
        ({PARTITION: "g000|2027-01-01"}, "no partitions from g000|2027-01-01"),
        ({PARTITION: "g000"}, "no partitions from g000 to g000"),
        (ONE_OF_THEM, "No partitions were chosen"),
    ],
    ids=[
        "another partition beside the range", "half a partition beside it", "two partitions",
        "a range that runs backwards", "unknown", "half a key", "dimensions alone",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_fails_before_anything_is_done(
    memory_plant: MemoryPlant, instance: Any, tags: dict[str, str], said: str
) -> None:
    result = ran(memory_plant, instance, tags)
    assert not result.success
    assert said in failure(result)
    exception = result.failure_data_for_node("pi1__samples").user_failure_data
    assert exception is not None
    assert exception.label == "intentional-failure"
    assert materializations(instance) == []
    assert covered(memory_plant) == set()
    assert memory_plant.source.pulls == 0


@pytest.mark.parametrize(
    "tags",
    [
        {**ALL, PARTITION: KEYS[0]},
        {RANGE_START: KEYS[0]},
        {RANGE_START: KEYS[0], RANGE_END: "g001|2026-02-01"},
        {RANGE_START: "g000", RANGE_END: "g001"},
    ],
    ids=["a partition beside a range", "half a range", "beyond the end", "half keys"],
)
def test_dagster_itself_refuses_these(memory_plant: MemoryPlant, instance: Any, tags: dict[str, str]) -> None:
    """If it no longer does, `keys_or_failure` has to."""
    with pytest.raises((dg.DagsterInvariantViolationError, CheckError)):
        ran(memory_plant, instance, tags)
    assert covered(memory_plant) == set()


def test_a_failed_window_of_such_a_run_is_the_only_one(memory_plant: MemoryPlant, instance: Any) -> None:
    window = memory_plant.settings.windows(parse("2026-01-04"))[1]
    with memory_plant.ledger.lease("pi1", "g001", window, "somebody else"):
        assert not ran(memory_plant, instance, ALL | ONE_OF_THEM).success
    lost = key_of("g001", window)
    assert {key for key, each in statuses(instance, memory_plant.defs).items() if each == "FAILED"} == {lost}
    assert sorted(key or "" for key, _ in materializations(instance)) == sorted(set(KEYS) - {lost})


def test_a_partition_has_no_tags_but_its_name(memory_plant: MemoryPlant) -> None:
    """A backfill from a job's page gives each of its range runs all tags of its first partition but the name."""
    for name in ("samples", "aggregates"):
        node = memory_plant.defs.resolve_asset_graph().get(dg.AssetKey(["pi1", name]))
        assert node.partitions_def is not None
        assert node.partitions_def.get_tags_for_partition_key(KEYS[0]) == {PARTITION: KEYS[0]}


def test_a_single_partition_is_itself(memory_plant: MemoryPlant, instance: Any) -> None:
    for tags in ({PARTITION: KEYS[0]}, {PARTITION: KEYS[0], **ONE_OF_THEM}):
        assert ran(memory_plant, instance, tags).success
    assert [key for key, _ in materializations(instance)] == [KEYS[0]] * 2
    assert covered(memory_plant) == {KEYS[0]}
    records = instance.fetch_materializations(SAMPLES, limit=10).records
    assert all(record.asset_materialization.tags[GROUP] == "g000" for record in records), "found by its dimensions"
