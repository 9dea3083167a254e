"""What is still to be asked in one pull, and the next thing to ask.

Points begin together, many in one stream set over the whole span. Those with more pages, those whose set was refused,
and those of which a set has answered oddly, go on alone, several in one batch. They go first, so that few points are
half read at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.points import Point
from pipelines.timeline import SECOND_NS, Interval
from resources.pi_web_api.cursors import Cursor, cursor
from resources.pi_web_api.pace import Pace
from resources.pi_web_api.streams import RECORDED, Streams

_SPARE = 64  # events more than expected: cheaper than another page


@dataclass(frozen=True, slots=True)
class Round:
    """One request: `counts[i]` is the maxCount of cursor i; `together` in a stream set, with one count for all."""

    cursors: tuple[Cursor, ...]
    counts: tuple[int, ...]
    together: bool
    first: bool  # nothing of these points was read before: it shows their density
    learned: int = 0  # what the pace had learned when it was asked


class Agenda:
    """The points of one pull that are not finished. `items` and `bytes_` (of texts) bound the events of one answer."""

    def __init__(
        self, streams: Streams, pace: Pace, points: Sequence[Point], span: Interval, items: int, bytes_: int
    ) -> None:
        self._streams = streams
        self._pace = pace
        self._items, self._bytes = max(1, items), bytes_
        self._span_s = span.length_ns / SECOND_NS
        found = [cursor(number, point, span) for number, point in enumerate(points)]
        self.outside = [number for number, at in enumerate(found) if at is None]
        begun = [at for at in found if at is not None]
        self._fresh = deque(at for at in begun if not streams.doubted(at.point.address))
        self._alone = deque(at for at in begun if streams.doubted(at.point.address))
        self._begin_ns = begun[0].start_ns if begun else span.start_ns
        self._room = streams.set_bytes(RECORDED, begun[0].query(10**6)) if begun else 0

    def __bool__(self) -> bool:
        return bool(self._fresh or self._alone)

    @property
    def span_s(self) -> float:
        """Length of the span, seconds."""
        return self._span_s

    def alone(self, at: Cursor) -> None:
        """This point goes on by itself."""
        self._alone.append(at)

    def again(self, cursors: Sequence[Cursor]) -> None:
        """These points begin anew, fewer at a time."""
        self._fresh.extendleft(reversed(cursors))

    def next_round(self) -> Round:
        """The next request. There must be one."""
        if self._alone:
            return self._next_alone()
        width, count = self._pace.shape(self._span_s, self._items)
        if not self._streams.sets or width == 1 or self._pace.span_ns < self._span_s * SECOND_NS:
            self._alone.extend(self._fresh.popleft() for _ in range(min(width, len(self._fresh))))
            return self._next_alone()
        cursors = [self._fresh.popleft()]
        room = self._pace.url_bytes - self._room - len(cursors[0].point.address)
        while self._fresh and len(cursors) < width and room > (size := len(self._fresh[0].point.address) + 7):
            cursors.append(self._fresh.popleft())
            room -= size
        if len(cursors) == 1:
            self._alone.append(cursors[0])
            return self._next_alone()
        count = min(self._pace.most, max(count, self._allowed() // len(cursors)))
        return Round(tuple(cursors), (count,) * len(cursors), together=True, first=True, learned=self._pace.lessons)

    def _next_alone(self) -> Round:
        cursors: list[Cursor] = []
        counts: list[int] = []
        left = self._allowed()
        limit = int(self._pace.batch) if self._streams.batches else 1
        while self._alone and len(cursors) < limit:
            self._alone[0].within(self._pace.span_ns)
            count = self._count(self._alone[0])
            if cursors and count > left:
                break
            left -= count
            cursors.append(self._alone.popleft())
            counts.append(count)
        first = all(not at.events and at.start_ns == self._begin_ns for at in cursors)
        return Round(tuple(cursors), tuple(counts), together=False, first=first, learned=self._pace.lessons)

    def _count(self, at: Cursor) -> int:
        """maxCount for a point alone: what is expected of it and a little more, within what is allowed."""
        rest = at.expected_rest(self._begin_ns)
        if rest is None:
            rest = self._pace.expected(self._span_s)
        wished = self._pace.bounds.first_count if rest is None else int(rest * 1.3) + _SPARE
        fitting = self._bytes * at.events // at.size.text_bytes if at.size.text_bytes else wished  # as those so far
        return min(self._pace.most, max(1, at.need, min(wished, fitting, at.most, self._allowed())))

    def _allowed(self) -> int:
        return max(1, min(self._items, int(self._pace.items), self._pace.most))
