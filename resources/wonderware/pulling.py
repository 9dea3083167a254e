"""One pull: a few statements at a time, each over some tags of one kind; whole points are handed over.

A statement that is too much is asked again for half of its tags, one tag then for half of the time. Every statement in
flight holds at most `max_events` over the number of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import Pulled, Split
from pipelines.samples import besides_longest, crowded_ns, empty, times_ns
from pipelines.timeline import SECOND_NS, Interval
from resources.wonderware.asking import around, history
from resources.wonderware.decoding import decode, statement_for, unkept
from resources.wonderware.pace import Pace
from resources.wonderware.presence import absent
from resources.wonderware.refusals import BLAMED, TooMuch
from resources.wonderware.server import Server

_ROWS_AROUND = 1_000  # of the milliseconds at both ends that do not belong to the span


@dataclass(slots=True)
class _Whole:
    """One tag that is read in parts of the time."""

    point: Point
    missing: int  # parts that are not there yet
    parts: list[tuple[int, pa.Table]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Ask:
    """One statement to come."""

    points: tuple[Point, ...]
    span: Interval
    whole: _Whole | None = None


class Pulling:
    """The state of one pull."""

    def __init__(
        self, server: Server, pace: Pace, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int
    ) -> None:
        self._server, self._pace, self._span, self._max_events = server, pace, span, max_events
        self._max_bytes = max_bytes
        self._points = points
        self._each = max(1, max_events // server.concurrency)
        self._waiting: dict[str, deque[Point]] = {}
        self._again: deque[_Ask] = deque()

    async def batches(self) -> AsyncGenerator[Pulled, None]:
        """Whole points, some at a time. Raises Split, Retry, Stop; statements under way are cancelled when it ends."""
        failed = await absent(self._server, self._pace, self._points)
        for point in self._points:
            if point.id not in failed:
                self._waiting.setdefault(statement_for(point), deque()).append(point)
        if failed:
            yield Pulled(empty(), (), failed)
        flying: set[asyncio.Task[list[Pulled]]] = set()
        try:
            while self._again or any(self._waiting.values()) or flying:
                while len(flying) < self._server.concurrency and (ask := self._next()):
                    flying.add(asyncio.create_task(self._answered(ask)))
                landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                for task in landed:
                    for batch in task.result():
                        yield batch
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    def _next(self) -> _Ask | None:
        if self._again:
            return self._again.popleft()
        for points in self._waiting.values():
            if points:
                width = self._pace.names(self._span.length_ns / SECOND_NS, self._each)
                return _Ask(tuple(points.popleft() for _ in range(min(width, len(points)))), self._span)
        return None

    async def _answered(self, ask: _Ask) -> list[Pulled]:
        """The points that are whole now."""
        asked = around(ask.span)
        name = statement_for(ask.points[0])
        # One tag may fill a batch by itself: less of it could never be handed over.
        most = (self._max_events if len(ask.points) == 1 else self._each) + _ROWS_AROUND
        began_s = time.monotonic()
        try:
            rows = await self._server.ask(
                *history(name, [point.address for point in ask.points], asked), most, self._max_bytes
            )
        except TooMuch as error:
            self._pace.refused(error, len(ask.points))
            if len(ask.points) == 1 and error.reason in BLAMED:
                return [Pulled(empty(), (), {ask.points[0].id: f"the Historian refuses this tag: {error}"})]
            self._halve(ask, error)
            return []
        seen = 0 if rows is None else rows.num_rows
        self._pace.served(len(ask.points), seen, ask.span.length_ns / SECOND_NS, time.monotonic() - began_s)
        events, failed = empty(), {}
        if rows is not None:
            failed = await asyncio.to_thread(unkept, ask.points, rows, ask.span)
            kept = [point for point in ask.points if point.id not in failed]
            events = await asyncio.to_thread(decode, kept, rows, ask.span, asked)
        if ask.whole is not None:
            return self._joined(ask, ask.whole, events, failed)
        if len(events) > self._max_events or besides_longest(events) > self._max_bytes:
            self._halve(ask, TooMuch(f"{len(events)} events at once", "rows"))
            return []
        return [Pulled(events, tuple(point.id for point in ask.points if point.id not in failed), failed)]

    def _halve(self, ask: _Ask, error: TooMuch) -> None:
        """Half of the tags, or of one tag's time. Raises Split where neither can be cut, TooMuch being one."""
        if len(ask.points) > 1:
            half = len(ask.points) // 2
            self._again.extendleft(_Ask(some, ask.span) for some in (ask.points[half:], ask.points[:half]))
            return
        if error.reason == "rows" and ask.whole is None:
            raise Split(
                f"point {ask.points[0].name!r} has more than {self._max_events} events in {ask.span}, or longer ones"
            )
        try:
            halves = ask.span.halves()
        except ValueError:
            raise error from None
        whole = ask.whole or _Whole(ask.points[0], 1)
        whole.missing += 1
        self._again.extendleft(_Ask(ask.points, part, whole) for part in reversed(halves))

    def _joined(self, ask: _Ask, whole: _Whole, events: pa.Table, failed: Mapping[str, str]) -> list[Pulled]:
        whole.parts.append((ask.span.start_ns, events))
        whole.failed |= failed
        whole.missing -= 1
        parts = [part for _, part in sorted(whole.parts, key=lambda part: part[0])]
        size = besides_longest(pa.concat_tables(part.select(["text"]) for part in parts))
        if sum(map(len, parts)) > self._max_events or size > self._max_bytes:
            raise Split(
                f"point {whole.point.name!r} has more than {self._max_events} events in {self._span}, or longer ones",
                crowded_ns(map(times_ns, parts)),
            )
        if whole.missing:
            return []
        if whole.failed:
            return [Pulled(empty(), (), whole.failed)]
        return [Pulled(pa.concat_tables(parts).unify_dictionaries().combine_chunks(), (whole.point.id,))]
