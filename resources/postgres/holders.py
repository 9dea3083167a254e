"""Who works on a group: the rows of `leases`, judged and changed under one lock a group (docs/decisions/0014)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sql
from pipelines.ports import SliceId
from pipelines.timeline import Interval
from resources.postgres import slices
from resources.postgres.connections import Connection
from resources.postgres.identity import Identity

LOCKS = {name: text.encode() for name, text in sql.statements("ledger/locks.sql").items()}
QUIET_S = 60.0
"""So long a holder that may live without its session keeps what it was changing."""


class _Holder(NamedTuple):
    token: int
    span: Interval
    name: str
    identity: Identity
    held: bool
    fenced: bool
    since: str
    changes_here: bool
    """Whether it has begun to change the store in what is asked about, and has not said how that ended."""
    quiet: bool
    """Whether its session has been gone for long."""
    changing: list[Interval]


def blocker(connection: Connection, source: str, group: str, window: Interval) -> str:
    """Who keeps the window from everybody else; '' when nobody does, until the caller's transaction ends.

    What holders of the group left behind that are gone is cleared away. Who was changing the store keeps that span
    until its process is known to have ended, or for QUIET_S; one that may still live then is fenced.
    """
    lock(connection, source, group)
    for each in _known(connection, source, group, window):
        if each.held:
            if each.span.overlaps(window):
                return f"{each.name or 'somebody'} (its session began at {each.since})"
        elif not each.changing or each.identity.has_ended:
            _clear(connection, source, group, each)
        elif not each.quiet:
            connection.execute(LOCKS["missed"], {"token": each.token})
            if each.changes_here:
                return (
                    f"{each.name or 'somebody'}, {each.identity}, which has lost its lease and may still be writing: "
                    f"end that process, or wait for {QUIET_S:.0f} seconds"
                )
        elif each.changes_here and each.identity.is_here:
            connection.execute(LOCKS["fence"], {"token": each.token})
        elif each.changes_here:
            connection.execute(LOCKS["forget"], {"token": each.token})
    return ""


def disown(connection: Connection, slice_id: SliceId, reason: str, run_id: str = "") -> None:
    """Withdraws a span that somebody wrote into without a lease; who holds one there now commits nothing any more."""
    lock(connection, slice_id.source, slice_id.group)
    connection.execute(LOCKS["fence_all"], slices.slice_row(slice_id))
    slices.lock_group(connection, slice_id.source, slice_id.group)
    slices.withdraw(connection, slices.slice_row(slice_id), reason, run_id)


def lock(connection: Connection, source: str, group: str) -> None:
    """Until the end of the transaction nobody else takes a lease of the group, or clears one away."""
    connection.execute(LOCKS["lock"], {"name": f"leases\x1f{source}\x1f{group}"})


def _clear(connection: Connection, source: str, group: str, gone: _Holder) -> None:
    connection.execute(LOCKS["forget"], {"token": gone.token})
    if gone.fenced:  # its span was given to others while it lived
        for span in gone.changing:
            disown(connection, SliceId(source, group, span), wrote_after(gone.name, gone.token))


def wrote_after(holder: str, token: int) -> str:
    """The reason of a withdrawal."""
    return f"somebody may have written after the proof: {holder or 'somebody'} lost lease {token} while it was writing"


def _known(connection: Connection, source: str, group: str, window: Interval) -> Iterator[_Holder]:
    values = {**slices.span_row(source, group, window), "quiet_s": QUIET_S}
    for row in connection.execute(LOCKS["known"], values).fetchall():
        token, start_ns, end_ns, name, place, pid, started, held, fenced, since, changes_here, quiet, changing = row
        yield _Holder(
            token, Interval(start_ns, end_ns), name, Identity(place, pid, started), held, fenced, since, changes_here,
            quiet, [Interval(*part) for part in changing or ()],
        )  # fmt: skip
