"""The curves of the report: bounded however much happened, and nothing of the span left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.marts.trends import LANES, PIXELS, Trend, find_trends
from pipelines.points import Point
from pipelines.timeline import DAY_NS, MINUTE_NS, SECOND_NS, Interval, iso, parse
from tests.unit.pipelines.marts.conftest import Land

SPAN = Interval(parse("2026-01-01"), parse("2026-01-02"))
NUMBER = Point("T1", "T1", "number")
HELD = Point("T1", "T1", "number", step=True)
STATE = Point("V1", "V1", "digital", step=True)


def _trend(land: Land, tmp_path: Path, point: Point, rows: list[tuple[int, Any, int]]) -> Trend:
    """`rows`: seconds since the start, number or state, quality."""
    pieces = land([(point.id, iso(SPAN.start_ns + at * SECOND_NS), said, quality) for at, said, quality in rows], SPAN)
    [found] = find_trends([(point, "")], pieces, SPAN, 256 << 20, tmp_path / "scratch")
    return found


def test_a_state_that_changes_all_day_is_drawn_to_the_end(land: Land, tmp_path: Path) -> None:
    rows = [(10 * n, ("Open", "Closed")[n % 2], 192) for n in range(8640)]
    trend = _trend(land, tmp_path, STATE, rows)
    assert max(row["end_ns"] for row in trend.bars) == SPAN.end_ns
    assert len(trend.bars) <= 2 * (PIXELS + 1)
    assert trend.state_times == len(rows) == trend.short_times
    for text in ("Open", "Closed"):
        held = sum(row["share"] * trend.pixel_ns for row in trend.bars if row["text"] == text)
        assert held == pytest.approx(DAY_NS / 2, rel=1e-6)


def test_a_long_state_keeps_its_own_times(land: Land, tmp_path: Path) -> None:
    trend = _trend(land, tmp_path, STATE, [(0, "Open", 192), (3600, "Closed", 192), (3601, "Open", 192)])
    exact = [(row["text"], row["end_ns"] - row["start_ns"]) for row in trend.bars if row["share"] == 1]
    assert exact == [("Open", 3600 * SECOND_NS), ("Open", DAY_NS - 3601 * SECOND_NS)]
    [short] = [row for row in trend.bars if row["share"] < 1]
    assert (short["text"], short["times"], trend.short_times) == ("Closed", 1, 1)
    assert short["end_ns"] - short["start_ns"] == trend.pixel_ns


def test_more_states_than_lanes_share_the_last_one(land: Land, tmp_path: Path) -> None:
    rows = [(n * 900, f"Batch {n:02}", 192) for n in range(96)]
    trend = _trend(land, tmp_path, STATE, rows)
    assert {row["lane"] for row in trend.bars} == set(range(LANES + 1))
    assert {row["lane"] for row in trend.bars if row["text"] is None} == {LANES}
    assert trend.other_states == 96 - LANES
    assert sum(row["end_ns"] - row["start_ns"] for row in trend.bars) == DAY_NS


def test_one_state_more_than_lanes_has_a_lane_of_its_own(land: Land, tmp_path: Path) -> None:
    trend = _trend(land, tmp_path, STATE, [(n * 3600, f"S{n}", 192) for n in range(LANES + 1)])
    assert (trend.other_states, {row["text"] for row in trend.bars}) == (0, {f"S{n}" for n in range(LANES + 1)})


def test_bad_quality_of_a_state_stays_apart(land: Land, tmp_path: Path) -> None:
    trend = _trend(land, tmp_path, STATE, [(0, "Open", 192), (7200, "I/O Timeout", 24)])
    assert [(row["text"], row["bad"]) for row in trend.bars] == [("Open", False), ("I/O Timeout", True)]


def test_a_number_that_is_bad_every_other_second_makes_a_bounded_picture(land: Land, tmp_path: Path) -> None:
    rows = [(n, float(n % 50), 192 if n % 2 else 0) for n in range(0, 20_000)]
    trend = _trend(land, tmp_path, NUMBER, rows)
    assert len(trend.line) <= 4 * (PIXELS + 1)
    assert len(trend.bad_spans) <= PIXELS + 1
    assert trend.bad_times == 10_000 == trend.short_times
    assert {row["part"] for row in trend.line} == {0}, "shorter than a pixel: the line goes on"
    assert trend.bad_spans[3]["share"] == pytest.approx(0.5, abs=0.01)
    assert trend.numbers == {"point": "T1", "numbers": 10_000, "median": 25.0, "least": 1.0, "greatest": 49.0}


def test_the_line_breaks_where_bad_time_can_be_seen(land: Land, tmp_path: Path) -> None:
    rows = [(0, 1.0, 192), (3600, 2.0, 192), (3660, 0.0, 0), (7200, 0.0, 0), (10_800, 3.0, 192)]
    trend = _trend(land, tmp_path, NUMBER, rows)
    assert [(row["value"], row["part"]) for row in trend.line] == [(1.0, 0), (2.0, 0), (3.0, 1)]
    [bad] = trend.bad_spans
    assert (bad["share"], bad["end_ns"] - bad["start_ns"]) == (1, (10_800 - 3660) * SECOND_NS)


def test_a_held_number_is_drawn_as_long_as_it_holds(land: Land, tmp_path: Path) -> None:
    trend = _trend(land, tmp_path, HELD, [(3600, 7.0, 192), (7200, 0.0, 0)])
    times = [(row["t"] - SPAN.start_ns) // MINUTE_NS for row in trend.line]
    assert times == [60, 120]
    trend = _trend(land, tmp_path, HELD, [(3600, 7.0, 192)])
    assert trend.line[-1]["t"] == SPAN.end_ns
