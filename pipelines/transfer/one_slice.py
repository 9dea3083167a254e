"""Moves slices: pull, land, write, verify, commit; or looks again at what is covered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.landing import Landing
from pipelines.ledger import Current
from pipelines.points import Point
from pipelines.ports import Known, Lease, LedgerStore, SliceId, SliceRecord, Source, Store
from pipelines.timeline import Interval
from pipelines.transfer.checking import StoreCheck
from pipelines.transfer.refreshing import SliceRefresh
from pipelines.transfer.results import Bounds, SliceResult
from pipelines.transfer.slice_work import SliceWork


@dataclass(frozen=True)
class Transfer:
    """Moves slices of one source into one store. One instance serves concurrent slices."""

    source: Source
    store: Store
    ledger: LedgerStore
    landing: Landing
    bounds: Bounds
    run_id: str = ""
    expired: Sequence[Interval] = ()
    """What the store has forgotten, or would: such slices are landed and proved against the source only."""
    open_from_ns: int = 2**63 - 1
    """Slices that end later are open: what late edits do to them is believed more easily (design.md, rule 3)."""
    known: Known | None = None
    """The catalogue that the points of all slices are of; None where it cannot change meanwhile."""
    turn: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)
    """Held by a slice while it pulls: those that begin together else ask the source together, and then the store."""

    def is_open(self, span: Interval) -> bool:
        """Whether the lateness of the span is not over yet."""
        return span.end_ns > self.open_from_ns

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
        return await SliceWork(self, slice_id, window, points, lease).from_source(asked)

    async def advance(
        self, slice_id: SliceId, window: Interval, points: Sequence[Point], lease: Lease, overlap: Interval | None
    ) -> SliceResult:
        """Like `run` for what has just happened; `overlap`, which is covered and ends at the slice, is read again.

        `differing` of the result are the points whose events in the overlap are no longer what was landed. Proofs are
        not kept point by point: they come when the slice settles (docs/decisions/0007).
        """
        return await SliceWork(self, slice_id, window, points, lease, provisional=True).from_source(None, overlap)

    async def resume(self, record: SliceRecord, window: Interval, points: Sequence[Point], lease: Lease) -> SliceResult:
        """Goes on from a landed generation, without pulling. Raises DamagedLanding, Retry, Stop."""
        return await SliceWork(self, record.slice, window, points, lease).from_landing(record.generation)

    async def refresh(
        self,
        slice_id: SliceId,
        window: Interval,
        points: Sequence[Point],
        lease: Lease,
        doubted: Collection[str] = (),
        *,
        deep: bool = False,
        mend: bool = True,
        provisional: bool = False,
        one_piece: bool = True,
    ) -> SliceResult:
        """Asks the source again about a covered slice: counts (`deep`: every event), and pulls just the points that
        differ, that are `doubted` or that have an exception. `differing` of the result are those that had changed.

        Without `mend` nothing is changed. With `one_piece` the generations of many passes become one; `provisional`
        keeps no proofs. Raises Split, Retry, Stop.
        """
        work = SliceRefresh(self, slice_id, window, points, lease, provisional=provisional)
        return await work.refresh(doubted, deep=deep, mend=mend, one_piece=one_piece)

    async def check(
        self, piece: Current, window: Interval, points: Sequence[Point], lease: Lease, *, deep: bool
    ) -> SliceResult:
        """Compares a generation that counts with the store, without the source; `deep`: every event is read back.

        `differing` of the result are the points in which the store differed; it is then made as landed. Where the
        landing is damaged and the store is as it was proved, it is landed anew. Raises DamagedLanding, Retry, Stop.
        """
        slice_id = replace(piece.record.slice, span=piece.span)
        return await StoreCheck(self, slice_id, window, points, lease).check(piece, deep=deep)
