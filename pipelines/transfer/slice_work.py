"""The work on one slice. Safe to kill at any instant, right to do any number of times.

The order is the promise (design.md, rule 2): coverage is withdrawn before the store changes, new rows go over old ones,
then just the stored rows that the landing lacks are deleted, then everything is proved, and only then covered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import reconcile
from pipelines.landing import Manifest
from pipelines.ledger import FORGOTTEN, PROVISIONAL, current, rewrites
from pipelines.points import Point, group_label, group_of
from pipelines.ports import (
    ANNOTATION_SCHEMA,
    Annotating,
    Exclusion,
    Lease,
    SliceId,
    SliceRecord,
    SourceTally,
    State,
)
from pipelines.samples import coarsen, empty, flagged, ordered, text_bytes
from pipelines.timeline import Interval
from pipelines.transfer.believing import Doubt, Loss, doubted, late_losses, too_many, too_much_gone
from pipelines.transfer.generations import changed, current_events, joined, of_points, reflagged, within
from pipelines.transfer.leasing import ended
from pipelines.transfer.proving import Look, Proven, look, only_landed, prove
from pipelines.transfer.reading import pull
from pipelines.transfer.reading_back import read_back
from pipelines.transfer.results import SliceResult
from pipelines.transfer.stages import Stages

if TYPE_CHECKING:
    from pipelines.transfer.one_slice import Transfer

NOT_ASKED = "not asked for yet: a run was limited to other points"


class SliceWork:
    """Lives for one call of Transfer."""

    def __init__(
        self,
        transfer: Transfer,
        slice_id: SliceId,
        window: Interval,
        points: Sequence[Point],
        lease: Lease,
        *,
        provisional: bool = False,
    ) -> None:
        self.t, self.slice_id, self.window, self.lease = transfer, slice_id, window, lease
        self.points = list(points)
        self.provisional = provisional
        self.span = slice_id.span
        self.ids = [point.id for point in points]
        self.differing: frozenset[str] = frozenset()
        self.standing: Collection[str] = ()  # see prove
        self.stages = Stages()
        self.began = time.monotonic()

    async def from_source(self, asked: Collection[str] | None, overlap: Interval | None = None) -> SliceResult:
        """Pulls the span (and the overlap before it), lands, writes, proves."""
        wanted = [point for point in self.points if asked is None or point.id in asked]
        history = await self._history()
        reach = Interval(overlap.start_ns, self.span.end_ns) if overlap else self.span
        async with self.t.turn:
            events, failed, said_task = await self._pull_and_count(wanted, reach)
        try:
            if overlap:
                got = [point.id for point in wanted if point.id not in failed]
                self.differing = await self.stages.threaded("compare", self._differing, events, overlap, got)
                events = within(events, self.span)
            if asked is not None:
                failed.update({identifier: NOT_ASKED for identifier in self.ids if identifier not in asked})
            if current(history, self.span):  # what cannot be had again is kept as it was
                before, _ = await asyncio.to_thread(self._current_events, history)
                events = joined([events, of_points(before, failed.keys() | self._gone(before))])
            manifest = await self._land(events, failed)
            said = await said_task
        finally:
            said_task.cancel()
        return await self._all_over(events, manifest, said, rewriting=rewrites(history, self.span))

    async def _pull_and_count(
        self, points: Sequence[Point], reach: Interval
    ) -> tuple[pa.Table, dict[str, str], asyncio.Future[SourceTally]]:
        """What was pulled; the count was begun with it and may not be over."""
        said = asyncio.ensure_future(self.stages.timed("count", lambda: self.t.source.tally(points, self.span)))
        said.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, even if never awaited
        try:
            events, failed = await self.stages.timed("pull", lambda: self._pull(points, reach))
        except BaseException:
            said.cancel()
            raise
        return events, failed, said

    async def from_landing(self, generation: str) -> SliceResult:
        """Goes on with what a killed run landed."""
        events = await asyncio.to_thread(self.t.landing.read, self.slice_id, self.window, generation)
        manifest = await asyncio.to_thread(self.t.landing.manifest, self.slice_id, self.window, generation)
        known = set(manifest.points) | set(manifest.failed)
        strangers = [point for point in self.points if point.id not in known]
        if strangers:  # points found since: the landed generation cannot speak for them
            fresh, failed = await self._pull(strangers, self.span)
            events = ordered(reconcile.replaced(events, [point.id for point in strangers], fresh))
            manifest = await self._land(events, {**manifest.failed, **failed})
        said = await self.stages.timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._all_over(events, manifest, said, rewriting=True)

    def _differing(self, events: pa.Table, overlap: Interval, got: Collection[str]) -> frozenset[str]:
        slice_id = SliceId(self.slice_id.source, self.slice_id.group, overlap)
        history = self.t.ledger.history(slice_id.source, slice_id.group, overlap)
        landed, _ = self._current_events(history, slice_id)
        before, now = of_points(landed, got), of_points(within(events, overlap), got)
        return frozenset(changed(before, now, got) | reflagged(before, now, got))

    def _gone(self, before: pa.Table) -> set[str]:
        """Points of the group that the catalogue no longer has: their history stays."""
        strangers = set(pc.unique(before["point"].cast(pa.string())).to_pylist()) - set(self.ids)
        groups = self.t.known.groups if self.t.known else None
        return {p for p in strangers if groups is None or group_label(group_of(p, groups)) == self.slice_id.group}

    async def _pull_some(self, points: Collection[str]) -> tuple[pa.Table, dict[str, str]]:
        if not points:
            return empty(), {}
        return await self._pull([point for point in self.points if point.id in points], self.span)

    async def _pull(self, points: Sequence[Point], span: Interval) -> tuple[pa.Table, dict[str, str]]:
        return await pull(self.t.source, points, span, self.t.bounds, str(self.slice_id))

    async def _land(self, events: pa.Table, failed: dict[str, str]) -> Manifest:
        kept = sorted(self._gone(events) - failed.keys())
        whole = [*(identifier for identifier in self.ids if identifier not in failed), *kept]
        land = partial(self.t.landing.land, self.slice_id, self.window, events, whole, failed)
        manifest = await self.stages.threaded("land", land)
        await self._record("landed", manifest, len(events))
        return manifest

    async def _all_over(
        self,
        events: pa.Table,
        manifest: Manifest,
        said: SourceTally,
        *,
        rewriting: bool,
        again: bool = True,
    ) -> SliceResult:
        """Writes and proves every point; `rewriting` where the store may hold something of the span already."""
        whole = manifest.points
        return await self._store_and_prove(
            events, manifest, said,
            write=whole, over=whole if rewriting else (), again=again, anew=True,
        )  # fmt: skip

    async def _store_and_prove(
        self,
        events: pa.Table,
        manifest: Manifest,
        said: SourceTally,
        *,
        write: Collection[str],
        over: Collection[str],
        again: bool = True,
        anew: bool = False,
    ) -> SliceResult:
        """Writes the points of `write`, clears and reads back those of `over`, proves all and commits.

        `anew` where all of the slice goes to the store, also an empty one.
        """
        doubt = await self._doubt(events, manifest.points) if write or anew else None
        if doubt and doubt.whole:
            return await self._quarantine(manifest, doubt.lost)
        if doubt:
            kept = ordered(reconcile.replaced(events, doubt.lost, of_points(doubt.before, doubt.lost)))
            manifest = await self._land(kept, {**manifest.failed, **doubt.reasons(self.span)})
            write, over = set(write) - doubt.lost.keys(), set(over) - doubt.lost.keys()
            events = kept
        if any(part.contains(self.span) for part in self.t.expired):
            return await self._prove_landed(events, manifest, said, again=again)
        stored, rounded = await asyncio.to_thread(coarsen, events, self.t.store.clock_ns)
        whole = list(manifest.points)
        if write or anew:
            await self._write(stored if anew else of_points(stored, write), stored, over)
            await self._record("written", manifest, len(events))
        seen = await self._look(stored, whole, over)
        if seen.torn:  # accepted is not stored: once more over the same rows, then it counts as lost
            await self._write(stored, stored, whole)
            seen = await self._look(stored, whole, whole)
        proven = await self.stages.threaded("verify", prove, events, seen, manifest, said, self.ids, self.standing)
        if proven.suspects and again:
            return await self._second_look(events, manifest, proven.suspects)
        note = PROVISIONAL if self.provisional else ""
        return await self._commit(events, manifest, proven, rounded, note, await self._annotations(events))

    async def _annotations(self, events: pa.Table) -> pa.Table | None:
        """What people wrote to the events, asked for anew; None where the source tells no such thing."""
        source = self.t.source
        if not isinstance(source, Annotating):
            return None
        if not len(flagged(events)):
            return ANNOTATION_SCHEMA.empty_table()
        most = self.t.bounds.most_bytes(self.span)
        return await self.stages.timed("annotate", lambda: source.annotations(self.points, events, most))

    async def _commit(
        self,
        events: pa.Table,
        manifest: Manifest,
        proven: Proven,
        rounded: int,
        note: str = "",
        annotations: pa.Table | None = None,
    ) -> SliceResult:
        if note != FORGOTTEN:
            await self.stages.threaded("sync", self.t.store.sync)  # proved is on the disk, also what others wrote
        exclusions = [
            Exclusion(self.slice_id.source, self.slice_id.group, point, self.span, reason)
            for point, reason in sorted(proven.unproved.items())
        ]
        record = replace(self._row("verified", manifest.generation, len(events), rounded), note=note)
        commit = partial(
            self.t.ledger.commit, record, proven.proofs, exclusions,
            keep_proofs=not self.provisional, known=self.t.known, annotations=annotations,
        )  # fmt: skip
        await self.stages.threaded("commit", commit)
        return self._result("verified", events, rounded, proven.unproved, note)

    async def _prove_landed(
        self, events: pa.Table, manifest: Manifest, said: SourceTally, *, again: bool
    ) -> SliceResult:
        """The store has forgotten the span: source and landing are compared, and nobody speaks of what is stored."""
        seen = await self.stages.threaded("verify", only_landed, events)
        proven = await asyncio.to_thread(prove, events, seen, manifest, said, self.ids, self.standing)
        if proven.suspects and again:
            return await self._second_look(events, manifest, proven.suspects)
        return await self._commit(events, manifest, proven, 0, FORGOTTEN, await self._annotations(events))

    async def _write(self, rows: pa.Table, stored: pa.Table, over: Collection[str]) -> None:
        """Rows of the landing over whatever is stored, then away with stored rows that the landing lacks."""
        await self.stages.threaded("write", self._change, self.t.store.write, rows)
        if over:
            await self.stages.threaded("clear", self._delete_extras, stored, sorted(over))

    def _delete_extras(self, stored: pa.Table, points: Sequence[str]) -> None:
        def clear(held: pa.Table) -> None:
            surplus = reconcile.extras(held, stored)
            if len(surplus):
                self._change(self.t.store.delete, surplus)

        read_back(self.t.store, self.slice_id.source, points, self.span, clear)

    def _change(self, change: Callable[[str, pa.Table], None], events: pa.Table) -> None:
        """Every change of the store goes through here: under the lease before it and after it."""
        with self.lease.changing(self.slice_id, self.t.run_id):
            change(self.slice_id.source, events)

    async def _look(self, stored: pa.Table, whole: Sequence[str], over: Collection[str]) -> Look:
        share = self.t.bounds.deep_share
        return await self.stages.threaded("verify", look, self.t.store, self.slice_id, stored, whole, share, over)

    async def _second_look(self, events: pa.Table, manifest: Manifest, differ: Collection[str]) -> SliceResult:
        """Recounts and pulls the points once more before a difference is called drift (design.md, rule 1)."""
        fresh, failed = await self.stages.timed("pull", lambda: self._pull_some(differ))
        got = [point for point in self.ids if point in differ and point not in failed]
        events = ordered(reconcile.replaced(events, got, fresh))
        kept = {point: why for point, why in manifest.failed.items() if point not in got}
        manifest = await self._land(events, {**kept, **failed})
        said = await self.stages.timed("count", lambda: self.t.source.tally(self.points, self.span))
        return await self._all_over(events, manifest, said, rewriting=True, again=False)

    async def _doubt(self, events: pa.Table, whole: Collection[str], before: pa.Table | None = None) -> Doubt | None:
        """The points that lost or changed more than is believed of them; None when all is believed."""
        history = await self._history()
        pieces = current(history, self.span)
        if not pieces:
            return None
        if await asyncio.to_thread(self.t.ledger.loss_accepted, self.slice_id):
            return None
        if before is None:
            before, _ = await asyncio.to_thread(self._current_events, history)
        bounds = self.t.bounds
        if self.t.is_open(self.span) or any(piece.provisional for piece in pieces):
            rule = too_much_gone if self.t.is_open(self.span) else late_losses
            lost = await asyncio.to_thread(rule, before, events, whole, bounds.believe_shrink)
            return Doubt(lost, before) if lost else None
        ask = partial(
            doubted, self.t.landing, self.t.ledger, self.slice_id, self.window, events, before, whole,
            believe_shrink=bounds.believe_shrink, believe_change=bounds.believe_change,
        )  # fmt: skip
        lost = await asyncio.to_thread(ask)
        return Doubt(lost, before, whole=too_many(lost, before, len(self.ids))) if lost else None

    def _current_events(
        self, history: list[SliceRecord], slice_id: SliceId | None = None
    ) -> tuple[pa.Table, dict[str, str]]:
        slice_id = slice_id or self.slice_id
        most = self.t.bounds.most_bytes(slice_id.span)
        return current_events(self.t.landing, self.t.store, slice_id, self.window, self.ids, history, most)

    async def _quarantine(self, manifest: Manifest, lost: Mapping[str, Loss]) -> SliceResult:
        point, most = max(lost.items(), key=lambda item: item[1].gone)
        note = (
            f"{len(lost)} points shrank or changed, most {point} from {most.before:,} to {most.now:,} {most.what}; "
            "nothing was changed in IoTDB. If the source is right: ferry restate --accept-loss over this span, then "
            "backfill"
        )
        await ended(
            self.t.ledger.record,
            [replace(self._row("quarantined", manifest.generation, manifest.events), note=note)],
        )
        return self._result("quarantined", empty(), 0, {}, note)

    def _excepted(self) -> dict[str, str]:
        """The open exceptions of the span: reasons by point."""
        found = self.t.ledger.exclusions(self.slice_id.source, self.slice_id.group, self.span)
        return {each.point: each.reason for each in found}

    async def _history(self) -> list[SliceRecord]:
        return await asyncio.to_thread(self.t.ledger.history, self.slice_id.source, self.slice_id.group, self.span)

    async def _record(self, state: State, manifest: Manifest, events: int) -> None:
        await ended(self.t.ledger.record, [self._row(state, manifest.generation, events)])

    def _row(self, state: State, generation: str, events: int, rounded: int = 0) -> SliceRecord:
        return SliceRecord(self.slice_id, state, generation, self.t.run_id, events, len(self.points), rounded)

    def _result(
        self, state: State, events: pa.Table, rounded: int, unproved: Mapping[str, str], note: str = ""
    ) -> SliceResult:
        return SliceResult(
            self.slice_id, state, len(events), len(self.points), rounded, dict(unproved), note,
            time.monotonic() - self.began, dict(self.stages.seconds), self.differing, text_bytes(events),
        )  # fmt: skip
