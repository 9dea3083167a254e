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
import pyarrow.compute as pc

from pipelines import reconcile
from pipelines.landing import DamagedLanding, Landing, Manifest
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

T = TypeVar("T")
NOT_ASKED = "not asked for yet: a run was limited to other points"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings of the plant file's [limits]."""

    slice_events: int = 500_000
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


@dataclass(frozen=True, slots=True)
class Proven:
    """What verification found for the points of a slice."""

    proofs: pa.Table
    unproved: dict[str, str]


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
    ) -> None:
        self.source, self.store, self.ledger, self.landing = source, store, ledger, landing
        self.bounds, self.run_id = bounds, run_id

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
            manifest = await self._land(events, failed)
            lost = await self._shrunk(events, manifest.points, history)
            if lost:
                return await self._quarantine(manifest, lost)
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
        return await asyncio.to_thread(_joined, parts), failed

    async def _land(self, events: pa.Table, failed: dict[str, str]) -> Manifest:
        whole = [identifier for identifier in self.ids if identifier not in failed]
        manifest = await self._threaded("land", self.t.landing.land, self.slice_id, self.window, events, whole, failed)
        await self._record("landed", manifest, len(events))
        return manifest

    async def _store_and_prove(
        self, events: pa.Table, manifest: Manifest, said: SourceTally, *, rewriting: bool, again: bool = True
    ) -> SliceResult:
        self.lease.check()
        stored, rounded = await asyncio.to_thread(coarsen, events, self.t.store.clock_ns)
        await asyncio.to_thread(self.t.ledger.withdraw, self.slice_id, "being written", self.t.run_id)
        whole = list(manifest.points)
        await self._write(stored, whole, rewriting=rewriting)
        await self._record("written", manifest, len(events))
        proven, differ = await self._prove(events, stored, manifest, said, deep_all=rewriting)
        if differ and again:
            return await self._second_look(events, manifest, differ)
        self.lease.check()
        exclusions = [
            Exclusion(self.slice_id.source, self.slice_id.group, point, self.span, reason)
            for point, reason in sorted(proven.unproved.items())
        ]
        record = self._row("verified", manifest.generation, len(events), rounded)
        await self._threaded("commit", self.t.ledger.commit, record, proven.proofs, exclusions)
        return self._result("verified", events, rounded, proven.unproved)

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

    async def _prove(
        self, events: pa.Table, stored: pa.Table, manifest: Manifest, said: SourceTally, *, deep_all: bool
    ) -> tuple[Proven, list[str]]:
        """Proofs of the slice, and the points for which the source should be asked once more."""
        whole = list(manifest.points)
        landed, deep, in_store = await self._threaded("verify", self._look, stored, whole, deep_all)
        torn = reconcile.against_store(landed, in_store, whole)
        if torn:  # accepted is not stored: once more over the same rows, then it counts as lost
            await self._write(stored, whole, rewriting=True)
            landed, deep, in_store = await self._threaded("verify", self._look, stored, whole, deep_all)
            torn = reconcile.against_store(landed, in_store, whole)
        totals = await asyncio.to_thread(reconcile.usable_totals, events)
        drift = reconcile.against_source(landed, totals, said, whole)
        unproved = {**manifest.failed, **dict(said.failed)}
        for each in torn:
            unproved[each.point] = f"the store holds {each.stored} of {each.landed} events ({each.what} differs)"
        for each in drift:
            unproved[each.point] = (
                f"the source counts {each.source} events, {each.landed} were landed ({each.what} differs)"
            )
        told = set(reconcile.rows_of(said.table.select(["point"])))
        for point in self.ids:
            if point not in told and point not in unproved:
                unproved[point] = "the source gave no count for it"
        table = reconcile.proofs(self.ids, landed, in_store, said, deep, set(unproved))
        suspects = {each.point for each in drift} | (set(said.failed) & set(whole))
        return Proven(table, unproved), sorted(suspects)

    def _look(
        self, stored: pa.Table, whole: Sequence[str], deep_all: bool
    ) -> tuple[dict[str, reconcile.Row], set[str], dict[str, reconcile.Row]]:
        """Tallies of what should be stored and of what is, and which points were read back event by event."""
        source = self.slice_id.source
        landed = reconcile.deep_rows([stored])
        salt = f"{source}/{self.slice_id.group}/{self.span.start_ns}"
        deep = set(whole) if deep_all else reconcile.needs_deep(landed, self.t.bounds.deep_share, salt)
        counted = [point for point in whole if point not in deep]
        found = reconcile.rows_of(self.t.store.tally(source, counted, self.span)) if counted else {}
        if deep:
            found.update(reconcile.deep_rows(self.t.store.read(source, sorted(deep), self.span)))
        return landed, deep, found

    async def _second_look(self, events: pa.Table, manifest: Manifest, differ: list[str]) -> SliceResult:
        """Recounts and pulls the points once more before a difference is called drift (design.md, rule 1)."""
        points = [point for point in self.points if point.id in set(differ)]
        fresh, failed = await self._timed("pull", lambda: self._pull(points))
        got = [point.id for point in points if point.id not in failed]
        events = ordered(reconcile.replaced(events, got, fresh))
        kept = {point: why for point, why in manifest.failed.items() if point not in got}
        manifest = await self._land(events, {**kept, **failed})
        said = await self._timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._store_and_prove(events, manifest, said, rewriting=True, again=False)

    async def _shrunk(
        self, events: pa.Table, whole: Sequence[str], history: list[SliceRecord]
    ) -> dict[str, tuple[int, int]]:
        """Points that lost more than a settled slice may lose: {point: (before, now)}; {} when it is believed."""
        if not current(history, self.span):
            return {}
        if await asyncio.to_thread(self.t.ledger.loss_accepted, self.slice_id):
            return {}
        before, _ = await asyncio.to_thread(self._current_events, history)
        was = reconcile.deep_rows([before])
        now = reconcile.deep_rows([events])
        share = self.t.bounds.believe_shrink
        lost = {}
        for point, row in ((point, was[point]) for point in whole if point in was):
            left = now.get(point, {"events": 0})["events"]
            if left == 0 or row["events"] - left > share * row["events"]:
                lost[point] = (row["events"], left)
        return lost

    def _current_events(self, history: list[SliceRecord]) -> tuple[pa.Table, dict[str, str]]:
        """The events that count over the span now, and the points that could not be had.

        From the landing; from the store where a landed file is damaged.
        """
        parts: list[pa.Table] = []
        failed: dict[str, str] = {}
        for each in current(history, self.span):
            try:
                table = self.t.landing.read(each.record.slice, self.window, each.record.generation)
                failed.update(self.t.landing.manifest(each.record.slice, self.window, each.record.generation).failed)
            except DamagedLanding:
                parts.extend(self.t.store.read(self.slice_id.source, self.ids, each.span))
            else:
                parts.append(within(table, each.span))
        return _joined(parts), failed

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


def within(events: pa.Table, span: Interval) -> pa.Table:
    """The events of the span; `events` in SCHEMA."""
    times = events["time"].cast(pa.int64())
    if not len(events):
        return events
    low, high = pc.min_max(times).as_py().values()
    if span.start_ns <= low and high < span.end_ns:
        return events
    keep = pc.and_(pc.greater_equal(times, span.start_ns), pc.less(times, span.end_ns))
    return events.filter(keep)


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    if not parts:
        return empty()
    return ordered(pa.concat_tables(parts).unify_dictionaries())
