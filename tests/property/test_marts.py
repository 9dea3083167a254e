"""Aggregates against a slow reference that walks over every segment of time, in plain Python."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.landing import Piece
from pipelines.marts import INTERVALS, Landed, MartInput, build_aggregates
from pipelines.points import Point
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, parse
from tests.property.landed import land_events

START = parse("2026-01-31T22:00:00Z")
WINDOW = Interval(START, START + 4 * HOUR_NS)  # over the end of a month
BEFORE = Interval(START - HOUR_NS, START)
AFTER = Interval(WINDOW.end_ns, WINDOW.end_ns + HOUR_NS)
POINTS = [Point("line", "line", "number"), Point("step", "step", "number", step=True), Point("état", "é", "integer")]

offsets = st.one_of(
    st.integers(-60, 299).map(lambda minute: minute * MINUTE_NS),  # edges of buckets, and ties
    st.integers(-HOUR_NS, 5 * HOUR_NS - 1),
)
numbers = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf])
)
events = st.tuples(
    st.sampled_from([point.id for point in POINTS]),
    offsets,
    st.one_of(numbers, numbers, numbers, st.sampled_from(["Bad Input", "Open", ""])),
    st.sampled_from([192, 192, 192, 216, 64, 0, 24]),
)
Event = tuple[int, float | None, bool, bool]  # time, usable number, good, inside the window


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=40))
def test_aggregates_are_what_a_walk_over_time_gives(rows: list[tuple[str, int, Any, int]]) -> None:
    # Ties keep the order in which they were drawn.
    rows = sorted(rows, key=lambda row: (row[0], row[1]))
    with tempfile.TemporaryDirectory() as folder:
        middle = Interval(WINDOW.start_ns + HOUR_NS, WINDOW.end_ns)
        spans = [BEFORE, Interval(WINDOW.start_ns, middle.start_ns), middle, AFTER]
        groups = {}
        for label, points in (("g000", POINTS[:1]), ("g001", []), ("g002", POINTS[1:])):
            some = [row for row in rows if row[0] in {point.id for point in points}]
            path = land_events(some, points, START, Path(tempfile.mkdtemp(dir=folder)))
            pieces = [Piece(path, span) for span in spans]  # each says which part of the file it is current for
            groups[label] = Landed(points, pieces, before=pieces, after=pieces)
        out = Path(folder) / "out"
        made = build_aggregates(MartInput(groups, WINDOW, out, 256 << 20, "s"))
        for interval, files in made.items():
            got = pa.concat_tables(pq.read_table(files[label].path, partitioning=None) for label in groups)
            got = got.set_column(1, "time", got["time"].cast(pa.int64())).to_pylist()
            expected = _reference(rows, INTERVALS[interval])
            assert [(row["point"], row["time"]) for row in got] == sorted(expected)
            for row in got:
                _compare(row, expected[row["point"], row["time"]])


def _compare(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for column, value in expected.items():
        # Areas cancel: a mean of ±1e6 may be any tiny number next to zero.
        wanted = pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value
        assert got[column] == wanted, (column, got)


def _reference(rows: list[tuple[str, int, Any, int]], step_ns: int) -> dict[tuple[str, int], dict[str, Any]]:
    found = {}
    for point in POINTS:
        walk = [_event(row) for row in rows if row[0] == point.id]
        buckets = defaultdict(list)
        for event in walk:
            if event[3]:
                buckets[event[0] // step_ns * step_ns].append(event)
        for bucket, held in buckets.items():
            edges = Interval(max(bucket, WINDOW.start_ns), min(bucket + step_ns, WINDOW.end_ns))
            usable = [number for _, number, _, _ in held if number is not None]
            found[point.id, bucket] = {
                "events": len(held),
                "good": sum(good for _, _, good, _ in held),
                "numbers": len(usable),
                "mean": math.fsum(usable) / len(usable) if usable else None,
                "min": min(usable, default=None),
                "max": max(usable, default=None),
                "first": usable[0] if usable else None,
                "last": usable[-1] if usable else None,
                "p95": float(np.quantile(usable, 0.95)) if usable else None,
                "stddev": float(np.std(usable, ddof=1)) if len(usable) > 1 else None,
                **_over_time(walk, edges, linear=not point.step),
            }
    return found


def _over_time(walk: list[Event], edges: Interval, linear: bool) -> dict[str, Any]:
    areas, weight, good_time = [], 0, 0
    endless = (2**62, None, False, False)
    for here, there in itertools.pairwise([*walk, endless]):
        part = Interval(here[0], there[0]).intersect(edges) if here[0] < there[0] else None
        if part is None:
            continue
        good_time += part.length_ns * here[2]
        if here[1] is not None:
            sloped = linear and there[1] is not None
            rise = (there[1] - here[1]) / (there[0] - here[0]) if sloped else 0.0  # type: ignore[operator]
            middle = (part.start_ns - here[0] + part.end_ns - here[0]) / 2
            areas.append((here[1] + rise * middle) * part.length_ns)
            weight += part.length_ns
    return {
        "twa": math.fsum(areas) / weight if weight else None,
        "percent_good_time": 100.0 * good_time / edges.length_ns,
    }


def _event(row: tuple[str, int, Any, int]) -> Event:
    _, offset, said, quality = row
    usable = not isinstance(said, str) and math.isfinite(said) and quality >= 64
    time = START + offset
    return time, (said if usable else None), quality >= 192, WINDOW.start_ns <= time < WINDOW.end_ns
