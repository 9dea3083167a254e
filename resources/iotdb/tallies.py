"""What the store holds per point, by IoTDB's own aggregates over the stored values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.samples import GOOD_FLOOR, TALLY_SCHEMA
from pipelines.timeline import Interval
from resources.iotdb.extents import planned
from resources.iotdb.faults import TooMuch
from resources.iotdb.layout import SAMPLES, STATES, Table
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, of_points, select, within

_FINITE = "abs(value) <= 1.7976931348623157E308"  # false for NaN and infinities
# CASE is more than a filter here: an aggregate that chunk statistics could answer would repeat what the writer of the
# file said of its values; this one makes the server read them.
_NUMBERS = (
    f"sum(CASE WHEN {_FINITE} THEN 1 ELSE 0 END) AS finite, sum(CASE WHEN {_FINITE} THEN value ELSE 0.0 END) AS total"
)
_SIDES = ((SAMPLES, _NUMBERS), (STATES, "count(text) AS texts"))
_SUMMED = ("events", "numbers", "finite", "good", "total", "magnitude")


def stored_tally(sessions: Sessions, source: str, points: Sequence[str], span: Interval, clock_ns: int) -> pa.Table:
    """TALLY_SCHEMA of the points that have events in the span, sorted by point; `magnitude` 0, `digest` null.

    `finite` and `total` are of the finite numbers, as in samples.tally. Raises Unreachable, Retry, Stop.
    """
    parts = [TALLY_SCHEMA.empty_table()]
    for some in chunks(points):
        parts.extend(_tallies(sessions, source, some, span, clock_ns))
    return _summed(pa.concat_tables(parts))


def held_points(sessions: Sessions, source: str, clock_ns: int) -> pa.Table:
    """point string, events, first_ns, last_ns int64 of all points of the source that it holds events of.

    Raises Unreachable, Retry, Stop.
    """
    columns = 'point, count(*) AS events, min(time) AS "first", max(time) AS "last"'
    parts = []
    for table, _ in _SIDES:
        found = sessions.query(
            select(sessions.database, table, columns, of_points(source, None), group="point"), "counting all it holds"
        )
        times = {f"{name}_ns": pc.multiply(found[name].cast(pa.int64()), clock_ns) for name in ("first", "last")}
        parts.append(pa.table({"point": found["point"].cast(pa.string()), "events": found["events"], **times}))
    summed = pa.concat_tables(parts).group_by("point")
    grouped = summed.aggregate([("events", "sum"), ("first_ns", "min"), ("last_ns", "max")])
    return grouped.rename_columns(["point", "events", "first_ns", "last_ns"])


def _tallies(
    sessions: Sessions, source: str, points: Sequence[str], span: Interval, clock_ns: int
) -> Iterator[pa.Table]:
    """Parts per table; by halves where the server has not the memory for all."""
    try:
        yield from [
            _part(sessions.query(_select(sessions.database, table, more, condition), "tallying"), clock_ns)
            for table, more in _SIDES
            for part in planned(sessions, table, source, points, span, clock_ns)
            for condition in [within(source, points, part, clock_ns)]
        ]
    except TooMuch:
        if len(points) < 2:
            raise
        for half in (points[: len(points) // 2], points[len(points) // 2 :]):
            yield from _tallies(sessions, source, half, span, clock_ns)


def _select(database: str, table: Table, more: str, condition: str) -> str:
    columns = (
        'point, count(*) AS events, min(time) AS "first", max(time) AS "last", '
        f"sum(CASE WHEN quality >= {GOOD_FLOOR} THEN 1 ELSE 0 END) AS good, {more}"
    )
    return select(database, table, columns, condition, group="point")


def _part(found: pa.Table, clock_ns: int) -> pa.Table:
    rows = len(found)
    numeric = "total" in found.column_names
    none = pa.chunked_array([pa.array([0.0] * rows, pa.float64())])
    columns = {
        "point": found["point"].cast(pa.string()),
        "events": found["events"],
        "numbers": found["events"] if numeric else none,
        "finite": found["finite"] if numeric else none,
        "good": found["good"],
        "first_ns": pc.multiply(found["first"], clock_ns),
        "last_ns": pc.multiply(found["last"], clock_ns),
        "total": found["total"] if numeric else none,
        "magnitude": none,
        "digest": pa.chunked_array([pa.nulls(rows, pa.int64())]),
    }
    return pa.table([columns[field.name].cast(field.type) for field in TALLY_SCHEMA], schema=TALLY_SCHEMA)


def _summed(parts: pa.Table) -> pa.Table:
    """One row a point out of the rows that both tables, and parts of the span, have of it."""
    aggregates = [(name, "sum") for name in _SUMMED] + [("first_ns", "min"), ("last_ns", "max")]
    grouped = parts.group_by("point").aggregate(aggregates).sort_by("point")
    columns = {name: grouped[f"{name}_{function}"] for name, function in aggregates}
    columns["point"] = grouped["point"]
    columns["digest"] = pa.chunked_array([pa.nulls(len(grouped), pa.int64())])
    return pa.table([columns[field.name] for field in TALLY_SCHEMA], schema=TALLY_SCHEMA)
