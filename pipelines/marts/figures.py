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
from pipelines.points import Point
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval
from sql import statements

Row = dict[str, Any]

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


def find_figures(
    database: duckdb.DuckDBPyConnection,
    span: Interval,
    evidence: Evidence,
    points: Sequence[Point],
    marts: Path,
    source: str,
) -> Figures:
    """The figures of `span`. Marts that were never built are as if empty. `database` must be fresh."""
    database.execute("SET threads = 1")  # means depend on the order of rows, and a page is made the same twice
    _fill(database, span, points, marts, source)
    named = statements(_STATEMENTS)
    bounds = {"start_ns": span.start_ns, "end_ns": span.end_ns}
    names = {point.id: point.name for point in points}
    coverage_bin_ns = bin_of(span, 96)
    rate_bin_ns = max(bin_of(span, 200), HOUR_NS)

    def rows(name: str, **values: int) -> list[Row]:
        found = database.execute(named[name], values)
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    return Figures(
        totals=proof_figures.totals(evidence),
        proof_kinds=proof_figures.proof_kinds(evidence),
        unproved=proof_figures.unproved(evidence, names),
        coverage=proof_figures.coverage(evidence, coverage_bin_ns),
        coverage_bin_ns=coverage_bin_ns,
        rates=rows("rates", start_ns=span.start_ns, bin_ns=rate_bin_ns),
        rate_bin_ns=rate_bin_ns,
        points=rows("point_figures", **bounds),
        bad_states=rows("bad_breakdown"),
        drift=proof_figures.drift(evidence, names),
    )


def bin_of(span: Interval, most: int) -> int:
    """The shortest usual length of time, nanoseconds, of which at most `most` cover the span."""
    return next((each for each in _BINS_NS if span.length_ns <= each * most), span.length_ns // most + 1)


def _fill(
    database: duckdb.DuckDBPyConnection,
    span: Interval,
    points: Sequence[Point],
    marts: Path,
    source: str,
) -> None:
    catalogue = pa.table(
        {
            "point": pa.array([point.id for point in points], pa.string()),
            "name": pa.array([point.name for point in points], pa.string()),
            "kind": pa.array([point.kind for point in points], pa.string()),
            "unit": pa.array([point.unit for point in points], pa.string()),
            "description": pa.array([point.description for point in points], pa.string()),
        }
    )
    overlap = {"start_ns": span.start_ns, "end_ns": span.end_ns}
    named = statements(_STATEMENTS)
    database.execute(named["tables"])
    database.register("given", catalogue)
    database.execute(named["fill_catalogue"])
    database.unregister("given")
    for name, mart in (
        ("hours", "aggregates/interval=1h"),
        ("point_days", "quality"),
        ("bad_states", "bad_states"),
    ):
        if files := [literal(path) for path in mart_files(marts, mart, source)]:
            database.execute(named[f"fill_{name}"], {"files": files, **overlap})
