"""The figures of the quality report: proofs and marts → plain rows. No pictures and no words of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.evidence import Evidence
from pipelines.marts import proof_figures
from pipelines.marts.events import literal
from pipelines.marts.files import mart_files
from pipelines.marts.part_days import PartOfDay, whole_days
from pipelines.marts.ranking import score
from pipelines.points import Point
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, days
from sql import statements

Row = dict[str, Any]

LEAST_SCORE = 0.05
"""Below it a score reads 0.0: such a point is not among the worst."""
MOST_HEAT = 50
_STATEMENTS = "quality/report.sql"
_BINS_NS = [n * MINUTE_NS for n in (1, 5, 15, 30)] + [n * HOUR_NS for n in (1, 2, 3, 6, 12)]
_BINS_NS += [n * DAY_NS for n in (1, 2, 7, 14, 28, 91, 364)]


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that the report tells, as rows; names of columns as in sql/quality/report.sql."""

    totals: Row
    proof_kinds: list[Row]
    unproved: list[Row]
    coverage: list[Row]
    coverage_bin_ns: int
    rates: list[Row]
    rate_bin_ns: int
    points: list[Row]
    bad_states: list[Row]
    drift: list[Row]
    days: list[Row]
    heat: list[Row]
    """Of the worst points, as `worst` has them, from the top; `place` counts in it."""
    worst: list[Row]
    """Points with a score, the highest first."""
    unknown_point_days: int
    """Of the catalogue's points × the days of the span: of how many no quality figures were made."""

    @property
    def known(self) -> bool:
        """Whether any quality figures were made for the span."""
        return bool(self.points)


def find_figures(
    database: duckdb.DuckDBPyConnection,
    span: Interval,
    evidence: Evidence,
    points: Sequence[Point],
    marts: Path,
    source: str,
    parts: Sequence[PartOfDay] = (),
) -> Figures:
    """The figures of exactly `span`: whole UTC days from the marts, `parts` of days as they were made from the landing.

    What was never made is not known, and shown so. `database` must be fresh.
    """
    database.execute("SET threads = 1")  # means depend on the order of rows, and a page is made the same twice
    _fill(database, points)
    _fill_marts(database, span, marts, source, parts)
    named = statements(_STATEMENTS)
    bounds = {"start_ns": span.start_ns, "end_ns": span.end_ns}
    names = {point.id: point.name for point in points}
    coverage_bin_ns = bin_of(span, 96)
    step_ns = parts[0].step_ns if parts else HOUR_NS
    rate_bin_ns = max(bin_of(span, 200), step_ns)

    def rows(name: str, **values: int) -> list[Row]:
        found = database.execute(named[name], values)
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    found = rows("point_figures", **bounds)
    for row in found:
        row["score"] = score(row, span.length_ns / 1e9)
    worst = sorted((row for row in found if row["score"] >= LEAST_SCORE), key=lambda row: (-row["score"], row["name"]))
    shown = pa.table(
        {
            "point": pa.array([row["point"] for row in worst[:MOST_HEAT]], pa.string()),
            "place": pa.array(range(len(worst[:MOST_HEAT])), pa.int64()),
        }
    )
    database.register("shown", shown)
    return Figures(
        totals=proof_figures.totals(evidence),
        proof_kinds=proof_figures.proof_kinds(evidence),
        unproved=proof_figures.unproved(evidence, names),
        coverage=proof_figures.coverage(evidence, coverage_bin_ns),
        coverage_bin_ns=coverage_bin_ns,
        rates=rows("rates", bin_ns=rate_bin_ns),
        rate_bin_ns=rate_bin_ns,
        points=found,
        bad_states=rows("bad_breakdown"),
        drift=proof_figures.drift(evidence, names),
        days=rows("day_figures", **bounds),
        heat=rows("heat", bin_ns=max(bin_of(span, 120), step_ns), **bounds),
        worst=worst,
        unknown_point_days=max(0, len(points) * len(days(span)) - sum(row["known_days"] for row in found)),
    )


def bin_of(span: Interval, most: int) -> int:
    """The shortest usual length of time, nanoseconds, of which at most `most` cover the span."""
    return next((each for each in _BINS_NS if span.length_ns <= each * most), span.length_ns // most + 1)


def _fill(database: duckdb.DuckDBPyConnection, points: Sequence[Point]) -> None:
    catalogue = pa.table(
        {
            "point": pa.array([point.id for point in points], pa.string()),
            "name": pa.array([point.name for point in points], pa.string()),
            "kind": pa.array([point.kind for point in points], pa.string()),
            "unit": pa.array([point.unit for point in points], pa.string()),
            "description": pa.array([point.description for point in points], pa.string()),
        }
    )
    named = statements(_STATEMENTS)
    database.execute(named["tables"])
    _insert(database, named["fill_catalogue"], catalogue, {})


def _fill_marts(
    database: duckdb.DuckDBPyConnection, span: Interval, marts: Path, source: str, parts: Sequence[PartOfDay]
) -> None:
    named = statements(_STATEMENTS)
    if (whole := whole_days(span)) is not None:
        bounds = {"start_ns": whole.start_ns, "end_ns": whole.end_ns}
        for table, mart in (
            ("hours", "aggregates/interval=1h"),
            ("point_days", "quality"),
            ("bad_states", "bad_states"),
        ):
            if files := [literal(path) for path in mart_files(marts, mart, source, whole)]:
                database.execute(named[f"fill_{table}"], {"files": files, **bounds})
    for part in parts:
        _insert(database, named["add_hours"], part.hours, {})
        _insert(database, named["add_point_days"], part.point_days, {"length_s": part.span.length_ns / 1e9})
        _insert(database, named["add_bad_states"], part.bad_states, {})


def _insert(
    database: duckdb.DuckDBPyConnection, statement: str, given: pa.Table, values: dict[str, int] | dict[str, float]
) -> None:
    database.register("given", given)
    database.execute(statement, values)
    database.unregister("given")
