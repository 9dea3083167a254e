"""Wide tables against a slow reference that asks for every cell anew, in plain Python."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.landing import Piece
from pipelines.marts import RULES, Rule, WideInput, write_wide
from pipelines.points import Point
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, parse, subtract
from tests.property.landed import land_events

START = parse("2026-01-31T23:00:00Z")
SPAN = Interval(START, START + 2 * HOUR_NS + 90_000_000_000)
REACH = Interval(START - HOUR_NS, START + 4 * HOUR_NS)
POINTS = [
    Point("line", "line", "number"),
    Point("step", "step", "number", step=True),
    Point("état", "état", "digital"),
]

offsets = st.one_of(
    st.integers(-60, 239).map(lambda minute: minute * MINUTE_NS),  # on rows, and ties
    st.integers(-HOUR_NS, 4 * HOUR_NS - 1),
)
numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf]))
events = st.tuples(
    st.sampled_from([point.id for point in POINTS]),
    offsets,
    st.one_of(numbers, numbers, st.sampled_from(["I/O Timeout", "Open", ""])),
    st.sampled_from([192, 192, 64, 0]),
)
holes = st.lists(st.tuples(st.integers(-60, 230), st.integers(1, 50)), max_size=2)
Event = tuple[int, Any, Any]  # time; number and state, None where it is not usable as such


@settings(max_examples=80, deadline=None)
@given(
    st.lists(events, min_size=4, max_size=30),
    st.sampled_from(RULES),
    st.sampled_from([MINUTE_NS, 7 * MINUTE_NS, HOUR_NS]),
    st.sampled_from([None, 1, MINUTE_NS, 20 * MINUTE_NS]),
    holes,
    holes,
)
def test_a_wide_table_is_what_a_walk_gives(
    rows: list[Any], rule: Rule, every_ns: int, tolerance_ns: int | None, unmoved: list[Any], excepted: list[Any]
) -> None:
    rows = sorted(rows, key=lambda row: (row[0], row[1]))
    moved = subtract([REACH], _holes(unmoved))
    covered = {point.id: moved for point in POINTS}
    covered["line"] = subtract(moved, _holes(excepted))
    with tempfile.TemporaryDirectory() as folder:
        path = land_events(rows, POINTS, START, Path(folder))
        cut = [part for span in moved for part in (span.intersect(each) for each in _thirds()) if part]
        pieces = [Piece(path, span) for span in cut]
        table = WideInput(POINTS, pieces, pieces, pieces, covered, SPAN, Path(folder) / "out", "s", ("*",), 256 << 20,
                          every_ns, rule, tolerance_ns)  # fmt: skip
        got = pq.read_table(write_wide(table).path).to_pylist()
    walks = {
        point.id: [_event(point, row) for row in rows if row[0] == point.id and _holds(moved, START + row[1])]
        for point in POINTS
    }
    first = -(-SPAN.start_ns // every_ns)
    last = SPAN.end_ns // every_ns if rule == "time-weighted" else -(-SPAN.end_ns // every_ns)
    assert len(got) == last - first
    for row, place in zip(got, range(first, last), strict=True):
        at = place * every_ns
        assert row["time"].timestamp() * 1e9 == at
        for point in POINTS:
            known = _Known(walks[point.id], covered[point.id], tolerance_ns, point.id == "line" and rule != "last")
            numeric = point.kind == "number"
            wanted = known.mean(at, at + every_ns) if numeric and rule == "time-weighted" else known.at(at, numeric)
            assert row[point.name] == (wanted if isinstance(wanted, str | None) else pytest.approx(wanted, 1e-9, 1e-6))


class _Known:
    def __init__(self, walk: list[Event], covered: list[Interval], tolerance_ns: int | None, lines: bool) -> None:
        self.walk, self.covered, self.lines = walk, covered, lines
        self.tolerance_ns = 10**18 if tolerance_ns is None else tolerance_ns

    def at(self, at: int, numeric: bool) -> Any:
        """What the point is at an instant."""
        told = [place for place, event in enumerate(self.walk) if event[0] <= at]
        if not told:
            return None
        time, number, state = self.walk[told[-1]]
        inside = [each.end_ns for each in self.covered if each.start_ns <= time < each.end_ns and at < each.end_ns]
        if not inside:
            return None
        if not numeric:
            return state if at - time <= self.tolerance_ns else None
        following = self.walk[told[-1] + 1 :][:1]
        if number is not None and self.lines and following and following[0][1] is not None:
            there, next_number, _ = following[0]
            if there < inside[0]:
                if there - time > self.tolerance_ns:
                    return number if at == time else None
                return number + (next_number - number) / (there - time) * (at - time)
        return number if at - time <= self.tolerance_ns else None

    def mean(self, start: int, end: int) -> float | None:
        """Over the parts of [start, end) between all instants at which anything changes; a line has its middle's value
        as its mean, and what is known just at an instant weighs a nanosecond."""
        edges = {start, end}
        for time, _, _ in self.walk:
            edges |= {time, time + 1, time + max(self.tolerance_ns, 1)}
        edges |= {edge for each in self.covered for edge in (each.start_ns, each.end_ns)}
        inside = sorted(edge for edge in edges if start <= edge <= end)
        areas, weights = [], []
        for a, b in itertools.pairwise(inside):
            left, right = self.at(a, True), self.at(b - 1, True)
            if left is not None and right is not None:
                areas.append((left + right) / 2 * (b - a))
                weights.append(b - a)
        return math.fsum(areas) / sum(weights) if weights else None


def _event(point: Point, row: Any) -> Event:
    _, offset, said, quality = row
    usable, text = quality >= 64, isinstance(row[2], str)
    number = said if usable and not text and math.isfinite(said) else None
    return START + offset, number, said if usable and text and point.kind == "digital" else None


def _holes(minutes: list[tuple[int, int]]) -> list[Interval]:
    return [Interval(START + a * MINUTE_NS, START + (a + length) * MINUTE_NS) for a, length in minutes]


def _thirds() -> list[Interval]:
    """Landed files end anywhere, also at the span's edges."""
    edges = [REACH.start_ns, SPAN.start_ns, SPAN.start_ns + HOUR_NS, SPAN.end_ns, REACH.end_ns]
    return [Interval(a, b) for a, b in itertools.pairwise(edges)]


def _holds(spans: list[Interval], at: int) -> bool:
    return any(span.start_ns <= at < span.end_ns for span in spans)
