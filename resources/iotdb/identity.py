"""The row by which a store is known again: whose ledger it is bound to, and the token of its last opening."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from resources.iotdb.layout import IDENTITY, SAMPLES, STATES
from resources.iotdb.rows import constant
from resources.iotdb.session import Session
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import run_of, select, show_databases, show_tables
from resources.iotdb.tablets import TabletWriter

_KEY = {"about": "store"}


@dataclass(frozen=True, slots=True)
class Identity:
    """`ledger` and `token` are UUIDs as texts; `plant` is the name of the plant whose ledger it is."""

    ledger: str
    token: str
    plant: str


def read_identity(sessions: Sessions) -> Identity | None:
    """The identity of the database; None where there is none, or no such database. Changes nothing.

    Raises Unreachable, Retry, Stop.
    """
    return sessions.administer(lambda session: _read(session, sessions.database), "reading whose IoTDB it is")


def write_identity(sessions: Sessions, identity: Identity) -> None:
    """Takes the place of the one before; survives kill -9 on return. Its table exists. Raises Retry, NoRoom, Stop."""
    fields = [pa.array([text]) for text in (identity.ledger, identity.token, identity.plant)]
    arrays = [pa.array([0]), constant(_KEY["about"], 1), *fields]
    writer = TabletWriter(sessions)
    writer.write(IDENTITY, pa.table(arrays, schema=IDENTITY.schema))
    writer.settle()


def holds_events(sessions: Sessions) -> bool:
    """Whether there is an event of any source in the database. Changes nothing. Raises Unreachable, Retry, Stop."""

    def look(session: Session) -> bool:
        there = _tables(session, sessions.database)
        return any(
            len(session.query(f"{select(sessions.database, table, 'time', 'true')} LIMIT 1"))
            for table in (SAMPLES, STATES)
            if table.name in there
        )

    return sessions.administer(look, "looking for events")


def _read(session: Session, database: str) -> Identity | None:
    if IDENTITY.name not in _tables(session, database):
        return None
    rows = session.query(select(database, IDENTITY, "ledger, token, plant", run_of(_KEY, 0, 0))).to_pylist()
    return Identity(**rows[0]) if rows else None


def _tables(session: Session, database: str) -> set[str]:
    databases = session.query(show_databases())
    if database not in databases[databases.column_names[0]].to_pylist():
        return set()
    tables = session.query(show_tables(database))
    return set(tables[tables.column_names[0]].to_pylist())
