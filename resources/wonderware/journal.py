"""Alarms and operators' writes from the Events view, halved in time where a span holds too much."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.journal import JOURNAL_SCHEMA
from pipelines.ports import Unreachable
from pipelines.timeline import SECOND_NS, Interval
from resources.wonderware.asking import around, count_journal, journal
from resources.wonderware.refusals import TooMuch
from resources.wonderware.server import Server

_MOST_ROWS = 200_000
_COLUMNS = {
    "id": "ID", "time_ns": "TimeNs", "kind": "Type", "is_alarm": "IsAlarm", "priority": "Priority",
    "severity": "Severity", "object": "Source_Object", "variable": "Source_ProcessVariable", "area": "Source_Area",
    "by_user": "User_Name", "value": "ValueString", "previous": "PreviousValueString", "comment": "Comment",
}  # fmt: skip


async def entries(server: Server, span: Interval) -> pa.Table:
    """Every entry of the half-open span, JOURNAL_SCHEMA, by time and id. Raises Retry, Stop."""
    try:
        rows = await server.ask(*journal(around(span)), _MOST_ROWS)
    except TooMuch as error:
        return pa.concat_tables([await entries(server, half) for half in _halves(span, error)])
    if rows is None:
        return JOURNAL_SCHEMA.empty_table()
    table = pa.table([_column(rows, field) for field in JOURNAL_SCHEMA], schema=JOURNAL_SCHEMA)
    inside = pc.and_(pc.greater_equal(table["time_ns"], span.start_ns), pc.less(table["time_ns"], span.end_ns))
    return table.filter(inside).sort_by([("time_ns", "ascending"), ("id", "ascending")])


async def count(server: Server, span: Interval) -> int:
    """How many entries there are in the half-open span. Raises Retry, Stop."""
    try:
        found = await server.ask(*count_journal(around(span), span))
    except TooMuch as error:
        return sum([await count(server, half) for half in _halves(span, error)])
    return int(found["Entries"][0].as_py()) if found is not None else 0


def _halves(span: Interval, error: TooMuch) -> tuple[Interval, Interval]:
    """Raises Unreachable where less time makes no smaller question any more."""
    if span.length_ns <= SECOND_NS:
        raise Unreachable(f"{error}; also for the second {span}", after_s=60.0) from None
    return span.halves()


def _column(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = rows[_COLUMNS[field.name]].cast(field.type)
    if field.nullable:
        return column
    return column.fill_null(False if pa.types.is_boolean(field.type) else 0 if pa.types.is_integer(field.type) else "")
