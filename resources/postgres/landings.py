"""The landing that the ledger is about."""

from __future__ import annotations

import sql
from resources.postgres.connections import Connection
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/landings.sql").items()}


def newest(connection: Connection) -> tuple[str, str] | None:
    """Its id, and the place where it was last; None before the first."""
    return connection.execute(_STATEMENTS["newest"]).fetchone()


def claim(connection: Connection, landing: str, place: str) -> tuple[str, str]:
    """The landing that counts: this one where there was none, in its new place where it was moved."""
    connection.execute(_STATEMENTS["alone"])
    known = newest(connection)
    if known is not None and (known[0] != landing or known[1] == place):
        return known
    connection.execute(_STATEMENTS["append"], {"landing": landing, "place": legible(place)})
    return landing, place
