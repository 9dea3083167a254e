"""The server's clock, and what the ledger says of time that has not come yet."""

from __future__ import annotations

import sql
from pipelines.timeline import Interval
from resources.postgres.connections import Connection
from resources.postgres.slices import one

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/clocks.sql").items()}


def now_ns(connection: Connection) -> int:
    """The server's clock, ns UTC."""
    return int(one(connection, _STATEMENTS["now"], {}))


def ahead(connection: Connection, source: str, group: str, now_ns: int) -> Interval | None:
    """From when coverage may have been made by a clock that ran ahead, to its end; None where it ends by `now_ns`."""
    row = connection.execute(_STATEMENTS["ahead"], {"source": source, "group": group, "now_ns": now_ns}).fetchone()
    return None if row is None else Interval(*row)
