"""Point exceptions: what a commit closes, keeps and opens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sql
from pipelines.ports import Exclusion
from pipelines.timeline import Interval, subtract
from resources.postgres.connections import Connection
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/exclusions.sql").items()}


def exclusions_open(connection: Connection, source: str, group: str | None, span: Interval) -> list[Exclusion]:
    """The open exceptions that overlap the span, whole, oldest first."""
    return [exclusion for _, exclusion in _open(connection, source, group, span)]


def replace(
    connection: Connection, slice_seq: int, span: Interval, proven: Collection[str], given: Sequence[Exclusion],
    source: str, group: str,
) -> None:
    """Closes the exceptions of `proven` points inside `span`, and those that `given` speak about; opens `given`.

    What of a closed one lies outside is opened anew, under its old reason. An exception that is given again just as
    it stands stays open and adds no row. In the caller's transaction, under its lock on the group.
    """
    wanted = {_clean(exclusion): None for exclusion in given}
    spans = [span, *(exclusion.span for exclusion in wanted)]
    hull = Interval(min(each.start_ns for each in spans), max(each.end_ns for each in spans))
    closed: list[int] = []
    opened: list[Exclusion] = []
    for seq, old in _open(connection, source, group, hull):
        if old in wanted:
            del wanted[old]
            continue
        cuts = [each.span for each in given if each.point == old.point]
        if old.point in proven:
            cuts.append(span)
        rest = subtract([old.span], cuts)
        if rest != [old.span]:
            closed.append(seq)
            opened += [Exclusion(old.source, old.group, old.point, part, old.reason) for part in rest]
    if closed:
        connection.execute(_STATEMENTS["close"], {"closed": closed, "slice_seq": slice_seq})
    _append(connection, slice_seq, [*opened, *wanted])


def _open(connection: Connection, source: str, group: str | None, span: Interval) -> list[tuple[int, Exclusion]]:
    rows = connection.execute(
        _STATEMENTS["open"], {"source": source, "group": group, "start_ns": span.start_ns, "end_ns": span.end_ns}
    )
    return [
        (seq, Exclusion(of_source, of_group, point, Interval(start_ns, end_ns), reason))
        for seq, of_source, of_group, point, start_ns, end_ns, reason in rows
    ]


def _append(connection: Connection, slice_seq: int, exclusions: Sequence[Exclusion]) -> None:
    if exclusions:
        connection.cursor().executemany(
            _STATEMENTS["append"], [_row(exclusion, slice_seq) for exclusion in exclusions]
        )


def _row(exclusion: Exclusion, slice_seq: int) -> dict[str, Any]:
    return {
        "source": exclusion.source,
        "group": exclusion.group,
        "point": exclusion.point,
        "start_ns": exclusion.span.start_ns,
        "end_ns": exclusion.span.end_ns,
        "reason": exclusion.reason,
        "slice_seq": slice_seq,
    }


def _clean(exclusion: Exclusion) -> Exclusion:
    return Exclusion(
        exclusion.source, exclusion.group, exclusion.point, exclusion.span, legible(exclusion.reason)
    )
