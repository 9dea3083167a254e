"""One pass of sync: first the newest of every group, then what is left of the time for gaps and for second looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.landing import DamagedLanding
from pipelines.ledger import current, resumable
from pipelines.planning import can_halve
from pipelines.points import Point
from pipelines.ports import (
    ChangeFeed,
    Lease,
    Looked,
    Retry,
    SliceId,
    SliceRecord,
    Split,
    Stop,
    Unreachable,
)
from pipelines.sync.agenda import Due, Heard, Rhythm, overlap_before
from pipelines.sync.duties import Duties, Duty, settling_from_ns
from pipelines.sync.ground import Ground
from pipelines.sync.results import PassResult
from pipelines.sync.watching import Watching
from pipelines.timeline import DAY_NS, HOUR_NS, Interval, split_evenly
from pipelines.transfer import SliceResult, Transfer

_TIDIED_NS = 7 * DAY_NS
"""Time before a day that settles in which old generations may be left."""


class SyncPass(Ground):
    """Runs over all groups of one source. `reach` is from the handover to what is final now, `final_ns` says what is
    final when it is asked: a group's newest reaches up to when its turn comes."""

    def __init__(
        self,
        transfer: Transfer,
        points_by_group: Mapping[str, Sequence[Point]],
        windows: Sequence[Interval],
        reach: Interval,
        rhythm: Rhythm,
        *,
        now_ns: Callable[[], int],
        final_ns: Callable[[], int] | None = None,
        slices_at_once: int = 3,
        listen: bool = True,
        on_slice: Callable[[SliceResult], None] = lambda _: None,
    ) -> None:
        transfer = replace(transfer, turn=asyncio.Lock())
        super().__init__(
            transfer, points_by_group, windows, handover_ns=reach.start_ns, now_ns=now_ns, on_slice=on_slice
        )
        self.reach, self.rhythm = reach, rhythm
        self.result = PassResult()
        self._final_ns = final_ns or (lambda: reach.end_ns)
        self._at_once = slices_at_once
        self._turns = asyncio.Semaphore(slices_at_once)
        self._alone = {group: asyncio.Lock() for group in points_by_group}  # one lease a group, one duty at a time
        self._doubts: list[Duty] = []
        self._store_away = ""
        self._feed = transfer.source if listen and isinstance(transfer.source, ChangeFeed) else None
        self._watching: Watching | None = None
        self._settling_ns = settling_from_ns(now_ns(), rhythm.lateness_ns)
        since_ns = max(self._settling_ns, windows[0].start_ns)
        settling = Interval(since_ns, reach.end_ns) if since_ns < reach.end_ns else None  # None: it ended long ago
        self._due = Duties(transfer.ledger, self.source, points_by_group, reach, settling, rhythm, now_ns)

    async def run(self, until_s: float) -> PassResult:
        """Works until nothing is due or `until_s` (monotonic seconds) has come; the newest is always done.

        Raises Stop, and Unreachable where source or ledger are away. With IoTDB away the newest is pulled and landed
        all the same, and written by a later pass.
        """
        began_s = time.monotonic()
        if self._feed:
            await self._listen(self._feed)
        await self._all(self._newest(group) for group in self.points)
        if not self._store_away:
            heard = self._watching.heard if self._watching else lambda *_: Heard()
            duties = [*self._doubts, *await asyncio.to_thread(self._due.all, heard)]
            left = await self._work_off(duties, until_s)
            self.result.left = len(left)
        self.result.up_to_ns = min([await self._edge_ns(group) for group in self.points], default=self.reach.end_ns)
        self.result.seconds = time.monotonic() - began_s
        if self._store_away:
            self.result.troubles.add(f"{self.result.waiting} slices are landed and wait for IoTDB: {self._store_away}")
        return self.result

    async def _listen(self, feed: ChangeFeed) -> None:
        """Reads the change feed of every group, but of those that wait for the store: what was landed for them may be
        older than what is told."""
        self._watching = watching = await asyncio.to_thread(Watching, feed, self.ledger, self.source, self.now_ns)
        settled_until_ns = (self.now_ns() - self.rhythm.lateness_ns) // DAY_NS * DAY_NS

        async def read(group: str) -> None:
            coverage = await asyncio.to_thread(self.ledger.coverage, self.source, group)
            _, landed = await asyncio.to_thread(self._due.gaps, group, coverage, self.reach)
            if landed or not self.points[group]:
                return
            try:
                told = await watching.read(group, self.points[group], coverage, settled_until_ns)
            except Unreachable:
                raise
            except Retry as error:
                self.result.troubles.add(str(error), f"{group}, the change feed")
            else:
                self.result.told += told  # not over the await: groups are read at the same time

        await self._all(read(group) for group in self.points)

    async def _newest(self, group: str) -> None:
        """The newest gap of a group, with the overlap before it."""
        async with self._turns:
            reach = Interval(self.reach.start_ns, max(self.reach.end_ns, self._latest_ns()))
            coverage = await asyncio.to_thread(self.ledger.coverage, self.source, group)
            gaps, _ = await asyncio.to_thread(self._due.gaps, group, coverage, reach)
            if gaps and gaps[0].end_ns == reach.end_ns:
                told = self._watching is not None and self._watching.unbroken(group)  # of what came late, too
                overlap = None if told else overlap_before(gaps[0], coverage, self.rhythm.overlap_ns)
                await self._do(Duty(group, gaps[0]), overlap)

    def _latest_ns(self) -> int:
        """What is final now, in the windows that this pass knows."""
        return min(self._final_ns(), self.windows[-1].end_ns)

    async def _work_off(self, duties: list[Duty], until_s: float) -> list[Duty]:
        """Does the duties in order, several at once; returns those for which there was no time."""
        queue = list(reversed(duties))

        async def worker() -> None:
            while queue and time.monotonic() < until_s and not self._store_away:
                await self._do(queue.pop())

        await self._all(worker() for _ in range(min(len(duties), self._at_once)))
        return queue

    async def _do(self, duty: Duty, overlap: Interval | None = None) -> None:
        try:
            async with self._alone[duty.group], self.leased(duty.group, duty.span) as (window, lease):
                if duty.look:
                    await self._look_again(duty, duty.look, window, lease)
                elif duty.doubted:
                    for done in await self.refreshed(
                        duty.group, duty.span, window, lease,
                        doubted=duty.doubted, provisional=True, one_piece=False,
                    ):  # fmt: skip
                        self.result.take(done, again=True)
                else:
                    await self._fill(duty, window, lease, overlap)
        except (Stop, Unreachable):
            raise
        except (Retry, Split) as error:
            self.result.troubles.add(str(error), f"{duty.group} {duty.span}")

    async def _fill(self, duty: Duty, window: Interval, lease: Lease, overlap: Interval | None) -> None:
        """A gap; where it holds too much without the overlap, then in halves."""
        slice_id = SliceId(self.source, duty.group, duty.span)
        points = self.points[duty.group]
        try:
            if duty.resume:
                done = await self.transfer.resume(duty.resume, window, points, lease)
            elif duty.span.end_ns <= self._settling_ns:  # no look will settle it any more
                done = await self.transfer.run(slice_id, window, points, lease)
            else:
                done = await self.transfer.advance(slice_id, window, points, lease, overlap)
        except DamagedLanding:
            done = await self.transfer.advance(slice_id, window, points, lease, None)
        except Split as error:
            if not overlap and not can_halve(duty.span):
                raise
            if overlap:
                await self._fill(duty, window, lease, None)
                return
            early, late = error.parts(duty.span)
            await self._fill(Duty(duty.group, late), window, lease, None)
            await self._fill(Duty(duty.group, early), window, lease, None)
            return
        except Unreachable as error:
            if not await self._landed(slice_id):
                raise
            self._store_away = str(error)
            self.result.waiting += 1
            return
        self.on_slice(done)
        self.result.take(done)
        if overlap and done.differing:
            parts = split_evenly(overlap, HOUR_NS)
            self._doubts += [Duty(duty.group, part, doubted=done.differing) for part in parts]

    async def _landed(self, slice_id: SliceId) -> bool:
        """Whether the slice got as far as the landing. Raises Unreachable where the ledger is what is away."""
        history = await asyncio.to_thread(self.ledger.history, slice_id.source, slice_id.group, slice_id.span)
        return bool(resumable(history, slice_id.span))

    async def _look_again(self, duty: Duty, look: Due, window: Interval, lease: Lease) -> None:
        asked_ns = self.now_ns()
        over = duty.span.end_ns % HOUR_NS == 0  # until then more pieces come
        done = await self.refreshed(
            duty.group, duty.span, window, lease, provisional=not look.settles, one_piece=over or look.settles
        )
        for each in done:
            self.result.take(each, again=True)
        if any(each.state == "quarantined" for each in done):
            return
        differing = sum(len(each.differing) for each in done)
        looked = Looked(self.source, duty.group, duty.span, asked_ns, differing=differing)
        await asyncio.to_thread(self.ledger.record_looks, [looked])
        if look.settles:
            await asyncio.to_thread(self._settle, duty.group, duty.span)
            # With the days before: what has just become one, and what a killed pass left, goes when the next settles.
            lately = Interval(duty.span.start_ns - _TIDIED_NS, duty.span.end_ns)
            gone = await self.tidied(duty.group, lately, self.result.troubles)
            self.result.let_go += gone  # not over the await: groups settle at the same time
        self.result.looks += 1

    def _settle(self, group: str, span: Interval) -> None:
        history = self.ledger.history(self.source, group, span)
        settled = [
            SliceRecord(
                each.record.slice, "settled", each.record.generation, self.transfer.run_id, each.record.events,
                each.record.points, each.record.rounded,
            )
            for each in current(history, span)
            if each.span == each.record.slice.span
        ]  # fmt: skip
        self.ledger.record(settled)
        self.result.settled.append((group, span))

    async def _edge_ns(self, group: str) -> int:
        for part in await asyncio.to_thread(self.ledger.coverage, self.source, group):
            if part.start_ns <= self.reach.start_ns <= part.end_ns:
                return part.end_ns
        return self.reach.start_ns

    @staticmethod
    async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            for task in tasks:
                await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
