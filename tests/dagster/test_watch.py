"""The sensor that watches a plant: checks in the UI, and one message when something goes wrong and when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

import assets_defs.watch
from assets_defs.following import sync_pass
from assets_defs.watch import changes
from pipelines.ports import Exclusion, Unreachable
from pipelines.timeline import HOUR_NS, Interval, parse
from pipelines.transfer import DRIFT
from tests.dagster.conftest import PLANT, POINTS, MemoryFerry, MemoryPlant, events_of, in_memory
from tests.dagster.event_log import SAMPLES

NOW_NS = parse("2026-01-03T12:00:00Z")


@pytest.fixture
def plant(write_plant: Any) -> Iterator[MemoryPlant]:
    text = PLANT.replace("end = 2026-01-04T00:00:00Z\n", "") + '[notify]\nwebhook_env = "FERRY_HOOK"\n'
    with in_memory(write_plant(text=text)) as found:
        found.line.now_ns = lambda: NOW_NS
        found.source.events = events_of(POINTS, 60)
        found.ledger.save_points("pi1", POINTS, 1)
        found.ledger.hand_over("pi1", parse("2026-01-03"))
        yield found


class Watch:
    """Ticks of the sensor, and what people are told."""

    def __init__(self, plant: MemoryPlant, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plant, self.instance, self.cursor = plant, instance, None
        self.told: list[list[str]] = []

        def tell(_: Any, subject: str, lines: list[str]) -> list[str]:
            assert "unit" in subject
            self.told.append(lines)
            return []

        monkeypatch.setattr(assets_defs.watch.Notifier, "tell", tell)
        [self.sensor] = [each for each in plant.defs.sensors or [] if each.name == "watch"]

    def tick(self) -> str:
        ferry = MemoryFerry(plant_file=str(self.plant.file))
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources={"ferry": ferry}) as context:
            found = self.sensor.evaluate_tick(context)  # type: ignore[union-attr]
        self.cursor = found.cursor
        return found.skip_message or ""

    def check(self, name: str) -> list[bool]:
        key = dg.AssetCheckKey(SAMPLES, name)
        records = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        return [record.event.dagster_event.event_specific_data.passed for record in reversed(records)]


@pytest.fixture
def watch(plant: MemoryPlant, stored_instance: Any, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(plant, stored_instance, monkeypatch)


def test_a_plant_that_is_well_is_quiet(watch: Watch) -> None:
    watch.plant.run(watch.instance, "sync_pi1")
    assert watch.tick() == watch.tick() == "All is well."
    assert watch.told == []
    assert watch.check("fresh") == []


def test_points_that_vanish_together_are_told_and_fail_the_check(watch: Watch) -> None:
    plant = watch.plant
    plant.source.points = POINTS[:2]
    assert plant.run(watch.instance, "discover_pi1").success
    assert "2 points are no longer listed by source 'pi1'" in watch.tick()
    assert [len(lines) for lines in watch.told] == [1]
    line = plant.line
    found = sync_pass(line, plant.settings, 60.0)
    assert [problem for problem in found.problems if "no longer listed" in problem]
    job = plant.defs.resolve_implicit_global_asset_job_def()
    keys = {dg.AssetCheckKey(SAMPLES, "coverage")}
    subset = job.get_subset(asset_selection=set(), asset_check_selection=keys)
    [result] = subset.execute_in_process(instance=watch.instance).get_asset_check_evaluations()
    assert not result.passed
    assert "B1, B2" in (result.description or "")
    plant.source.points = POINTS
    assert plant.run(watch.instance, "discover_pi1").success
    assert "no longer listed" not in watch.tick()
    assert watch.told[-1][0].startswith("over: ")


def test_groups_that_are_behind_are_told_once_and_once_when_it_is_over(watch: Watch) -> None:
    watch.plant.run(watch.instance, "sync_pi1")
    watch.plant.line.now_ns = lambda: NOW_NS + HOUR_NS
    for _ in range(3):
        assert "2 of 2 groups are behind, most g000 by 61 min" in watch.tick()
    assert len(watch.told) == 1
    watch.plant.run(watch.instance, "sync_pi1")
    assert watch.tick() == "All is well."
    assert [lines[0].startswith("over: ") for lines in watch.told] == [False, True]
    assert watch.check("fresh") == [False, True]


def test_drift_is_told_and_fails_its_check(watch: Watch) -> None:
    watch.plant.run(watch.instance, "sync_pi1")
    span = Interval(parse("2026-01-03"), parse("2026-01-03T01:00:00Z"))
    watch.plant.ledger.exclude([Exclusion("pi1", "g000", "A1", span, DRIFT)])
    assert "1 points have drifted" in watch.tick()
    watch.plant.ledger.open = []
    watch.tick()
    assert [len(lines) for lines in watch.told] == [1, 1]
    assert watch.check("swept") == [False, True]


def test_a_run_that_fails_every_minute_is_told_once_with_its_reason(watch: Watch) -> None:
    watch.plant.outside.failure = Unreachable("nobody answers at pi1")
    for _ in range(3):
        assert not watch.plant.run(watch.instance, "sync_pi1").success
        watch.tick()
    assert watch.told == [["the newest run of sync_pi1 failed: nobody answers at pi1"]]
    watch.plant.outside.failure = None
    assert watch.plant.run(watch.instance, "sync_pi1").success
    watch.tick()
    assert watch.told[1:] == [["over: the newest run of sync_pi1 failed: nobody answers at pi1"]]


def test_without_the_ledger_what_was_wrong_stays_wrong(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.plant.run(watch.instance, "sync_pi1")
    watch.plant.line.now_ns = lambda: NOW_NS + HOUR_NS
    watch.tick()
    before = json.loads(watch.cursor or "{}")

    def gone(*_: Any) -> Any:
        raise Unreachable("PostgreSQL does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(watch.plant.ledger, "handover", gone)
        watch.tick()
        watch.tick()
    assert watch.told[1:] == [["PostgreSQL does not answer"]]
    watch.tick()
    assert watch.told[2:] == [["over: PostgreSQL does not answer"]]
    assert json.loads(watch.cursor or "{}") == before


def test_it_is_on_where_somebody_is_to_be_told(plant: MemoryPlant) -> None:
    [on] = [each for each in plant.defs.sensors or [] if each.name == "watch"]
    assert on.default_status is dg.DefaultSensorStatus.RUNNING  # type: ignore[union-attr]


def test_it_is_off_where_nobody_is_to_be_told(memory_plant: MemoryPlant) -> None:
    [off] = [each for each in memory_plant.defs.sensors or [] if each.name == "watch"]
    assert off.default_status is dg.DefaultSensorStatus.STOPPED  # type: ignore[union-attr]
    assert "[notify]" in (off.description or "")


def test_only_what_is_new_or_over_is_news() -> None:
    assert changes({}, {"a": "A"}) == ["A"]
    assert changes({"a": "A"}, {"a": "A for 3 min", "b": "B"}) == ["B"]
    assert changes({"a": "A", "b": "B"}, {"b": "B"}) == ["over: A"]
