"""One slice: pull, land, write, verify, commit. Safe to kill at any instant, right to run any number of times.

The order is the promise (design.md, rule 2): coverage is withdrawn before the store changes, new rows go over old ones,
then just the stored rows that the landing lacks are deleted, then everything is proved, and only then covered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa

from pipelines import reconcile
from pipelines.landing import Landing, Manifest
from pipelines.ledger import current, rewrites
from pipelines.points import Point
from pipelines.ports import (
    Exclusion,
    Lease,
    LedgerStore,
    SliceId,
    SliceRecord,
    Source,
    SourceTally,
    Split,
    State,
    Store,
)
from pipelines.samples import coarsen, empty, ordered
from pipelines.timeline import Interval
from pipelines.transfer.generations import current_events, joined, of_points, shrunk
from pipelines.transfer.proving import Look, Proven, look, only_landed, prove

T = TypeVar("T")
FORGOTTEN = "older than the store keeps: landed only"
NOT_ASKED = "not asked for yet: a run was limited to other points"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings of the plant file's [limits]."""

    slice_events: int = 400_000
    believe_shrink: float = 0.01
    deep_share: float = 0.01


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What became of a slice. `seconds` is wall-clock; `stages` splits it."""

    slice: SliceId
    state: State
    events: int = 0
    points: int = 0
    rounded: int = 0
    unproved: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)


class Transfer:
    """Moves slices of one source into one store. One instance serves concurrent slices."""

    def __init__(
        self,
        source: Source,
        store: Store,
        ledger: LedgerStore,
        landing: Landing,
        bounds: Bounds,
        run_id: str = "",
        expired: Sequence[Interval] = (),
    ) -> None:
        self.source, self.store, self.ledger, self.landing = source, store, ledger, landing
        self.bounds, self.run_id = bounds, run_id
        self.expired = tuple(expired)
        """What the store has forgotten, or would: such slices are landed and proved against the source only."""

    async def run(
        self,
        slice_id: SliceId,
        window: Interval,
        points: Sequence[Point],
        lease: Lease,
        asked: Collection[str] | None = None,
    ) -> SliceResult:
        """Pulls and proves a slice of the whole group, or of its `asked` points: the others are then named unproved.

        Raises Split when it holds too much (nothing was changed then), Retry, Stop.
        """
        job = _Slice(self, slice_id, window, list(points), lease)
        return await job.from_source(asked)

    async def resume(self, record: SliceRecord, window: Interval, points: Sequence[Point], lease: Lease) -> SliceResult:
        """Goes on from a landed generation, without pulling. Raises DamagedLanding, Retry, Stop."""
        job = _Slice(self, record.slice, window, list(points), lease)
        return await job.from_landing(record.generation)

    async def mend(
        self,
        slice_id: SliceId,
        window: Interval,
        points: Sequence[Point],
        lost: Collection[str],
        lease: Lease,
    ) -> SliceResult:
        """Pulls just the `lost` points of a slice that is covered, and proves them; the others stay as they are."""
        job = _Slice(self, slice_id, window, list(points), lease)
        return await job.mend(set(lost))


class _Slice:
    """The work on one slice; lives for one call."""

    def __init__(
        self, transfer: Transfer, slice_id: SliceId, window: Interval, points: list[Point], lease: Lease
    ) -> None:
        self.t, self.slice_id, self.window, self.points, self.lease = (
            transfer,
            slice_id,
            window,
            points,
            lease,
        )
        self.span = slice_id.span
        self.ids = [point.id for point in points]
        self.stages: dict[str, float] = {}
        self.began = time.monotonic()

    async def from_source(self, asked: Collection[str] | None) -> SliceResult:
        wanted = [point for point in self.points if asked is None or point.id in asked]
        history = await self._history()
        said_task = asyncio.ensure_future(self._timed("count", lambda: self.t.source.tally(wanted, self.span)))
        said_task.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, even if never awaited
        try:
            events, failed = await self._timed("pull", lambda: self._pull(wanted))
            failed.update({point.id: NOT_ASKED for point in self.points if point not in wanted})
            if failed and current(history, self.span):  # what cannot be had again is kept as it was
                before, _ = await asyncio.to_thread(self._current_events, history)
                events = joined([events, of_points(before, failed)])
            manifest = await self._land(events, failed)
            said = await said_task
        finally:
            said_task.cancel()
        return await self._store_and_prove(events, manifest, said, rewriting=rewrites(history, self.span))

    async def from_landing(self, generation: str) -> SliceResult:
        events = await asyncio.to_thread(self.t.landing.read, self.slice_id, self.window, generation)
        manifest = await asyncio.to_thread(self.t.landing.manifest, self.slice_id, self.window, generation)
        known = set(manifest.points) | set(manifest.failed)
        strangers = [point for point in self.points if point.id not in known]
        if strangers:  # points found since: the landed generation cannot speak for them
            fresh, failed = await self._pull(strangers)
            events = ordered(reconcile.replaced(events, [point.id for point in strangers], fresh))
            manifest = await self._land(events, {**manifest.failed, **failed})
        said = await self._timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._store_and_prove(events, manifest, said, rewriting=True)

    async def mend(self, lost: set[str]) -> SliceResult:
        wanted = [point for point in self.points if point.id in lost]
        before, failed_before = await asyncio.to_thread(self._current_events, await self._history())
        fresh, failed = await self._timed("pull", lambda: self._pull(wanted))
        if set(failed) >= {point.id for point in wanted}:  # nothing new can be had: leave all as it is
            return self._result("verified", empty(), 0, failed)
        got = [point.id for point in wanted if point.id not in failed]
        events = ordered(reconcile.replaced(before, got, fresh))
        still = {point: reason for point, reason in {**failed_before, **failed}.items() if point not in got}
        manifest = await self._land(events, still)
        said = await self._timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._store_and_prove(events, manifest, said, rewriting=True)

    async def _pull(self, points: Sequence[Point]) -> tuple[pa.Table, dict[str, str]]:
        """Everything the source holds of the points in the span, ordered. Raises Split above twice the target."""
        most = 2 * self.t.bounds.slice_events
        parts: list[pa.Table] = []
        failed: dict[str, str] = {}
        seen: set[str] = set()
        total = 0
        async for pulled in self.t.source.pull(points, self.span, most):
            total += len(pulled.samples)
            if total > most:
                raise Split(f"{self.slice_id} holds more than {most:,} events")
            parts.append(pulled.samples)
            failed.update(pulled.failed)
            seen.update(pulled.points)
        for point in points:
            if point.id not in seen and point.id not in failed:
                failed[point.id] = "the source's answers left it out"
        return await asyncio.to_thread(joined, parts), failed

    async def _land(self, events: pa.Table, failed: dict[str, str]) -> Manifest:
        whole = [identifier for identifier in self.ids if identifier not in failed]
        manifest = await self._threaded("land", self.t.landing.land, self.slice_id, self.window, events, whole, failed)
        await self._record("landed", manifest, len(events))
        return manifest

    async def _store_and_prove(
        self, events: pa.Table, manifest: Manifest, said: SourceTally, *, rewriting: bool, again: bool = True
    ) -> SliceResult:
        lost = await self._shrunk(events, manifest.points)
        if lost:
            return await self._quarantine(manifest, lost)
        if any(part.contains(self.span) for part in self.t.expired):
            return await self._prove_landed(events, manifest, said, again=again)
        self.lease.check()
        stored, rounded = await asyncio.to_thread(coarsen, events, self.t.store.clock_ns)
        await asyncio.to_thread(self.t.ledger.withdraw, self.slice_id, "being written", self.t.run_id)
        whole = list(manifest.points)
        await self._write(stored, whole, rewriting=rewriting)
        await self._record("written", manifest, len(events))
        seen = await self._look(stored, whole, deep_all=rewriting)
        if seen.torn:  # accepted is not stored: once more over the same rows, then it counts as lost
            await self._write(stored, whole, rewriting=True)
            seen = await self._look(stored, whole, deep_all=rewriting)
        proven = await self._threaded("verify", prove, events, seen, manifest, said, self.ids)
        if proven.suspects and again:
            return await self._second_look(events, manifest, proven.suspects)
        return await self._commit(events, manifest, proven, rounded)

    async def _commit(
        self, events: pa.Table, manifest: Manifest, proven: Proven, rounded: int, note: str = ""
    ) -> SliceResult:
        self.lease.check()
        exclusions = [
            Exclusion(self.slice_id.source, self.slice_id.group, point, self.span, reason)
            for point, reason in sorted(proven.unproved.items())
        ]
        record = replace(self._row("verified", manifest.generation, len(events), rounded), note=note)
        await self._threaded("commit", self.t.ledger.commit, record, proven.proofs, exclusions)
        return self._result("verified", events, rounded, proven.unproved, note)

    async def _prove_landed(
        self, events: pa.Table, manifest: Manifest, said: SourceTally, *, again: bool
    ) -> SliceResult:
        """The store has forgotten the span: source and landing are compared, and nobody speaks of what is stored."""
        seen = await self._threaded("verify", only_landed, events)
        proven = await asyncio.to_thread(prove, events, seen, manifest, said, self.ids)
        if proven.suspects and again:
            return await self._second_look(events, manifest, proven.suspects)
        return await self._commit(events, manifest, proven, 0, FORGOTTEN)

    async def _write(self, stored: pa.Table, whole: Sequence[str], *, rewriting: bool) -> None:
        """Rows of the landing over whatever is stored, then away with stored rows that the landing lacks."""
        await self._threaded("write", self.t.store.write, self.slice_id.source, stored)
        if rewriting:
            await self._threaded("clear", self._delete_extras, stored, whole)

    def _delete_extras(self, stored: pa.Table, whole: Sequence[str]) -> None:
        for held in self.t.store.read(self.slice_id.source, whole, self.span):
            surplus = reconcile.extras(held, stored)
            if len(surplus):
                self.t.store.delete(self.slice_id.source, surplus)

    async def _look(self, stored: pa.Table, whole: Sequence[str], *, deep_all: bool) -> Look:
        share = self.t.bounds.deep_share
        return await self._timed(
            "verify",
            lambda: asyncio.to_thread(look, self.t.store, self.slice_id, stored, whole, share, deep_all=deep_all),
        )

    async def _second_look(self, events: pa.Table, manifest: Manifest, differ: Collection[str]) -> SliceResult:
        """Recounts and pulls the points once more before a difference is called drift (design.md, rule 1)."""
        points = [point for point in self.points if point.id in differ]
        fresh, failed = await self._timed("pull", lambda: self._pull(points))
        got = [point.id for point in points if point.id not in failed]
        events = ordered(reconcile.replaced(events, got, fresh))
        kept = {point: why for point, why in manifest.failed.items() if point not in got}
        manifest = await self._land(events, {**kept, **failed})
        said = await self._timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._store_and_prove(events, manifest, said, rewriting=True, again=False)

    async def _shrunk(self, events: pa.Table, whole: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Points that lost more than a settled slice may lose: {point: (before, now)}; {} when it is believed."""
        history = await self._history()
        if not current(history, self.span):
            return {}
        if await asyncio.to_thread(self.t.ledger.loss_accepted, self.slice_id):
            return {}
        before, _ = await asyncio.to_thread(self._current_events, history)
        return await asyncio.to_thread(shrunk, before, events, whole, self.t.bounds.believe_shrink)

    def _current_events(self, history: list[SliceRecord]) -> tuple[pa.Table, dict[str, str]]:
        return current_events(self.t.landing, self.t.store, self.slice_id, self.window, self.ids, history)

    async def _quarantine(self, manifest: Manifest, lost: Mapping[str, tuple[int, int]]) -> SliceResult:
        point, (before, now) = max(lost.items(), key=lambda item: item[1][0] - item[1][1])
        note = (
            f"{len(lost)} points shrank, most {point} from {before:,} to {now:,} events; nothing was changed in "
            "IoTDB. If the source is right: ferry restate --accept-loss over this span, then backfill"
        )
        await asyncio.to_thread(
            self.t.ledger.record,
            [replace(self._row("quarantined", manifest.generation, manifest.events), note=note)],
        )
        return self._result("quarantined", empty(), 0, {}, note)

    async def _history(self) -> list[SliceRecord]:
        return await asyncio.to_thread(self.t.ledger.history, self.slice_id.source, self.slice_id.group, self.span)

    async def _record(self, state: State, manifest: Manifest, events: int) -> None:
        await asyncio.to_thread(self.t.ledger.record, [self._row(state, manifest.generation, events)])

    def _row(self, state: State, generation: str, events: int, rounded: int = 0) -> SliceRecord:
        return SliceRecord(self.slice_id, state, generation, self.t.run_id, events, len(self.points), rounded)

    def _result(
        self, state: State, events: pa.Table, rounded: int, unproved: Mapping[str, str], note: str = ""
    ) -> SliceResult:
        return SliceResult(
            self.slice_id, state, len(events), len(self.points), rounded, dict(unproved), note,
            time.monotonic() - self.began, dict(self.stages),
        )  # fmt: skip

    async def _timed(self, stage: str, work: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            return await work()
        finally:
            self.stages[stage] = self.stages.get(stage, 0.0) + time.monotonic() - began

    async def _threaded(self, stage: str, call: Callable[..., T], *arguments: object) -> T:
        return await self._timed(stage, lambda: asyncio.to_thread(call, *arguments))
