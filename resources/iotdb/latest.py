"""The newest event of points: what a person who looks at a list of points wants to see first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.samples import empty
from resources.iotdb.faults import TooMuch
from resources.iotdb.layout import SAMPLES, STATES, Table
from resources.iotdb.rows import events_of, merged
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, of_points, select


def latest_events(sessions: Sessions, source: str, points: Sequence[str], clock_ns: int) -> pa.Table:
    """The newest event of each point, of ties the last, in SCHEMA by point; points without events
    have no row, nor those whose newest is too much for the server.

    The server reads each device from its end and stops at the first row. Raises Unreachable, Retry, Stop.
    """
    found = merged([empty(), *_by_device(sessions, source, points, clock_ns)])
    if not len(found):
        return found
    names = found["point"].cast(pa.string())
    another_follows = pc.not_equal(names[:-1], names[1:]).to_pylist()
    return found.filter(pa.array([*another_follows, True]))


def _by_device(sessions: Sessions, source: str, points: Sequence[str], clock_ns: int) -> Iterator[pa.Table]:
    for some in chunks(points):
        for table in (SAMPLES, STATES):
            yield from _newest(sessions, table, source, some, clock_ns)


def _newest(sessions: Sessions, table: Table, source: str, points: Sequence[str], clock_ns: int) -> Iterator[pa.Table]:
    """By halves of the points where their texts are too much for one answer."""
    fields = [column.name for column in table.columns if column.category == "FIELD"]
    newest = ", ".join(f'last_by("{name}", time) AS "{name}"' for name in fields)
    sql = select(
        sessions.database, table, f'point, tie, last(time) AS "time", {newest}', of_points(source, points),
        group="point, tie",
    )  # fmt: skip
    try:
        yield events_of(table, sessions.read(sql, f"reading the end of {table.name}"), clock_ns)
    except TooMuch:
        if len(points) == 1:
            return
        for half in (points[: len(points) // 2], points[len(points) // 2 :]):
            yield from _newest(sessions, table, source, half, clock_ns)
