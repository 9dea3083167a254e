"""What the source says it holds: event-weighted summaries of many points, and reading again where those fail.

PI's event-weighted Count takes the events at both ends, so [start, end − 100 ns] is asked (facts/historians.md 1.4).
Whether it takes bad events is nowhere documented: the first point that a pull meets with bad events is the specimen on
which it is found out, once for numeric points and once for the others. Until one was met the count is believed; if it
leaves bad events out, it then differs from what was pulled, and a difference is counted again by the caller.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.points import NUMERIC_KINDS, Point
from pipelines.timeline import Interval
from resources.pi_web_api.cursors import cursor, pi_time
from resources.pi_web_api.pace import Pace
from resources.pi_web_api.refusals import Denied, Refused, TooMuch, Trouble
from resources.pi_web_api.streams import SUMMARY, Ask, Query, Streams, packed
from resources.pi_web_api.wire import Answer, Summary, SummaryItem, fault_of

_NO_DATA = 248


class Counted(NamedTuple):
    """One point's count, and the sum of its numbers that are not bad where it is finite; None otherwise. `pure` where
    every event is good, so that any sum is of the same numbers."""

    events: int
    total: float | None
    pure: bool = False


@dataclass(slots=True)
class Tallied:
    """Counts by point id, and the points for which the source gives none."""

    counts: dict[str, Counted] = field(default_factory=dict)
    unable: list[Point] = field(default_factory=list)

    def add(self, other: Tallied) -> None:
        """Takes the other's points too."""
        self.counts |= other.counts
        self.unable += other.unable


class Counting:
    """Asks for summaries in sets, in batches where a set is refused, one at a time where there are no batches."""

    def __init__(self, streams: Streams, pace: Pace) -> None:
        self._streams = streams
        self._pace = pace

    async def count(self, points: Sequence[Point], span: Interval) -> Tallied:
        """Counts of all points over a half-open span. Raises Retry, Stop."""
        tallied = Tallied()
        named = [point for point in points if point.address]
        tallied.unable += [point for point in points if not point.address]
        numbers = [point for point in named if point.kind in NUMERIC_KINDS]
        others = [point for point in named if point.kind not in NUMERIC_KINDS]
        groups = [group for kind in (numbers, others) for sure in (True, False) for group in self._groups(kind, sure)]
        tasks = [asyncio.create_task(self._group(group, span)) for group in groups]
        try:
            for task in tasks:
                tallied.add(await task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return tallied

    def _groups(self, points: Sequence[Point], sure: bool) -> list[list[Point]]:
        """As many points together as a URL holds; those that are in doubt are not among those that are not."""
        points = [point for point in points if self._streams.doubted(point.address) != sure]
        room = self._pace.url_bytes - self._streams.set_bytes(SUMMARY, _query("0" * 28, "0" * 28, points[:1]))
        return packed(points, lambda point: len(point.address) + 7, room)

    async def _group(self, points: Sequence[Point], span: Interval) -> Tallied:
        """Counts of points that are all numeric or all not."""
        at = cursor(0, points[0], span)
        if at is None or at.start_ns == at.last_ns:  # no summary over an instant
            return Tallied(unable=list(points))
        if at.last_ns - at.start_ns > self._pace.span_ns:
            return await self._halved(points, span)
        query = _query(at.start_text, pi_time(at.last_ns), points)
        step = max(2, int(self._pace.width))
        parts = [points[low : low + step] for low in range(0, len(points), step)]
        return await self._all(self._together(part, span, query) for part in parts)

    async def _together(self, points: Sequence[Point], span: Interval, query: Query) -> Tallied:
        learned = self._pace.lessons
        if min(len(points), self._pace.width) < 2 or not self._streams.sets or self._streams.doubted(points[0].address):
            return await self._each(points, span, query)
        try:
            found = await self._streams.together(SUMMARY, [point.address for point in points], query)
        except TooMuch as error:
            self._pace.refused(error, len(points), 0, learned)
            half = len(points) // 2
            return await self._all(self._group(part, span) for part in (points[:half], points[half:]))
        except Refused as error:
            self._streams.set_refused(error)
            return await self._each(points, span, query)
        except Trouble as error:
            if not error.personal:
                raise
            self._streams.doubt(point.address for point in points)
            return await self._each(points, span, query)
        self._pace.served(len(points), 0, 0.0)
        tallied, missing = Tallied(), []
        for point in points:
            counted = _counted(found.get(point.address))
            if counted is None:
                missing.append(point)
            else:
                tallied.counts[point.id] = counted
        if missing:
            tallied.add(await self._each(missing, span, query))
        return tallied

    async def _each(self, points: Sequence[Point], span: Interval, query: Query) -> Tallied:
        tallied = Tallied()
        step = max(1, int(self._pace.batch))
        for low in range(0, len(points), step):
            tallied.add(await self._some(points[low : low + step], span, query))
        return tallied

    async def _some(self, points: Sequence[Point], span: Interval, query: Query) -> Tallied:
        """Each by itself, in one batch; in halves where a batch fails as a whole."""
        answers: Sequence[Summary | Exception]
        learned = self._pace.lessons
        try:
            answers = await self._streams.each(SUMMARY, [Ask(point.address, query) for point in points])
        except (TooMuch, Trouble) as error:
            if isinstance(error, Trouble) and not error.personal:
                raise
            if len(points) > 1:
                if isinstance(error, TooMuch):
                    self._pace.refused(error, len(points), 0, learned)
                half = len(points) // 2
                return await self._all(self._some(part, span, query) for part in (points[:half], points[half:]))
            answers = [error]
        tallied = Tallied()
        for point, answer in zip(points, answers, strict=True):
            tallied.add(await self._one(point, span, query, answer, learned))
        return tallied

    async def _one(
        self, point: Point, span: Interval, query: Query, answer: Summary | Exception, learned: int
    ) -> Tallied:
        if isinstance(answer, Trouble) and not answer.exhausted:
            [answer] = await self._streams.each(SUMMARY, [Ask(point.address, query)])
        if isinstance(answer, Trouble) and not answer.personal:
            raise answer
        if isinstance(answer, TooMuch) and answer.reason != "url":
            self._pace.refused(answer, 1, 0, learned, span.length_ns)
            return await self._halved([point], span)
        counted = _counted(answer) if isinstance(answer, Summary) else None
        if counted is not None:
            self._pace.served(1, 0, 0.0)
        if isinstance(answer, Trouble | Denied):  # what is read in its place may not be read in a set either
            self._streams.doubt([point.address])
        return Tallied(unable=[point]) if counted is None else Tallied({point.id: counted})

    async def _halved(self, points: Sequence[Point], span: Interval) -> Tallied:
        """Two halves of the time, added up."""
        try:
            early, late = span.halves()
        except ValueError:
            return Tallied(unable=list(points))
        first, second = await self._group(points, early), await self._group(points, late)
        tallied = Tallied()
        for point in points:
            one, two = first.counts.get(point.id), second.counts.get(point.id)
            if one is None or two is None:
                tallied.unable.append(point)
            else:
                tallied.counts[point.id] = Counted(one.events + two.events, _sum(one, two), one.pure and two.pure)
        return tallied

    @staticmethod
    async def _all(parts: Iterable[Awaitable[Tallied]]) -> Tallied:
        """One after another."""
        tallied = Tallied()
        for part in parts:
            tallied.add(await part)
        return tallied


def _query(start: str, end: str, points: Sequence[Point]) -> Query:
    numeric = bool(points) and points[0].kind in NUMERIC_KINDS
    types = ("Count", "Total", "PercentGood") if numeric else ("Count",)
    return (
        ("startTime", start),
        ("endTime", end),
        ("calculationBasis", "EventWeighted"),
        *(("summaryType", name) for name in types),
    )


def _counted(answer: Summary | None) -> Counted | None:
    """The count in an answer, None where there is none to trust."""
    if answer is None or not isinstance(answer.items, list):
        return None
    parts: list[Answer] = [answer, *answer.items, *(item.value for item in answer.items if item.value is not None)]
    by_type = {item.type: item for item in answer.items}
    if any(fault_of(part) for part in parts) or len(by_type) != len(answer.items):
        return None
    events = _number(by_type.get("Count"))
    if events is None:
        return Counted(0, None) if _is_no_data(by_type.get("Count")) else None
    if events < 0 or events != round(events):  # seconds, where the weight by events was not understood
        return None
    if events == 0:
        return Counted(0, 0.0, pure=True)
    total, good = _number(by_type.get("Total")), _number(by_type.get("PercentGood"))
    return Counted(round(events), total, good == 100.0)


def _number(item: SummaryItem | None) -> float | None:
    """A finite number that is not bad; None for anything else."""
    if item is None or item.value is None or item.value.good is False:
        return None
    value = item.value.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond any double
        return None


def _is_no_data(item: SummaryItem | None) -> bool:
    value = item.value.value if item is not None and item.value is not None else None
    return isinstance(value, dict) and bool(value.get("IsSystem")) and value.get("Value") == _NO_DATA


def _sum(one: Counted, two: Counted) -> float | None:
    return None if one.total is None or two.total is None else one.total + two.total
