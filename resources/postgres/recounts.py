"""What sync knows: from when on it looks after a source, and when which span was asked about again."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Json

import sql
from pipelines.ports import Looked, Side
from pipelines.timeline import Interval
from resources.postgres.connections import Connection
from resources.postgres.texts import legible

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/recounts.sql").items()}


def hand_over(connection: Connection, source: str, at_ns: int) -> int:
    """Sets the instant, once; returns the one that counts."""
    connection.execute(_STATEMENTS["hand_over"], {"source": source, "at_ns": at_ns})
    found = handover(connection, source)
    assert found is not None
    return found


def handover(connection: Connection, source: str) -> int | None:
    """From when on sync looks after the source, None before anybody asked it for its points."""
    row = connection.execute(_STATEMENTS["handover"], {"source": source}).fetchone()
    return None if row is None else int(row[0])


def append(connection: Connection, looks: Sequence[Looked]) -> None:
    """Adds looks, in the caller's transaction."""
    rows = [
        {
            "source": each.source,
            "group": each.group,
            "start_ns": each.span.start_ns,
            "end_ns": each.span.end_ns,
            "asked_ns": each.asked_ns,
            "deep": each.deep,
            "differing": each.differing,
            "side": each.side,
            "points": Json([legible(point) for point in each.points]),
        }
        for each in looks
    ]
    connection.cursor().executemany(_STATEMENTS["append"], rows)


def newest(connection: Connection, source: str, span: Interval, side: Side) -> list[Looked]:
    """Of every (group, span) that overlaps `span` the newest look of either kind at the side, oldest first."""
    values = {"source": source, "start_ns": span.start_ns, "end_ns": span.end_ns, "side": side}
    return [
        Looked(of_source, group, Interval(start_ns, end_ns), asked_ns, deep, differing, side, tuple(points), seq)
        for of_source, group, start_ns, end_ns, asked_ns, deep, differing, side, points, seq in connection.execute(
            _STATEMENTS["newest"], values
        )
    ]
