"""Marts that follow: what is asked for when, by Dagster's own evaluation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets_defs.automation import FOLLOW
from assets_defs.definitions import build_defs
from assets_defs.partitions import multi_key, window_of
from pipelines.plant import load_plant
from tests.dagster.graph import PLANT

MARTS = [dg.AssetKey(["pi1", name]) for name in ("aggregates", "quality", "exports")]
REPORT = dg.AssetKey(["pi1", "report"])
SAMPLES = dg.AssetKey(["pi1", "samples"])
NOON = dt.datetime(2026, 1, 6, 12, 0, tzinfo=dt.UTC)
OLD, OPEN = "2026-01-02", "2026-01-06"
OPEN_ENDED = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
"""


class Ticks:
    """The sensor's ticks, one after the other."""

    def __init__(self, file: Path, instance: dg.DagsterInstance) -> None:
        self.settings = load_plant(file).source[0]
        self.instance, self.defs, self.cursor = instance, build_defs(file), None

    def at(self, moment: dt.datetime) -> dict[str, set[str | None]]:
        """What a tick asks for, by asset."""
        found = dg.evaluate_automation_conditions(self.defs, self.instance, evaluation_time=moment, cursor=self.cursor)
        self.cursor = found.cursor
        asked = {key: found.get_requested_partitions(key) for key in (*MARTS, REPORT)}
        return {key.path[-1]: keys for key, keys in asked.items() if keys}

    def told(self, *keys: dg.AssetKey, label: str = OLD, group: str = "g000") -> None:
        """A materialization, as a run, sync or a backfill writes it."""
        partition = multi_key(group, window_of(self.settings, label))
        for key in keys:
            partitioned = key != REPORT
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=partition if partitioned else None)
            )


@pytest.fixture
def ticks(tmp_path: Path, instance: Any) -> Ticks:
    file = tmp_path / "ferry.toml"
    file.write_text(OPEN_ENDED, encoding="utf-8")
    return Ticks(file, instance)


def test_history_from_before_is_left_alone(ticks: Ticks) -> None:
    for group in ("g000", "g001"):
        for day in range(1, 6):
            ticks.told(SAMPLES, label=f"2026-01-0{day}", group=group)
    assert ticks.at(NOON) == {}
    assert ticks.at(NOON + dt.timedelta(minutes=1)) == {}


def test_new_samples_have_their_marts_made_once(ticks: Ticks) -> None:
    ticks.at(NOON)
    ticks.told(SAMPLES)
    key = f"g000|{OLD}"
    assert ticks.at(NOON + dt.timedelta(minutes=1)) == {name.path[-1]: {key} for name in MARTS}
    assert ticks.at(NOON + dt.timedelta(minutes=2)) == {}
    ticks.told(*MARTS)
    assert ticks.at(NOON + dt.timedelta(minutes=3)) == {}


def test_what_a_late_edit_touches_is_made_again(ticks: Ticks) -> None:
    ticks.at(NOON)
    ticks.told(SAMPLES)
    ticks.at(NOON + dt.timedelta(minutes=1))
    ticks.told(*MARTS)
    ticks.at(NOON + dt.timedelta(minutes=2))
    ticks.told(SAMPLES)
    assert ticks.at(NOON + dt.timedelta(minutes=3))["aggregates"] == {f"g000|{OLD}"}


def test_marts_of_an_open_window_are_made_once_a_day(ticks: Ticks) -> None:
    ticks.at(NOON)
    for hour in range(1, 6):
        ticks.told(SAMPLES, label=OPEN)
        assert ticks.at(NOON + dt.timedelta(hours=hour)) == {}
    night = dt.datetime(2026, 1, 7, 3, 24, tzinfo=dt.UTC)
    # by then the day is over, and its samples are new: it is asked for at the first look
    assert ticks.at(night)["quality"] == {f"g000|{OPEN}"}
    ticks.told(*MARTS, label=OPEN)
    assert ticks.at(night + dt.timedelta(minutes=1)).keys() <= {"report"}


def test_the_report_is_written_once_a_day_if_its_marts_are_new(ticks: Ticks) -> None:
    ticks.at(NOON)
    ticks.told(*MARTS)
    assert ticks.at(NOON + dt.timedelta(minutes=1)) == {}
    morning = dt.datetime(2026, 1, 7, 4, 54, tzinfo=dt.UTC)
    assert ticks.at(morning) == {"report": {None}}
    ticks.told(REPORT)
    assert ticks.at(morning + dt.timedelta(days=1)) == {}, "nothing is new"


def test_the_sensor_is_off_until_somebody_switches_it_on() -> None:
    defs = build_defs(PLANT)
    repository = defs.get_repository_def()
    sensors = {each.name: each for each in repository.sensor_defs}
    assert sensors.keys() == {"watch", FOLLOW}, "no sensor of Dagster's own beside ours"
    assert sensors[FOLLOW].default_status is dg.DefaultSensorStatus.STOPPED


def test_a_tick_asks_for_much_at_once_as_one_backfill(ticks: Ticks) -> None:
    """Of range runs, by the assets' backfill policy: history makes no run a partition."""
    [sensor] = [each for each in ticks.defs.sensors or [] if each.name == FOLLOW]
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.emit_backfills
