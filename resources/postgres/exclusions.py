"""Point exceptions: what a commit closes, keeps and opens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

import sql
from pipelines.ports import Exclusion, SliceId
from pipelines.timeline import Interval, subtract
from resources.postgres.columns import copy_in
from resources.postgres.connections import Connection
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/exclusions.sql").items()}


def exclusions_open(connection: Connection, source: str, group: str | None, span: Interval) -> list[Exclusion]:
    """The open exceptions that overlap the span, whole, oldest first."""
    return [exclusion for _, exclusion in _open(connection, source, group, span)]


def replace(
    connection: Connection, slice_seq: int, slice_id: SliceId, proven: pa.ChunkedArray, given: Sequence[Exclusion]
) -> None:
    """Closes the exceptions of `proven` points inside the slice, and those that `given` speak about; opens `given`.

    What of a closed one lies outside is opened anew, under its old reason. An exception that is given again just as
    it stands stays open and adds no row. In the caller's transaction, under its lock on the group.
    """
    wanted = dict.fromkeys(_clean(exclusion) for exclusion in given)
    hull = _hull([slice_id.span, *(exclusion.span for exclusion in wanted)])
    before = _open(connection, slice_id.source, slice_id.group, hull)
    cuts: dict[str, list[Interval]] = {point: [slice_id.span] for point in proven.to_pylist()} if before else {}
    for exclusion in wanted:
        cuts.setdefault(exclusion.point, []).append(exclusion.span)
    closed: list[int] = []
    opened: list[Exclusion] = []
    for seq, old in before:
        if old in wanted:
            del wanted[old]
            continue
        rest = subtract([old.span], cuts.get(old.point, ()))
        if rest != [old.span]:
            closed.append(seq)
            opened += [Exclusion(old.source, old.group, old.point, part, old.reason) for part in rest]
    if closed:
        connection.execute(_STATEMENTS["close"], {"closed": closed, "slice_seq": slice_seq})
    _append(connection, slice_seq, [*opened, *wanted])


def add(connection: Connection, source: str, group: str, given: Sequence[Exclusion]) -> None:
    """Opens the parts of `given`, all of one group, that are not excepted already: twice is once.

    In the caller's transaction, under its lock on the group.
    """
    held: dict[str, list[Interval]] = {}
    for _, old in _open(connection, source, group, _hull([exclusion.span for exclusion in given])):
        held.setdefault(old.point, []).append(old.span)
    opened = []
    for exclusion in map(_clean, given):
        spans = held.setdefault(exclusion.point, [])
        opened += [
            Exclusion(source, group, exclusion.point, part, exclusion.reason)
            for part in subtract([exclusion.span], spans)
        ]
        spans.append(exclusion.span)
    _append(connection, None, opened)


def _hull(spans: Sequence[Interval]) -> Interval:
    return Interval(min(span.start_ns for span in spans), max(span.end_ns for span in spans))


def _open(connection: Connection, source: str, group: str | None, span: Interval) -> list[tuple[int, Exclusion]]:
    rows = connection.execute(
        _STATEMENTS["open"], {"source": source, "group": group, "start_ns": span.start_ns, "end_ns": span.end_ns}
    )
    return [
        (seq, Exclusion(of_source, of_group, point, Interval(start_ns, end_ns), reason))
        for seq, of_source, of_group, point, start_ns, end_ns, reason in rows
    ]


def _append(connection: Connection, slice_seq: int | None, exclusions: Sequence[Exclusion]) -> None:
    if not exclusions:
        return
    rows = pa.table(
        {
            "source": pa.array([each.source for each in exclusions], pa.string()),
            "point_group": pa.array([each.group for each in exclusions], pa.string()),
            "point": pa.array([each.point for each in exclusions], pa.string()),
            "start_ns": pa.array([each.span.start_ns for each in exclusions], pa.int64()),
            "end_ns": pa.array([each.span.end_ns for each in exclusions], pa.int64()),
            "reason": pa.array([each.reason for each in exclusions], pa.string()),
            "slice_seq": pa.repeat(pa.scalar(slice_seq, pa.int64()), len(exclusions)),
        }
    )
    copy_in(connection, _STATEMENTS["append"], rows)


def _clean(exclusion: Exclusion) -> Exclusion:
    return dataclasses.replace(exclusion, reason=legible(exclusion.reason))
