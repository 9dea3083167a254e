"""The audit of clocks: offset, drift and jumps a day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.marts import CLOCKS_SCHEMA, Landed, MartInput, build_clocks
from pipelines.points import Point, point_id
from pipelines.timeline import HOUR_NS, Interval, iso, parse
from tests.unit.pipelines.marts.conftest import Land

START = parse("2026-03-01")
WINDOW = Interval(START, START + 48 * HOUR_NS)
NAMES = ("clock.kiln.server", "clock.kiln.source", "Druck")
POINTS = [Point(point_id(name), name, "number", unit="s") for name in NAMES]


def rows(name: str, offsets: dict[int, float]) -> list[tuple[str, str, Any, int]]:
    """Hour → offset."""
    return [(point_id(name), iso(START + hour * HOUR_NS), value, 192) for hour, value in offsets.items()]


def built(land: Land, tmp_path: Path, told: list[tuple[str, str, Any, int]]) -> list[dict[str, Any]]:
    pieces = land(told, WINDOW)
    given = MartInput({"g000": Landed(POINTS, pieces)}, WINDOW, tmp_path / "marts", 64 << 20, "line1")
    made = build_clocks(given)["clocks"]["g000"]
    table = pq.read_table(made.path, partitioning=None)
    assert table.schema == CLOCKS_SCHEMA
    assert made.rows == table.num_rows
    return table.to_pylist()


def test_a_clock_that_drifts_and_one_that_jumps(land: Land, tmp_path: Path) -> None:
    drifting = {hour: hour * 0.01 for hour in range(48)}
    jumping = {0: 0.1, 1: 0.1, 2: 3600.1, 30: 0.2}
    told = rows(NAMES[0], drifting) + rows(NAMES[1], jumping) + rows("Druck", {0: 5.0})
    first, second, third, fourth = built(land, tmp_path, told)
    assert first["point"] == second["point"] == "clock.kiln.server"
    assert (first["tellings"], first["first_s"], first["jumps"]) == (24, 0.0, 0)
    assert first["most_s"] == pytest.approx(0.23)
    assert first["drift_s_per_day"] == pytest.approx(0.24) == second["drift_s_per_day"]
    assert third["jumps"] == 1 and third["largest_step_s"] == pytest.approx(3600.0)
    assert fourth["jumps"] == 1, "set back on the next day"


def test_without_clocks_there_is_an_empty_file(land: Land, tmp_path: Path) -> None:
    assert built(land, tmp_path, rows("Druck", {0: 5.0})) == []
    assert built(land, tmp_path, []) == []
