"""Annotations in the ledger's database: those of a slice in the place of what stood in its span."""

from __future__ import annotations

import pyarrow as pa

import sql
from pipelines.ports import ANNOTATION_SCHEMA, AnnotationCounts, SliceId
from pipelines.timeline import Interval
from resources.postgres.columns import copy_in, copy_out, legible_texts
from resources.postgres.connections import Connection

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/annotations.sql").items()}
_NAMED = 50
"""So many points at most are named with what they lack."""


def replace(connection: Connection, seq: int, slice_id: SliceId, table: pa.Table) -> None:
    """All annotations (ANNOTATION_SCHEMA) of the slice that was committed as `seq`, in the caller's transaction.

    Raises ValueError for another schema.
    """
    if not table.schema.equals(ANNOTATION_SCHEMA):
        raise ValueError(f"annotations in the schema {table.schema}")
    values = {**_where(slice_id.source, slice_id.span), "group": slice_id.group, "seq": seq}
    if len(table):
        connection.execute(_STATEMENTS["stage"])
        copy_in(connection, _STATEMENTS["copy"], legible_texts(table))
        connection.execute(_STATEMENTS["append"], values)
    connection.execute(_STATEMENTS["replace"], values)


def load(connection: Connection, source: str, span: Interval) -> pa.Table:
    """What stands of the half-open span, ANNOTATION_SCHEMA, by point and time."""
    return copy_out(connection, _STATEMENTS["load"], _where(source, span), ANNOTATION_SCHEMA)


def count(connection: Connection, source: str, span: Interval) -> AnnotationCounts:
    """How much of it there is, and what is lacking."""
    values = _where(source, span)
    row = connection.execute(_STATEMENTS["count"], values).fetchone()
    assert row is not None
    events, told, not_offered, annotations = row
    lacking = {}
    if events > told + not_offered:
        rows = connection.execute(_STATEMENTS["lacking"], {**values, "limit": _NAMED})
        lacking = {point: (number, reason) for point, number, reason in rows}
    return AnnotationCounts(events, told, not_offered, annotations, lacking)


def _where(source: str, span: Interval) -> dict[str, object]:
    return {"source": source, "start_ns": span.start_ns, "end_ns": span.end_ns}
