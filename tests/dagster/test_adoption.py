"""Windows that are proved in the ledger but not shown by Dagster."""

from __future__ import annotations

from typing import Any

from assets_defs.adoption import adopt, open_pairs
from assets_defs.partitions import key_of
from pipelines.ports import SliceId
from pipelines.timeline import Interval, parse
from tests.dagster.conftest import KEYS, MemoryPlant
from tests.dagster.event_log import materializations, statuses

ALL = Interval(parse("2026-01-01"), parse("2026-01-04"))
FIRST_DAY = Interval(parse("2026-01-01"), parse("2026-01-02"))


def moved(plant: MemoryPlant, *keys: str) -> None:
    """Moves windows without Dagster knowing, as a run does that is killed right after."""
    line, settings = plant.line, plant.settings
    if not plant.ledger.points:
        line.ledger.save_points("pi1", plant.source.points, 1)
    pairs = [
        (group, window) for window in line.windows(settings) for group in line.groups(settings)
        if key_of(group, window) in keys
    ]  # fmt: skip
    results = line.run_pairs(settings, pairs)
    assert all(not result.problems for result in results)


def test_proved_windows_are_adopted_once(memory_plant: MemoryPlant, instance: Any) -> None:
    moved(memory_plant, *KEYS[:3])
    adopted = adopt(memory_plant.line, instance, memory_plant.settings, ALL)
    assert sorted(adopted) == sorted(KEYS[:3])
    found = dict(materializations(instance))
    assert set(found) == set(KEYS[:3])
    assert all(each["events"] == each["points"] * 144 for each in found.values())
    assert all("adopted" in each for each in found.values())
    assert adopt(memory_plant.line, instance, memory_plant.settings, ALL) == []


def test_what_a_run_showed_is_not_adopted_again(memory_plant: MemoryPlant, instance: Any) -> None:
    memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[0])
    moved(memory_plant, KEYS[1])
    assert adopt(memory_plant.line, instance, memory_plant.settings, ALL) == [KEYS[1]]


def test_a_window_that_failed_and_is_proved_since_is_adopted(memory_plant: MemoryPlant, instance: Any) -> None:
    with memory_plant.ledger.lease("pi1", "g000", FIRST_DAY, "somebody else"):
        memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[0])
    assert statuses(instance, memory_plant.defs)[KEYS[0]] == "FAILED"
    assert adopt(memory_plant.line, instance, memory_plant.settings, ALL) == []
    moved(memory_plant, KEYS[0])
    assert adopt(memory_plant.line, instance, memory_plant.settings, ALL) == [KEYS[0]]
    assert statuses(instance, memory_plant.defs)[KEYS[0]] == "MATERIALIZED"


def test_only_windows_of_the_span(memory_plant: MemoryPlant, instance: Any) -> None:
    moved(memory_plant, *KEYS)
    hour = Interval(parse("2026-01-02T10:00:00Z"), parse("2026-01-02T11:00:00Z"))
    adopted = adopt(memory_plant.line, instance, memory_plant.settings, hour)
    assert sorted(adopted) == ["g000|2026-01-02", "g001|2026-01-02"]


def test_open_pairs_are_what_is_missing_or_unproved(memory_plant: MemoryPlant) -> None:
    line, settings = memory_plant.line, memory_plant.settings
    line.ledger.save_points("pi1", memory_plant.source.points, 1)
    assert [key_of(*pair) for pair in sorted(open_pairs(line, settings, ALL))] == sorted(KEYS)
    moved(memory_plant, *KEYS)
    assert open_pairs(line, settings, ALL) == []
    memory_plant.ledger.withdraw(SliceId("pi1", "g001", FIRST_DAY), "restated")
    assert [key_of(*pair) for pair in open_pairs(line, settings, ALL)] == ["g001|2026-01-01"]
