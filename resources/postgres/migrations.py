"""Numbered migrations of the ledger's schema: `sql/ledger/NNNN_*.sql`, applied once, in order, and never edited."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

import sql
from pipelines.ports import Stop
from resources.postgres.connections import SESSION_S, Connection

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/migrations.sql").items()}
_NUMBERED = re.compile(r"(\d{4})_\w+\.sql\Z")
_SERVER_MIN = 150_000  # range_agg of multiranges
_SERVER_MIN_TEXT = "15"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, text, and the SHA-256 of the text."""

    version: int
    name: str
    text: str
    checksum: str


def packaged() -> list[Migration]:
    """The migrations that this version of the product knows, in order."""
    found = []
    for name in sql.names("ledger"):
        file = name.rpartition("/")[2]
        if match := _NUMBERED.match(file):
            text = sql.text(name).replace("\r\n", "\n")
            found.append(Migration(int(match[1]), file, text, hashlib.sha256(text.encode()).hexdigest()))
    return found


def migrate(connection: Connection, known: list[Migration]) -> int:
    """Applies what is missing, in the caller's transaction; returns how many. One caller at a time, others wait; where
    nothing is missing nothing is written, so that an account that may only read is served, too.

    Raises Stop for a server that is too old, a schema newer than `known`, and an applied file that has changed.
    """
    row = connection.execute(_STATEMENTS["server"]).fetchone()
    assert row is not None
    version, encoding, schema = row
    if version < _SERVER_MIN:
        raise Stop(f"the ledger needs PostgreSQL {_SERVER_MIN_TEXT} or newer; the server is {version // 10_000}")
    if encoding != "UTF8":
        raise Stop(f"the ledger's database is encoded in {encoding}; create one with ENCODING 'UTF8'")
    if schema is None:
        raise Stop("the ledger has no schema to work in: check search_path in the DSN")
    there = connection.execute(_STATEMENTS["there"]).fetchone()
    if there and there[0] and not _pending(connection, known):
        return 0
    connection.execute(_STATEMENTS["lock"])
    connection.execute(_STATEMENTS["create"])
    pending = _pending(connection, known)
    connection.limit_s = math.inf  # some set their own statement_timeout
    for migration in pending:
        connection.execute(migration.text.encode())
        connection.execute(
            _STATEMENTS["append"],
            {"version": migration.version, "name": migration.name, "checksum": migration.checksum},
        )
    connection.limit_s = SESSION_S
    return len(pending)


def _pending(connection: Connection, known: list[Migration]) -> list[Migration]:
    applied = {row[0]: row for row in connection.execute(_STATEMENTS["applied"])}
    expected = {migration.version: migration for migration in known}
    for number, name, checksum in applied.values():
        if number not in expected:
            raise Stop(f"the ledger's schema is newer than this version of ferry: it has {name}; upgrade ferry")
        if checksum != expected[number].checksum:
            raise Stop(f"the migration {name} has changed since it was applied; restore the file")
    return [migration for migration in known if migration.version not in applied]
