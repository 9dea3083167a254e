"""What the store holds per point, by IoTDB's own aggregates over the stored values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.samples import TALLY_SCHEMA
from pipelines.samples.number_digest import DETAIL_FACTOR, MOST_EVENTS, PRIME, QUALITY_FACTOR, SCALE
from pipelines.timeline import Interval
from resources.iotdb.extents import planned
from resources.iotdb.halving import halved
from resources.iotdb.layout import SAMPLES, STATES, Table
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, of_points, select, within

_SUMMED = ("events", "numbers", "total", "magnitude", "number_digest")


def stored_tally(sessions: Sessions, source: str, points: Sequence[str], span: Interval, clock_ns: int) -> pa.Table:
    """TALLY_SCHEMA of the points that have events in the span, sorted by point; `magnitude` 0; `finite`, `good`
    and `digest` null.

    `total` is of all numbers, and not finite where one of them is not. Raises Skip, Unreachable, Retry, Stop.
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
    for table in (SAMPLES, STATES):
        found = sessions.query(
            select(sessions.database, table, columns, of_points(source, None), group="point"), "counting all it holds"
        )
        times = {f"{name}_ns": pc.multiply(found[name].cast(pa.int64()), clock_ns) for name in ("first", "last")}
        parts.append(pa.table({"point": found["point"].cast(pa.string()), "events": found["events"], **times}))
    summed = pa.concat_tables(parts).group_by("point")
    grouped = summed.aggregate([("events", "sum"), ("first_ns", "min"), ("last_ns", "max")])
    return grouped.rename_columns(["point", "events", "first_ns", "last_ns"])


def _numbers(clock_ns: int) -> str:
    """What only numbers have: their sum, and the arithmetic of samples.number_digest.

    `value + 0.0` is more than it seems: an aggregate that chunk statistics could answer would repeat what the writer of
    the file said of its values; these make the server read them. No CASE beside them: on 2.0.1-beta a CASE over quality
    before this digest answered with the values of other points.
    """
    scaled = f"value * {SCALE!r} % {PRIME}.0 + quality * {QUALITY_FACTOR}.0 + detail * {DETAIL_FACTOR}.0"
    time = f"CAST(time AS INT64) % {PRIME}" + (f" * {clock_ns} % {PRIME}" if clock_ns > 1 else "")
    word = f"((CAST({scaled} AS INT64) + {time}) % {PRIME})"
    return f"sum(value + 0.0) AS total, sum({word} * {word} % {PRIME} * {word} % {PRIME}) AS number_digest"


def _tallies(
    sessions: Sessions, source: str, points: Sequence[str], span: Interval, clock_ns: int
) -> Iterator[pa.Table]:
    for table, more in ((SAMPLES, _numbers(clock_ns)), (STATES, "count(text) AS texts")):

        def ask(some: Sequence[str], part: Interval, table: Table = table, more: str = more) -> pa.Table:
            sql = _select(sessions.database, table, more, within(source, some, part, clock_ns))
            return _part(sessions.read(sql, "tallying"), clock_ns)

        for part in planned(sessions, table, source, points, span, clock_ns):
            yield from halved(ask, points, part, clock_ns)


def _select(database: str, table: Table, more: str, condition: str) -> str:
    columns = f'point, count(*) AS events, min(time) AS "first", max(time) AS "last", {more}'
    return select(database, table, columns, condition, group="point")


def _part(found: pa.Table, clock_ns: int) -> pa.Table:
    rows = len(found)
    numeric = "total" in found.column_names
    none, untold = pa.chunked_array([pa.array([0.0] * rows)]), pa.chunked_array([pa.nulls(rows, pa.int64())])
    columns = {
        "point": found["point"].cast(pa.string()),
        "events": found["events"],
        "numbers": found["events"] if numeric else none,
        "finite": untold,
        "good": untold,
        "first_ns": pc.multiply(found["first"], clock_ns),
        "last_ns": pc.multiply(found["last"], clock_ns),
        "total": found["total"] if numeric else none,
        "magnitude": none,
        "number_digest": _told(found) if numeric else none,
        "digest": untold,
    }
    return pa.table([columns[field.name].cast(field.type) for field in TALLY_SCHEMA], schema=TALLY_SCHEMA)


def _told(found: pa.Table) -> pa.ChunkedArray:
    """The number digests; null where IoTDB's sum, a double, may be rounded, or a value is no finite number."""
    told = pc.and_(pc.less_equal(found["events"], MOST_EVENTS), pc.is_finite(found["total"]))
    return pc.if_else(told, found["number_digest"], None)


def _summed(parts: pa.Table) -> pa.Table:
    """One row a point out of the rows that both tables, and parts of the span, have of it."""
    strict = pc.ScalarAggregateOptions(skip_nulls=False)
    sums = [(name, "sum", strict) for name in _SUMMED]
    grouped = parts.group_by("point").aggregate([*sums, ("first_ns", "min"), ("last_ns", "max")]).sort_by("point")
    columns = {name: grouped[f"{name}_sum"] for name in _SUMMED}
    columns |= {"point": grouped["point"], "first_ns": grouped["first_ns_min"], "last_ns": grouped["last_ns_max"]}
    untold = pa.chunked_array([pa.nulls(len(grouped), pa.int64())])
    return pa.table([columns.get(field.name, untold) for field in TALLY_SCHEMA], schema=TALLY_SCHEMA)
