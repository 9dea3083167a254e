"""Aggregates as rows of `agg_<interval>`, and which stored ones a new computation no longer has."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ports import Stop
from pipelines.samples import times_ns
from pipelines.timeline import Interval
from resources.iotdb.extents import planned
from resources.iotdb.layout import Table, tag
from resources.iotdb.rows import constant, whole
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, select, within


def aggregate_rows(source: str, table: Table, rows: pa.Table, clock_ns: int) -> pa.Table:
    """Rows with point, time (start) and numbers → the table's schema, sorted by point and time.

    A double that is null (an average of nothing) becomes NaN: IoTDB would keep the old number under a null (trap 4).
    Raises Stop for a null integer, which has no such stand-in, and for two rows of one point at one time.
    """
    rows = rows.sort_by([("point", "ascending"), ("time", "ascending")])
    points = whole(rows["point"].cast(pa.string()))
    for identifier in pc.unique(points).to_pylist():
        tag(identifier or "", "the point id")
    columns: dict[str, pa.Array] = {
        "time": pa.array(times_ns(rows) // clock_ns),
        "source": constant(tag(source, "the name of the source"), len(rows)),
        "point": points.dictionary_encode(),
    }
    for column in table.columns:
        if column.category == "FIELD":
            columns[column.name] = _filled(column.name, whole(rows[column.name]))
    made = pa.table([columns[name] for name in table.schema.names], schema=table.schema)
    keys = made.group_by(["point", "time"]).aggregate([])
    if len(keys) != len(made):
        raise Stop(f"{table.name}: {len(made) - len(keys)} aggregates have the point and time of another")
    return made


def vanished(
    sessions: Sessions,
    source: str,
    table: Table,
    rows: pa.Table,
    span: Interval,
    points: Sequence[str] | None,
    clock_ns: int,
) -> pa.Table:
    """Keys (source, point, time) that are stored in the span for the points (None: all) and are not in `rows`, which
    are stored."""
    groups: list[list[str] | None] = [None] if points is None else list(chunks(points))
    where = [
        within(source, some, part, clock_ns)
        for some in groups
        for part in planned(sessions, table, source, some, span, clock_ns)
    ]

    def read(columns: str) -> list[pa.Table]:
        return [
            sessions.query(select(sessions.database, table, columns, each), f"reading {table.name}") for each in where
        ]

    times = rows["time"].cast(pa.int64())
    ours = pc.and_(pc.greater_equal(times, -(-span.start_ns // clock_ns)), pc.less(times, -(-span.end_ns // clock_ns)))
    stored = sum(found["rows"][0].as_py() for found in read("count(*) AS rows") if len(found))
    if not where or stored == (pc.sum(ours).as_py() or 0):  # nearly always, and much cheaper than to read the keys
        return table.schema.empty_table()
    found = read("source, point, time")
    keys = ["point", "time"]
    plain = pa.concat_tables([each.set_column(1, "point", each["point"].cast(pa.string())) for each in found])
    kept = pa.table({"point": rows["point"].cast(pa.string()), "time": rows["time"]})
    return plain.join(kept, keys, join_type="left anti")


def _filled(name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        return column.fill_null(float("nan"))
    if column.null_count:
        raise Stop(f"the aggregate column {name} is an integer and has nulls; the mart must fill them")
    return column
