"""What passes and sweeps stand on: the groups of a source, their leases, and looking again in bounded parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from pipelines.ledger import current, outlived
from pipelines.planning import can_halve
from pipelines.points import Point
from pipelines.ports import Lease, LedgerStore, Retry, SliceId, SliceRecord, Split, Unreachable
from pipelines.sync.results import Troubles
from pipelines.timeline import DAY_NS, MINUTE_NS, Interval, clip, split_at, split_evenly
from pipelines.transfer import SliceResult, Transfer, leased

PATIENCE_S = 5.0
"""A group that somebody else works on is left for the next time."""
OLD_FOR_NS = DAY_NS
"""So long an old generation is kept once nothing names it: whoever reads began before that."""


class Ground:
    """One source: `windows` hold all that is worked on; leases end at the handover, which is None before sync began."""

    def __init__(
        self,
        transfer: Transfer,
        points_by_group: Mapping[str, Sequence[Point]],
        windows: Sequence[Interval],
        *,
        handover_ns: int | None,
        now_ns: Callable[[], int],
        on_slice: Callable[[SliceResult], None] = lambda _: None,
    ) -> None:
        self.transfer, self.points, self.windows = transfer, points_by_group, windows
        self.handover_ns, self.now_ns, self.on_slice = handover_ns, now_ns, on_slice

    @property
    def ledger(self) -> LedgerStore:
        return self.transfer.ledger

    @property
    def source(self) -> str:
        return self.transfer.source.name

    @asynccontextmanager
    async def leased(self, group: str, span: Interval) -> AsyncIterator[tuple[Interval, Lease]]:
        """The window of a span, and the lease on its part of it. Raises Retry when somebody else keeps it."""
        window = next(each for each in self.windows if each.start_ns <= span.start_ns < each.end_ns)
        part = next(each for each in split_at(window, self.handover_ns) if each.start_ns <= span.start_ns < each.end_ns)
        async with leased(
            self.ledger, self.source, group, part, self.transfer.run_id or "ferry sync", PATIENCE_S
        ) as lease:
            yield window, lease

    async def refreshed(
        self,
        group: str,
        span: Interval,
        window: Interval,
        lease: Lease,
        *,
        doubted: frozenset[str] = frozenset(),
        deep: bool = False,
        mend: bool = True,
        provisional: bool = False,
        one_piece: bool = True,
    ) -> list[SliceResult]:
        """Asks again about a covered span, in parts of about a slice each. Raises Split for what cannot be cut."""
        done: list[SliceResult] = []
        parts = list(reversed(await asyncio.to_thread(self._bounded, group, span)))
        while parts:
            part = parts.pop()
            try:
                found = await self.transfer.refresh(
                    SliceId(self.source, group, part), window, self.points[group], lease, doubted,
                    deep=deep, mend=mend, provisional=provisional, one_piece=one_piece,
                )  # fmt: skip
            except Split as error:
                if not can_halve(part):
                    raise
                parts += reversed(error.parts(part))
                continue
            self.on_slice(found)
            done.append(found)
        return done

    def _bounded(self, group: str, span: Interval) -> list[Interval]:
        """The span in parts of whole minutes that each hold about a slice's worth of events."""
        history = self.ledger.history(self.source, group, span)
        events = sum(
            each.record.events * each.span.length_ns // each.record.slice.span.length_ns
            for each in current(history, span)
        )
        number = -(-events // self.transfer.bounds.slice_events)
        if number <= 1:
            return [span]
        return list(split_evenly(span, max(MINUTE_NS, span.length_ns // number // MINUTE_NS * MINUTE_NS)))

    async def tidied(self, group: str, span: Interval, troubles: Troubles) -> int:
        """Lets go of old generations of what is covered and settled; how many.

        Nothing goes where a generation that counts is not there whole: an old one may be what is left of it.
        """
        try:
            return await asyncio.to_thread(self._tidy, group, span)
        except Unreachable:
            raise
        except (OSError, Retry) as error:
            troubles.add(f"old generations cannot be removed: {error}", group)
            return 0

    def _tidy(self, group: str, span: Interval) -> int:
        windows = [window for window in self.windows if window.overlaps(span)]
        files = self.transfer.landing.files(self.source, group, windows)
        before_ns = time.time_ns() - OLD_FOR_NS  # as the ledger's rows are stamped, whatever the plant's clock says
        old: set[str] = set()
        for part in clip(self.ledger.coverage(self.source, group), span):
            standing = self.ledger.history(self.source, group, part)
            if files.keys() <= {record.generation for record in standing} or not self._holds(windows, standing, part):
                continue
            history = self.ledger.history(self.source, group, part, replaced=True)
            old |= outlived(history, part, before_ns) & files.keys()
        for generation in old:
            for path in files[generation]:  # the manifest first: what is left after a kill does not count
                path.unlink(missing_ok=True)
        return len(old)

    def _holds(self, windows: Sequence[Interval], standing: Sequence[SliceRecord], part: Interval) -> bool:
        return all(
            self.transfer.landing.holds(each.record.slice, window, each.record.generation)
            for each in current(standing, part)
            for window in windows
            if window.start_ns <= each.span.start_ns < window.end_ns
        )
