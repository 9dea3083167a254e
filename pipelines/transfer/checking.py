"""The store asked alone: whether it holds what was landed, and made so from the landing where it does not.

What the source said of a generation was compared when that was landed, so the source is not asked again: one that was
switched off for good stops no check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipelines import reconcile
from pipelines.landing import DamagedLanding, Manifest
from pipelines.ledger import PROVISIONAL, Current
from pipelines.ports import SourceTally
from pipelines.samples import coarsen
from pipelines.timeline import missing
from pipelines.transfer.generations import joined, of_points, within
from pipelines.transfer.proving import Look, prove
from pipelines.transfer.reading_back import read_back
from pipelines.transfer.reasons import LOST
from pipelines.transfer.results import SliceResult
from pipelines.transfer.slice_work import SliceWork


@dataclass(frozen=True, slots=True)
class _Landed:
    """A generation over a span: its events, its manifest, and whether they had to be read back from the store."""

    events: pa.Table
    manifest: Manifest
    from_store: bool = False


class StoreCheck(SliceWork):
    """Lives for one call of Transfer.check."""

    async def check(self, piece: Current, *, deep: bool) -> SliceResult:
        """Compares, and makes the store hold what the generation says."""
        self.provisional = piece.provisional
        known = await asyncio.to_thread(self.t.ledger.proofs_of, piece.record)
        proved = {row["point"]: row for row in known.to_pylist()}
        landed = await self._landed(piece, proved)
        ids = sorted({*landed.manifest.points, *landed.manifest.failed, *self.ids})
        stored, rounded = await asyncio.to_thread(coarsen, landed.events, self.t.store.clock_ns)
        seen = await self._look(stored, ids, ids if deep or landed.from_store else ())
        torn = {each.point for each in seen.torn}
        self.differing = frozenset(torn)
        excepted = await asyncio.to_thread(self._excepted)
        lost = {point for point, reason in excepted.items() if reason == LOST}
        uncovered = missing(self.span, await asyncio.to_thread(self._coverage))
        unread = seen.unread.keys() - excepted.keys()
        if not (torn or lost or unread or uncovered or landed.from_store):
            return self._result("verified", landed.events, rounded, {})
        if torn:
            seen = await self._put_back(stored, ids, torn)
        manifest = landed.manifest
        if landed.from_store or self.span != piece.record.slice.span:
            manifest = await self._land(landed.events, dict(manifest.failed))
        said = self._said(seen, manifest, proved, {p: why for p, why in excepted.items() if why != LOST})
        proven = await self.stages.threaded("verify", prove, landed.events, seen, manifest, said, ids)
        return await self._commit(landed.events, manifest, proven, rounded, PROVISIONAL if self.provisional else "")

    async def _landed(self, piece: Current, proved: Mapping[str, Mapping[str, Any]]) -> _Landed:
        """What is landed; where that is damaged, what the store holds, if it is what was proved to the last event.

        Raises DamagedLanding.
        """
        of_slice, generation = piece.record.slice, piece.record.generation
        try:
            manifest = await asyncio.to_thread(self.t.landing.manifest, of_slice, self.window, generation)
            events = await asyncio.to_thread(self.t.landing.read, of_slice, self.window, generation)
            return _Landed(within(events, self.span), manifest)
        except DamagedLanding:
            if self.provisional or self.span != of_slice.span or not proved:
                raise
            events = await asyncio.to_thread(self._read_back, sorted({*proved, *self.ids}))
            held = reconcile.deep_rows([events])
            for point, row in proved.items():
                its = held.get(point, {"events": 0, "digest": 0})
                if its["events"] != row["events"] or (row["events"] and its["digest"] != row["digest"]):
                    raise
            failed = {point: "its proof failed" for point, row in proved.items() if row["proof"] == "none"}
            points = sorted(proved.keys() - failed.keys())
            return _Landed(events, replace(_NOTHING, points=points, failed=failed), from_store=True)

    def _read_back(self, ids: list[str]) -> pa.Table:
        parts: list[pa.Table] = []
        read_back(self.t.store, self.slice_id.source, ids, self.span, parts.append)
        return joined(parts)

    async def _put_back(self, stored: pa.Table, ids: list[str], torn: Collection[str]) -> Look:
        await self._write(of_points(stored, torn), stored, torn)
        return await self._look(stored, ids, torn)

    def _said(
        self, seen: Look, manifest: Manifest, proved: Mapping[str, Mapping[str, Any]], excepted: Mapping[str, str]
    ) -> SourceTally:
        """What the source said when the generation was proved: of what is not excepted, just what was landed."""
        told = [point for point in manifest.points if point not in excepted]
        origins = [proved[point]["origin"] if point in proved else "re-read" for point in told]
        events = [int(seen.landed.get(point, {"events": 0})["events"]) for point in told]
        table = pa.table(
            {
                "point": pa.array(told, pa.string()),
                "events": pa.array(events, pa.int64()),
                "origin": pa.array(["re-read" if each == "none" else each for each in origins], pa.string()),
            }
        )
        return SourceTally(table, "re-read", dict(excepted))

    def _coverage(self) -> list[Any]:
        return self.t.ledger.coverage(self.slice_id.source, self.slice_id.group)


_NOTHING = Manifest("", "", 0, 1, "", 0, 0, "", [])
