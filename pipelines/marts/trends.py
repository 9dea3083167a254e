"""Which points the report draws, and their curves: from landed files, thinned to what a picture can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pipelines.landing import Piece
from pipelines.marts.events import find_neighbours, is_linear, load, opened
from pipelines.points import NUMERIC_KINDS, Point
from pipelines.timeline import Interval
from sql import statements

Row = dict[str, Any]

_BINS = 360  # of the line of one picture, which is about as many pixels wide
_MAX_BARS = 400  # of one state timeline; a point that changes more often makes no readable picture


@dataclass(frozen=True, slots=True)
class Trend:
    """One point's curve. A numeric point has `line` (t, value, part) and `bad_spans` (start_ns, end_ns);
    another has `bars` (text, start_ns, end_ns, bad)."""

    point: Point
    why: str
    line: list[Row]
    bad_spans: list[Row]
    bars: list[Row]

    @property
    def linear(self) -> bool:
        """Whether the curve is a line between its events."""
        return is_linear(self.point)


def choose(points: Sequence[Point], figures: Sequence[Row]) -> list[tuple[Point, str]]:
    """At most six points worth a picture, each with the reason; `figures` are rows of `point_figures`."""
    by_id = {point.id: point for point in points}
    known = [row for row in figures if row["point"] in by_id and row["events"] > 1]
    numeric = [row for row in known if row["kind"] in NUMERIC_KINDS]
    other = [row for row in known if row["kind"] not in NUMERIC_KINDS]
    ordinary = [row for row in numeric if not row["bad"]]
    rankings = [
        (sorted((r for r in numeric if r["bad"]), key=lambda r: -r["bad"])[:2], "most bad events"),
        (sorted((r for r in numeric if r["stuck_s"] > 0), key=lambda r: -r["stuck_s"])[:1], "stuck longest"),
        (sorted(ordinary, key=lambda r: -r["events"])[len(ordinary) // 2 :][:1], "an ordinary point"),
        (sorted((r for r in other if r["bad"]), key=lambda r: -r["bad"])[:1], "states, with bad ones"),
        (sorted(other, key=lambda r: -r["events"])[len(other) // 2 :][:2], "states"),
    ]
    chosen: dict[str, tuple[Point, str]] = {}
    for rows, why in rankings:
        for row in rows:
            chosen.setdefault(row["point"], (by_id[row["point"]], why))
    return list(chosen.values())[:6]


def find_trends(
    chosen: Sequence[tuple[Point, str]], pieces: Sequence[Piece], span: Interval, memory_bytes: int, scratch: Path
) -> list[Trend]:
    """The curves of the chosen points over the span; points without a landed event are left out.

    Raises DamagedLanding, NoRoom.
    """
    if not chosen or not pieces:
        return []
    with opened(memory_bytes, scratch) as database:
        load(database, [point for point, _ in chosen], pieces, span)
        find_neighbours(database, (), (), span)
        bounds = {"start_ns": span.start_ns, "end_ns": span.end_ns}
        bin_ns = span.length_ns // _BINS + 1
        lines = _rows(database, "line", {"start_ns": span.start_ns, "bin_ns": bin_ns})
        bad_spans = _rows(database, "bad_spans", {"end_ns": bounds["end_ns"]})
        bars = _rows(database, "states", {"end_ns": bounds["end_ns"]})
    found = []
    for point, why in chosen:
        if point.kind in NUMERIC_KINDS:
            trend = Trend(point, why, lines.get(point.id, []), bad_spans.get(point.id, []), [])
        else:
            trend = Trend(point, why, [], [], bars.get(point.id, [])[:_MAX_BARS])
        if trend.line or trend.bars or trend.bad_spans:
            found.append(trend)
    return found


def _rows(database: duckdb.DuckDBPyConnection, name: str, values: dict[str, int]) -> dict[str, list[Row]]:
    """The rows of a statement of quality/trends.sql, by point."""
    found = database.execute(statements("quality/trends.sql")[name], values)
    columns = [column[0] for column in found.description or ()]
    by_point: dict[str, list[Row]] = {}
    for values_of_row in found.fetchall():
        row = dict(zip(columns, values_of_row, strict=True))
        by_point.setdefault(row["point"], []).append(row)
    return by_point
