"""The journal in the ledger's database: entries as they were told, versions of them, and alarms from begin to end."""

from __future__ import annotations

import pyarrow as pa

import sql
from pipelines.journal import ALARM_SCHEMA, JOURNAL_SCHEMA
from pipelines.timeline import Interval
from resources.postgres.columns import copy_in, copy_out, legible_texts
from resources.postgres.connections import Connection

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/journal.sql").items()}


def save(connection: Connection, source: str, entries: pa.Table) -> int:
    """Adds what is new of the entries (JOURNAL_SCHEMA); how many of them now stand here as they were told.

    In the caller's transaction. Raises ValueError for another schema.
    """
    if not entries.schema.equals(JOURNAL_SCHEMA):
        raise ValueError(f"journal entries in the schema {entries.schema}")
    connection.execute(_STATEMENTS["lock"], {"name": f"journal\x1f{source}"})
    connection.execute(_STATEMENTS["stage"])
    copy_in(connection, _STATEMENTS["copy"], legible_texts(entries))
    connection.execute(_STATEMENTS["append"], {"source": source})
    row = connection.execute(_STATEMENTS["standing"], {"source": source}).fetchone()
    assert row is not None
    return int(row[0])


def compare(connection: Connection, source: str, span: Interval, counted: int, entries: int) -> None:
    """Records what the source counted of a span and what stands here of it, once all is done with it."""
    connection.execute(_STATEMENTS["compared"], {**_where(source, span), "counted": counted, "entries": entries})


def load(connection: Connection, source: str, span: Interval) -> pa.Table:
    """The newest version of every entry in the half-open span, JOURNAL_SCHEMA, by time."""
    return copy_out(connection, _STATEMENTS["entries"], _where(source, span), JOURNAL_SCHEMA)


def number(connection: Connection, source: str, span: Interval) -> int:
    """How many entries `load` would give."""
    row = connection.execute(_STATEMENTS["number"], _where(source, span)).fetchone()
    assert row is not None
    return int(row[0])


def alarms(connection: Connection, source: str, span: Interval) -> pa.Table:
    """Alarms that began in the half-open span, ALARM_SCHEMA, by their start."""
    return copy_out(connection, _STATEMENTS["alarms"], _where(source, span), ALARM_SCHEMA)


def is_closed(connection: Connection, source: str, span: Interval, settled_ns: int) -> bool:
    """Whether all of the span was read after `settled_ns`, with as many entries as the source counted."""
    row = connection.execute(_STATEMENTS["closed"], {**_where(source, span), "settled_ns": settled_ns}).fetchone()
    return bool(row and row[0])


def _where(source: str, span: Interval) -> dict[str, object]:
    return {"source": source, "start_ns": span.start_ns, "end_ns": span.end_ns}
