"""Reading events back, whole points at a time, in bounded memory: ours and the server's.

The server makes one answer of as many rows as it is asked for, whatever they weigh: 200 texts of 1 MB asked for at once
ended one with 512 MiB of heap. So what an answer would hold is counted first, texts in characters, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from pipelines.ports import Skip
from pipelines.samples import EVENT_TEXT_MAX, cut_by_bytes, empty
from pipelines.timeline import MINUTE_NS, Interval, iso
from resources.iotdb.extents import planned
from resources.iotdb.halving import halved
from resources.iotdb.layout import SAMPLES, STATES, Table
from resources.iotdb.rows import events_of, merged
from resources.iotdb.session import ROWS_AT_ONCE
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, select, within

EVENTS_PER_TABLE = 500_000
CHARACTERS_PER_TABLE = 8 << 20
_SHORT_NS = 5 * MINUTE_NS
"""Numbers that so little time holds are read without being counted before."""
_FEW_ROWS = 500
"""Of a point. Fewer come sorted by time: IoTDB else answers a block for each device, however few rows it has. Measured
with 1,250 points of 7 rows: 9 blocks in 65 ms instead of 1,250 in 190 ms, and 5 ms of our CPU instead of 130."""
_MANY_TIES = 100
_SORTED_ROWS = 50_000
"""A tie is a TAG, so a point with many is as many devices: it comes alone, and sorted. Measured with 5,144 rows, 5,000
of them of one time: none of our CPU instead of 650 ms. 1 GiB of heap sorted 50,000 rows, and refused 200,000."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows, characters of their texts, and devices that the rows are of, at least."""

    rows: int = 0
    characters: int = 0
    devices: int = 0

    def __add__(self, other: _Held) -> _Held:
        return _Held(self.rows + other.rows, self.characters + other.characters, self.devices + other.devices)

    @property
    def scattered(self) -> bool:
        """Whether these rows, of one point, are of so many devices that a block for each is to be avoided."""
        return self.devices > _MANY_TIES and self.rows <= min(_SORTED_ROWS, _FEW_ROWS * self.devices)

    @property
    def fits(self) -> bool:
        """Whether that is no more than one table shall have."""
        return self.rows <= EVENTS_PER_TABLE and self.characters <= CHARACTERS_PER_TABLE


def stored_events(
    sessions: Sessions, source: str, points: Sequence[str], span: Interval, clock_ns: int
) -> Iterator[pa.Table]:
    """Every event of the points in the span: tables in SCHEMA, ordered, each point whole in one of them.

    A table has about EVENTS_PER_TABLE events and CHARACTERS_PER_TABLE of text at most, unless one point alone has more.
    Raises Skip for a point with an event that the server cannot give, Unreachable, Retry, Stop.
    """
    reading = _Reading(sessions, source, clock_ns)
    for some, held, order in reading.groups(points, span):
        yield merged([empty(), *reading.parts(some, span, held, order)])


@dataclass(frozen=True, slots=True)
class _Reading:
    sessions: Sessions
    source: str
    clock_ns: int

    def groups(self, points: Sequence[str], span: Interval) -> Iterator[tuple[list[str], _Held, str]]:
        """The points that have events, packed by how much they have, and by what their rows are to be sorted."""
        if span.length_ns <= _SHORT_NS:
            for some in chunks(points):
                held = self._held(STATES, some, span)
                for group, size in _packed({point: held.get(point, _Held()) for point in some}):
                    yield group, size, "time"
            return
        held = {}
        for some in chunks(points):
            for table in (SAMPLES, STATES):
                for point, more in self._held(table, some, span).items():
                    held[point] = held.get(point, _Held()) + more
        for point in [point for point, has in held.items() if has.scattered]:
            yield [point], held.pop(point), "time"
        for group, size in _packed(held):
            yield group, size, "time" if size.rows < min(_FEW_ROWS * len(group), _SORTED_ROWS) else ""

    def parts(self, points: Sequence[str], span: Interval, held: _Held, order: str) -> Iterator[pa.Table]:
        """The events in answers of a bounded size."""
        for table in (SAMPLES, STATES):
            for part in planned(self.sessions, table, self.source, points, span, self.clock_ns):
                pieces = [(part, ROWS_AT_ONCE)]
                if table is STATES and held.characters > CHARACTERS_PER_TABLE:  # of one point
                    pieces = self._pieces(points, part)
                for piece, at_once in pieces:
                    yield from halved(partial(self._scan, table, order, at_once), points, piece, self.clock_ns)

    def _pieces(self, points: Sequence[str], span: Interval) -> list[tuple[Interval, int]]:
        """Parts of the span whose texts fit into one answer, and how many rows to ask for at once: of one time they may
        be more. Raises Skip for a text that would be the end of the server."""
        sizes = pa.concat_tables(halved(self._measure, points, span, self.clock_ns))
        times, lengths = (sizes[name].to_numpy() for name in ("time", "characters"))
        if len(times) and lengths.max() > EVENT_TEXT_MAX:
            when = iso(int(times[lengths.argmax()]) * self.clock_ns)
            raise Skip(
                points[0],
                f"IoTDB holds a text of {lengths.max():,} characters at {when}; {EVENT_TEXT_MAX:,} are the most that "
                "it is asked for",
            )
        moments, places = np.unique(times, return_inverse=True)
        weights = np.bincount(places, weights=lengths).astype(np.int64)
        return [
            (
                Interval(int(moments[start]) * self.clock_ns, int(moments[stop - 1]) * self.clock_ns + 1),
                ROWS_AT_ONCE if weights[start] <= CHARACTERS_PER_TABLE else 1,
            )
            for start, stop in cut_by_bytes(weights, EVENTS_PER_TABLE, CHARACTERS_PER_TABLE)
        ]

    def _measure(self, points: Sequence[str], span: Interval) -> pa.Table:
        condition = within(self.source, points, span, self.clock_ns)
        sql = select(self.sessions.database, STATES, "time, length(text) AS characters", condition)
        return self.sessions.read(sql, "measuring texts")

    def _scan(self, table: Table, order: str, at_once: int, points: Sequence[str], span: Interval) -> pa.Table:
        fields = ", ".join(["time", *(column.name for column in table.columns if column.name != "source")])
        condition = within(self.source, points, span, self.clock_ns)
        sql = select(self.sessions.database, table, fields, condition, order=order)
        return events_of(table, self.sessions.read(sql, f"reading {table.name}", at_once), self.clock_ns)

    def _held(self, table: Table, points: Sequence[str], span: Interval) -> dict[str, _Held]:
        found: dict[str, _Held] = {}
        for part in planned(self.sessions, table, self.source, points, span, self.clock_ns):
            for counts in halved(partial(self._count, table), points, part, self.clock_ns):
                for point, rows, characters, tie in zip(*counts.to_pydict().values(), strict=True):
                    # Ties are numbered from 0 on; of texts '999' is the greatest up to 5,000, which is enough to know.
                    found[point] = found.get(point, _Held()) + _Held(rows, int(characters or 0), int(tie) + 1)
        return found

    def _count(self, table: Table, points: Sequence[str], span: Interval) -> pa.Table:
        characters = "sum(length(text))" if table is STATES else "0"
        columns = f"point, count(*) AS events, {characters} AS characters, max(tie) AS tie"
        condition = within(self.source, points, span, self.clock_ns)
        return self.sessions.read(select(self.sessions.database, table, columns, condition, group="point"), "counting")


def _packed(held: dict[str, _Held]) -> Iterator[tuple[list[str], _Held]]:
    """The points in groups that fit, one that does not by itself; and what each group has."""
    group: list[str] = []
    size = _Held()
    for point, more in sorted(held.items()):
        if group and not (size + more).fits:
            yield group, size
            group, size = [], _Held()
        group.append(point)
        size += more
    if group:
        yield group, size
