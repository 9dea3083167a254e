"""The journal of a plant: alarms and operators' writes, beside its points. What is asked of a source that tells one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pyarrow as pa

from pipelines.timeline import Interval

JOURNAL_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # the source's own
        pa.field("time_ns", pa.int64(), nullable=False),  # UTC
        pa.field("kind", pa.string(), nullable=False),  # Alarm.Set, Alarm.Clear, Alarm.Acknowledged, User.Write, …
        pa.field("is_alarm", pa.bool_(), nullable=False),
        pa.field("priority", pa.int32()),  # 1 to 999, low is important
        pa.field("severity", pa.int32()),
        pa.field("object", pa.string(), nullable=False),
        pa.field("variable", pa.string(), nullable=False),
        pa.field("area", pa.string(), nullable=False),
        pa.field("by_user", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("previous", pa.string(), nullable=False),
        pa.field("comment", pa.string(), nullable=False),
    ]
)
"""Entries of a plant's journal; '' where a text is not told."""
ALARM_SCHEMA = pa.schema(
    [
        pa.field("object", pa.string(), nullable=False),
        pa.field("variable", pa.string(), nullable=False),
        pa.field("area", pa.string(), nullable=False),
        pa.field("priority", pa.int32()),
        pa.field("severity", pa.int32()),
        pa.field("start_ns", pa.int64(), nullable=False),  # UTC
        pa.field("acknowledged_ns", pa.int64()),
        pa.field("end_ns", pa.int64()),  # null: it still stands
        pa.field("value", pa.string(), nullable=False),
        pa.field("comment", pa.string(), nullable=False),
    ]
)
"""Alarms, each from its begin to its end."""


@runtime_checkable
class JournalSource(Protocol):
    """A historian that also tells alarms and operators' writes. Nothing here writes to it."""

    async def journal(self, span: Interval) -> pa.Table:
        """Every entry of the half-open span, JOURNAL_SCHEMA, by time and id. Raises Retry, Stop."""
        ...

    async def count_journal(self, span: Interval) -> int:
        """How many entries it holds there, asked by another question. Raises Retry, Stop."""
        ...
