"""Looking again at a slice that is covered: what the source says now, and the points that differ pulled again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pyarrow as pa

from pipelines import reconcile
from pipelines.ledger import current
from pipelines.ports import SourceTally
from pipelines.samples import empty, ordered
from pipelines.transfer.generations import changed, of_points, reflagged
from pipelines.transfer.reading import reread
from pipelines.transfer.results import SliceResult
from pipelines.transfer.slice_work import SliceWork


class SliceRefresh(SliceWork):
    """Lives for one call of Transfer.refresh."""

    async def refresh(self, doubted: Collection[str], *, deep: bool, mend: bool, one_piece: bool) -> SliceResult:
        """Asks again, pulls what differs, proves what changed."""
        history = await self._history()
        pieces = current(history, self.span)
        events, failed = await asyncio.to_thread(self._current_events, history)
        said = await self.stages.timed("count", lambda: self._asked_again(deep=deep))
        excepted = await asyncio.to_thread(self._excepted)
        waiting = excepted.keys() | failed.keys()
        suspects = await self.stages.threaded("compare", self._suspects, events, said, waiting)
        if deep and (unread := said.failed.keys() - waiting):  # what cannot be read may be counted all the same
            counted = await self.stages.timed("count", lambda: self._count(unread))
            suspects |= await self.stages.threaded("compare", self._suspects, events, counted, ())
        suspects |= set(doubted) & set(self.ids)
        fresh, lost = await self.stages.timed("pull", lambda: self._pull_some(suspects))
        got = suspects - lost.keys()
        self.differing = frozenset(await asyncio.to_thread(changed, of_points(events, got), fresh, got))
        if not mend:
            self.differing |= lost.keys() - waiting  # the count differs, and what is there now cannot be had
            return self._result("verified", empty(), 0, {})
        loose = any(piece.provisional for piece in pieces)
        doubt = await self._doubt(fresh, got, events)
        gone = doubt.reasons(self.span) if doubt and not doubt.whole else {}
        got -= gone.keys()
        unproved = {**failed, **lost, **gone}
        merging = one_piece and loose and (len(pieces) > 1 or not self.provisional)
        if not got and not merging and gone.items() <= excepted.items():
            return self._result("verified", empty(), 0, {point: unproved[point] for point in suspects})
        events = ordered(reconcile.replaced(events, got, of_points(fresh, got))) if got else events
        manifest = await self._land(events, {p: why for p, why in unproved.items() if p not in got})
        self.standing = said.failed.keys() - excepted.keys() - failed.keys() - suspects
        return await self._store_and_prove(events, manifest, said, write=got, over=got)

    async def _asked_again(self, *, deep: bool) -> SourceTally:
        if deep:
            return await reread(self.t.source, self.points, self.span, self.t.bounds, self.t.store.clock_ns)
        return await self.t.source.tally(self.points, self.span)

    async def _count(self, points: Collection[str]) -> SourceTally:
        return await self.t.source.tally([point for point in self.points if point.id in points], self.span)

    def _suspects(self, events: pa.Table, said: SourceTally, waiting: Collection[str]) -> set[str]:
        """Points whose landed events are not what the source says, or are annotated otherwise, and those that wait for
        being mended."""
        landed = reconcile.deep_rows([events])
        told = said.table["point"].to_pylist()
        drift = reconcile.against_source(landed, events, said, told)
        suspects = {each.point for each in drift} | (set(waiting) & set(self.ids))
        return suspects if said.flagged is None else suspects | reflagged(events, said.flagged, told)
