"""Listening to a source's change feed: what it tells becomes exceptions in the ledger, which looks then mend.

The feed only says where to look, so that nothing hangs on its being right: what is told is pulled and proved like
everything else, and every day is counted once more when it settles, whatever the feed said.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence

from pipelines.points import Point
from pipelines.ports import ChangeFeed, Changes, Exclusion, LedgerStore, Watch
from pipelines.sync.agenda import Heard
from pipelines.timeline import HOUR_NS, Interval, clip, merge
from pipelines.transfer import DRIFT

TOLD = "the source's change feed tells of a change: pulled again at the next look"


class Watching:
    """The feed of one source, read once by one pass."""

    def __init__(self, feed: ChangeFeed, ledger: LedgerStore, source: str, now_ns: Callable[[], int]) -> None:
        self._feed, self._ledger, self._source, self._now_ns = feed, ledger, source, now_ns
        # What was read later than now was read by a clock that ran ahead: its points are registered anew.
        self._known = {watch.group: watch for watch in ledger.watches(source) if watch.read_ns <= now_ns()}
        self._read: dict[str, Watch] = {}

    async def read(
        self, group: str, points: Sequence[Point], coverage: Sequence[Interval], settled_until_ns: int
    ) -> int:
        """Reads on; records what is to be looked at again, then how far was read. Returns how many hours of points.

        To be read before the pass pulls: what is told of time that is yet to be pulled is no news. Raises Retry, Stop.
        """
        asked_ns = self._now_ns()
        before = self._known.get(group) or Watch(self._source, group, asked_ns, asked_ns, {})
        told = await self._feed.changes(points, before.markers)
        found = doubts(told, before, coverage, asked_ns, settled_until_ns)
        # A hole ends when its point was registered anew, which is before the answer came.
        since_ns = self._now_ns() if told.holes else before.since_ns
        if found:
            await asyncio.to_thread(self._ledger.exclude, found)
        if told.markers:
            watch = Watch(self._source, group, since_ns, asked_ns, told.markers)
            await asyncio.to_thread(self._ledger.save_watch, watch)
            self._read[group] = watch
        return len(found)

    def unbroken(self, group: str) -> bool:
        """Whether the feed has told of all that happened to the group since an earlier pass."""
        watch = self._read.get(group)
        return watch is not None and watch.since_ns < watch.read_ns

    def heard(self, group: str, excepted: Sequence[Exclusion]) -> Heard:
        """For the agenda; `excepted` are the open exceptions of the source."""
        watch = self._read.get(group)
        if watch is None:
            return Heard()
        mine = [each for each in excepted if each.group == group]
        return Heard(
            merge(each.span for each in mine if each.reason == TOLD),
            merge(each.span for each in mine if each.reason != TOLD),
            watch.since_ns,
        )


def doubts(
    told: Changes, before: Watch, coverage: Sequence[Interval], now_ns: int, settled_until_ns: int
) -> list[Exclusion]:
    """Exceptions, by hours, for what was told since `before` of time that was covered when it was asked.

    Of points that the feed has forgotten, the hours since it was last read are excepted: what happened in that hole was
    not told.
    """
    hours = {point: _covered_hours(stamps, coverage) for point, stamps in told.times.items()}
    hole = range(before.read_ns // HOUR_NS, now_ns // HOUR_NS + 1)
    hours |= {point: set(hole) for point in told.holes & before.markers.keys()}
    return [
        Exclusion(before.source, before.group, point, part, DRIFT if part.end_ns <= settled_until_ns else TOLD)
        for point, of_point in hours.items()
        for hour in sorted(of_point)
        for part in clip(coverage, Interval(hour * HOUR_NS, (hour + 1) * HOUR_NS))
    ]


def _covered_hours(stamps: Sequence[int], coverage: Sequence[Interval]) -> set[int]:
    starts = [part.start_ns for part in coverage]
    found = set()
    for stamp in stamps:
        place = bisect_right(starts, stamp) - 1
        if place >= 0 and stamp < coverage[place].end_ns:
            found.add(stamp // HOUR_NS)
    return found
