"""Which IoTDB the ledger's proofs are about: tokens of its openings (sql/ledger/0009_stores.sql)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sql
from pipelines.ledger import FORGOTTEN
from pipelines.timeline import Interval
from resources.postgres.connections import Connection
from resources.postgres.slices import covered, lock_group, one, span_row, withdraw
from resources.postgres.texts import legible

OpeningState = Literal["opening", "open", "refused"]
_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/stores.sql").items()}


@dataclass(frozen=True, slots=True)
class Bound:
    """What the ledger knows of its store. `tokens`: one of them it must have; none before it was opened first."""

    ledger: str
    tokens: frozenset[str]
    was_open: bool
    refused: str
    """Why what answered last is not believed; '' where it is."""


def bound(connection: Connection) -> Bound:
    """What the ledger knows now."""
    tokens = frozenset(token for (token,) in connection.execute(_STATEMENTS["tokens"]))
    newest = connection.execute(_STATEMENTS["newest"]).fetchone()
    refused = newest[1] if newest and newest[0] == "refused" else ""
    identity, was_open = one(connection, _STATEMENTS["identity"], {}), one(connection, _STATEMENTS["was_open"], {})
    return Bound(identity, tokens, bool(was_open), refused)


def append(connection: Connection, state: OpeningState, token: str | None, note: str) -> None:
    """Adds an opening, or a refusal."""
    connection.execute(_STATEMENTS["append"], {"state": state, "token": token, "note": legible(note)})


def seen(connection: Connection, token: str) -> str | None:
    """When the store was given the token, ISO 8601; None for one that the ledger does not know."""
    value = one(connection, _STATEMENTS["seen"], {"token": token})
    return None if value is None else str(value)


def covers_events(connection: Connection) -> bool:
    """Whether something is called proved of which a store must hold events."""
    return bool(one(connection, _STATEMENTS["covers_events"], {"forgotten": FORGOTTEN}))


def withdraw_all(connection: Connection, reason: str) -> None:
    """Withdraws what is covered, of all groups, in the caller's transaction."""
    for source, group in connection.execute(_STATEMENTS["groups"]).fetchall():  # everybody locks groups in this order
        lock_group(connection, source, group)
        for part in covered(connection, source, group, whatever_store=True):
            withdraw(connection, span_row(source, group, part), reason)


def withdrawn(connection: Connection, source: str, group: str, reason: str) -> list[Interval]:
    """What was withdrawn for that reason, and neither covered nor withdrawn for another one since."""
    values = {"source": source, "group": group, "reason": reason}
    return [Interval(*row) for row in connection.execute(_STATEMENTS["withdrawn"], values)]
