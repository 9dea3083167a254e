"""How far change feeds were read."""

from __future__ import annotations

from psycopg.types.json import Jsonb

import sql
from pipelines.ports import Watch
from resources.postgres.connections import Connection

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/watches.sql").items()}


def load(connection: Connection, source: str) -> list[Watch]:
    """The watch of every group that has one."""
    return [Watch(*row) for row in connection.execute(_STATEMENTS["load"], {"source": source})]


def save(connection: Connection, watch: Watch) -> None:
    """Replaces the group's watch."""
    row = {
        "source": watch.source,
        "group": watch.group,
        "since_ns": watch.since_ns,
        "read_ns": watch.read_ns,
        "markers": Jsonb(dict(watch.markers)),
    }
    connection.execute(_STATEMENTS["save"], row)
