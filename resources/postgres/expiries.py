"""Expiries: what the store has forgotten by its TTL, and what of that was taken back."""

from __future__ import annotations

import sql
from pipelines.timeline import Interval
from resources.postgres.connections import Connection
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/expiries.sql").items()}


def append(connection: Connection, source: str, span: Interval, reason: str, *, revokes: bool) -> None:
    """Adds an expiry, or the row that takes back what was expired in the span before."""
    row = {
        "source": source, "start_ns": span.start_ns, "end_ns": span.end_ns, "reason": legible(reason),
        "revokes": revokes,
    }  # fmt: skip
    connection.execute(_STATEMENTS["append"], row)


def standing(connection: Connection, source: str) -> list[Interval]:
    """Merged intervals that are expired and were not taken back later."""
    return [Interval(*row) for row in connection.execute(_STATEMENTS["standing"], {"source": source})]
