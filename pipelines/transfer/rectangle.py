"""A run: many (group, window) pairs of one source, several slices at once, each pair under its lease.

One bad slice holds nobody else back; credentials, a full disk or a source that is away end the run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.landing import DamagedLanding
from pipelines.ledger import current, resumable
from pipelines.planning import Density, can_halve, next_slice
from pipelines.points import Point
from pipelines.ports import (
    Exclusion,
    Lease,
    LedgerStore,
    Retry,
    SliceId,
    SliceRecord,
    Split,
    Stop,
    Unreachable,
)
from pipelines.timeline import Interval, clip, missing, split_at, subtract
from pipelines.transfer.leasing import leased
from pipelines.transfer.one_slice import Transfer
from pipelines.transfer.results import SliceResult

OnSlice = Callable[[SliceResult], None]


@dataclass(slots=True)
class PairResult:
    """What became of one (group, window): one Dagster partition."""

    group: str
    window: Interval
    slices: list[SliceResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def events(self) -> int:
        return sum(each.events for each in self.slices)

    @property
    def rounded(self) -> int:
        return sum(each.rounded for each in self.slices)

    @property
    def proved(self) -> bool:
        """Everything of this pair is proved, as far as it was asked for."""
        return not self.problems and not self.unproved


@dataclass(frozen=True, slots=True)
class _Work:
    """One thing to do in a pair: pull a span, go on from a landed slice, or mend points of a covered slice."""

    span: Interval
    resume: SliceRecord | None = None
    lost: frozenset[str] = frozenset()


class RectangleRun:
    """Runs pairs, as far as they lie inside `within` (None: nothing is asked for, as in a window of the future)."""

    def __init__(
        self,
        transfer: Transfer,
        points_by_group: Mapping[str, Sequence[Point]],
        *,
        slices_at_once: int,
        within: Interval | None,
        density: Density,
        asked: frozenset[str] | None = None,
        on_slice: OnSlice = lambda _: None,
        handover_ns: int | None = None,
        patience_s: float = 0.0,
    ) -> None:
        self.transfer, self.points, self.within, self.density = transfer, points_by_group, within, density
        self.asked, self.on_slice = asked, on_slice
        self.handover_ns, self.patience_s = handover_ns, patience_s
        self._slots = asyncio.Semaphore(slices_at_once)
        self._pairs = asyncio.Semaphore(slices_at_once)

    @property
    def ledger(self) -> LedgerStore:
        return self.transfer.ledger

    async def run(self, pairs: Iterable[tuple[str, Interval]]) -> AsyncGenerator[PairResult, None]:
        """Yields each pair when it is through. Raises Stop, Unreachable; running slices are cancelled then."""
        tasks = {asyncio.create_task(self._pair(group, window)) for group, window in pairs}
        try:
            for next_done in asyncio.as_completed(tasks):
                yield await next_done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pair(self, group: str, window: Interval) -> PairResult:
        result = PairResult(group, window)
        async with self._pairs:
            began = time.monotonic()
            try:
                for part in split_at(window, self.handover_ns):
                    await self._part(group, window, part, result)
            except (Stop, Unreachable):
                raise
            except Retry as error:
                result.problems.append(str(error))
            result.seconds = time.monotonic() - began
        return result

    async def _part(self, group: str, window: Interval, part: Interval, result: PairResult) -> None:
        """The window's part before or after the handover: sync has the lease of the latter now and then."""
        name, holder = self.transfer.source.name, self.transfer.run_id or "ferry"
        async with leased(self.ledger, name, group, part, holder, self.patience_s) as lease:
            work, gone = await asyncio.to_thread(self._plan, group, part)
            result.unproved.update(gone)
            await self._work_off(group, window, work, lease, result)

    def _plan(self, group: str, part: Interval) -> tuple[deque[_Work], dict[str, str]]:
        """What is left to do in the pair, and the points that stay unproved because they are gone at the source."""
        source = self.transfer.source.name
        wanted = part.intersect(self.within) if self.within else None
        history = self.ledger.history(source, group, part)
        gaps = missing(wanted, self.ledger.coverage(source, group)) if wanted else []
        work: deque[_Work] = deque()
        for gap in (side for each in gaps for side in self._on_one_side(each)):
            landed = resumable(history, gap)
            work.extend(_Work(record.slice.span, resume=record) for record in landed)
            work.extend(_Work(part) for part in subtract([gap], [record.slice.span for record in landed]))
        exclusions = self.ledger.exclusions(source, group, wanted) if wanted else []
        known = {point.id for point in self.points.get(group, ())}
        work.extend(self._mends(exclusions, known, history, part, gaps))
        gone = {each.point: each.reason for each in exclusions if each.point not in known}
        return work, {point: why for point, why in gone.items() if self.asked is None or point in self.asked}

    def _mends(
        self,
        exclusions: Sequence[Exclusion],
        known: set[str],
        history: Sequence[SliceRecord],
        part: Interval,
        gaps: Sequence[Interval],
    ) -> list[_Work]:
        mends: list[_Work] = []
        for each in current(history, part):
            if any(each.span.overlaps(gap) for gap in gaps):
                continue
            lost = frozenset(
                exclusion.point
                for exclusion in exclusions
                if exclusion.span.overlaps(each.span) and exclusion.point in known and self._asked(exclusion.point)
            )
            if lost:
                mends.extend(_Work(side, lost=lost) for side in self._on_one_side(each.span))
        return mends

    def _on_one_side(self, span: Interval) -> list[Interval]:
        """The span cut where the store's memory ends: a slice is forgotten or stored as a whole."""
        expired = self.transfer.expired
        return sorted([*clip(expired, span), *subtract([span], expired)])

    async def _work_off(
        self, group: str, window: Interval, work: deque[_Work], lease: Lease, result: PairResult
    ) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while work or running:
                while work and (self.density.known or not running):
                    await self._slots.acquire()
                    item = self._cut(work, len(self.points.get(group, ())))
                    task = asyncio.create_task(self._item(group, window, item, lease, work, result))
                    task.add_done_callback(lambda _: self._slots.release())
                    running.add(task)
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _cut(self, work: deque[_Work], points: int) -> _Work:
        item = work.popleft()
        if item.resume or item.lost:
            return item
        span, rest = next_slice(item.span, points, self.density, self.transfer.bounds.slice_events)
        if rest:
            work.appendleft(_Work(rest))
        return _Work(span)

    async def _item(
        self, group: str, window: Interval, item: _Work, lease: Lease, work: deque[_Work], result: PairResult
    ) -> None:
        slice_id = SliceId(self.transfer.source.name, group, item.span)
        points = self.points.get(group, ())
        try:
            await asyncio.to_thread(lease.check)  # the source is not asked in vain
            done = await self._one(slice_id, window, item, points, lease)
        except Split as error:
            if not can_halve(item.span):
                result.problems.append(f"{slice_id}: {error}; it cannot be cut any further")
                return
            work.extendleft(_Work(part) for part in reversed(error.parts(item.span)))
            self.density.learn(self.transfer.bounds.most_events, max(len(points), 1), item.span.length_ns)
            return
        except DamagedLanding:
            work.appendleft(_Work(item.span))
            return
        except (Stop, Unreachable):
            raise
        except Retry as error:
            await asyncio.to_thread(self._postpone, slice_id, error)
            result.problems.append(f"{slice_id}: {error}")
            return
        if done.state == "quarantined":
            result.problems.append(f"{slice_id} is quarantined: {done.note}")
        else:
            weight = self.transfer.bounds.weight(done.events, done.text_bytes)
            self.density.learn(weight, max(done.points, 1), item.span.length_ns)
        result.slices.append(done)
        result.unproved.update((point, why) for point, why in done.unproved.items() if self._asked(point))
        self.on_slice(done)

    async def _one(
        self, slice_id: SliceId, window: Interval, item: _Work, points: Sequence[Point], lease: Lease
    ) -> SliceResult:
        if item.resume:
            return await self.transfer.resume(item.resume, window, points, lease)
        if item.lost:
            return await self.transfer.refresh(slice_id, window, points, lease, item.lost)
        return await self.transfer.run(slice_id, window, points, lease, self.asked)

    def _postpone(self, slice_id: SliceId, error: Retry) -> None:
        now_ns = time.time_ns()
        self.ledger.record(
            [
                SliceRecord(
                    slice_id, "retry_at", run_id=self.transfer.run_id, note=str(error)[:500],
                    retry_at_ns=now_ns + int(max(error.after_s, 1.0) * 1e9),
                )
            ]
        )  # fmt: skip

    def _asked(self, point: str) -> bool:
        return self.asked is None or point in self.asked
