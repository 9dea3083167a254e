"""Which points the report draws, and their curves: from landed files, thinned to what a picture can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pipelines.landing import Piece
from pipelines.marts.events import Landed, find_neighbours, is_linear, limits, load, opened
from pipelines.points import NUMERIC_KINDS, Point
from pipelines.timeline import Interval
from sql import statements

Row = dict[str, Any]

PIXELS = 360
"""Of the time axis of one picture, which is about as wide; what is shorter than a pixel is put together with what else
is there, and said so."""
LANES = 7
"""Of a state timeline; states beyond share one more."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One point's curve; its rows are those of sql/quality/trends.sql.

    A numeric point has `line` (t, value, part), `bad_spans` (start_ns, end_ns, share, times) and `numbers` (numbers,
    median, least, greatest; None without a usable number); another has `bars` (lane, text, states, bad, start_ns,
    end_ns, share, times). `pixel_ns`: what is shorter was put together.
    """

    point: Point
    why: str
    line: list[Row]
    bad_spans: list[Row]
    bars: list[Row]
    numbers: Row | None
    pixel_ns: int

    @property
    def linear(self) -> bool:
        """Whether the curve is a line between its events."""
        return is_linear(self.point)

    @property
    def low(self) -> float | None:
        """The lower limit that the point was configured for; None without one."""
        return limits(self.point)[0]

    @property
    def high(self) -> float | None:
        """The upper limit that the point was configured for; None without one."""
        return limits(self.point)[1]

    @property
    def bad_times(self) -> int:
        """How often the point was bad, also for less than a pixel."""
        return sum(row["times"] for row in self.bad_spans)

    @property
    def state_times(self) -> int:
        """How many times of one state there are, also those shorter than a pixel."""
        return sum(row["times"] for row in self.bars)

    @property
    def short_times(self) -> int:
        """Of those (bad times of a curve, times of states) how many are shorter than a pixel."""
        return sum(row["times"] for row in (*self.bars, *self.bad_spans) if row["share"] < 1)

    @property
    def other_states(self) -> int:
        """How many states share the last lane."""
        states = self.bars[0]["states"] if self.bars else 0
        return states - LANES if states > LANES + 1 else 0


def choose(points: Sequence[Point], figures: Sequence[Row]) -> list[tuple[Point, str]]:
    """At most six points worth a picture, each with the reason; `figures` are rows of `point_figures`."""
    by_id = {point.id: point for point in points}
    known = [row for row in figures if row["point"] in by_id and row["events"] > 1]
    numeric = [row for row in known if row["kind"] in NUMERIC_KINDS]
    other = [row for row in known if row["kind"] not in NUMERIC_KINDS]
    ordinary = [row for row in numeric if not row["bad"]]
    rankings = [
        (sorted((r for r in numeric if r["score"]), key=lambda r: -r["score"])[:2], "highest score"),
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
    pixel_ns = span.length_ns // PIXELS + 1
    with opened(memory_bytes, scratch) as database:
        landed = [Landed([point for point, _ in chosen], pieces)]
        load(database, landed, span)
        find_neighbours(database, landed, span)
        pixels = {"start_ns": span.start_ns, "end_ns": span.end_ns, "bin_ns": pixel_ns}
        lines = _rows(database, "line", pixels)
        numbers = _rows(database, "numbers", {})
        bad_spans = _rows(database, "bad_spans", pixels)
        bars = _rows(database, "states", {**pixels, "lanes": LANES})
    found = []
    for point, why in chosen:
        if point.kind in NUMERIC_KINDS:
            told = next(iter(numbers.get(point.id, [])), None)
            trend = Trend(point, why, lines.get(point.id, []), bad_spans.get(point.id, []), [], told, pixel_ns)
        else:
            trend = Trend(point, why, [], [], bars.get(point.id, []), None, pixel_ns)
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
