"""The whole line of one plant, opened: servers, source, landing, store and ledger put together for one use.

Both the assets and the command line run this, so that there is one way of doing each thing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import pyarrow as pa

from assets_defs.clock_facts import record_expiry
from assets_defs.discovery import Answer, Discovery, check_selection, discover, look_for_points
from assets_defs.grouping import check_groups
from assets_defs.landing_identity import check_landing, claim_landing
from pipelines import clocks
from pipelines.evidence import Evidence, Scope, Standing, gather, standings
from pipelines.journal import JournalSource
from pipelines.landing import Landing
from pipelines.planning import Density
from pipelines.plant import Plant, SourceSettings, expiry_ns
from pipelines.points import Point, group_label, in_group, selected
from pipelines.ports import Absence, Clocked, Kept, Source, Stop, Store
from pipelines.timeline import HOUR_NS, Interval, merge
from pipelines.transfer import Bounds, PairResult, Recount, RectangleRun, SliceResult, Transfer, recount
from resources.embedded import Progress
from resources.iotdb import IoTDBStore
from resources.outside import Outside
from resources.postgres import PostgresLedger
from resources.store_binding import opened, rebound, trouble

T = TypeVar("T")
_HOST_NS = time.time_ns
PATIENCE_S = 120.0
"""A pass of sync that has the lease gives it back long before."""


@dataclass
class Line:
    """One plant's line. Close it, or use `open_line`."""

    plant: Plant
    progress: Progress | None = None
    run_id: str = ""
    now_ns: Callable[[], int] = _HOST_NS
    """The clock that decides what is final, late and settled; a test of a plant in another time gives its own."""
    urgent: bool = False
    """Whether its questions to a source go before those of a backfill that runs beside it."""
    _ahead_ns: dict[str, int] = field(default_factory=dict)
    """By source, how far this host's clock was found to be ahead of its own."""
    _grouped: set[str] = field(default_factory=set)
    """Sources whose groups were found to be those of the ledger."""

    @cached_property
    def outside(self) -> Outside:
        return Outside(self.plant, self.progress)

    @cached_property
    def ledger(self) -> PostgresLedger:
        return self.outside.ledger()

    @cached_property
    def store(self) -> IoTDBStore:
        """The plant's store, seen to be the one that the proofs are about. Raises Stop where it is not."""
        return opened(self.outside, self.ledger)

    def store_trouble(self) -> tuple[str, str]:
        """Why the store that answers is not the one that the proofs are about, and why none answers; '' where not."""
        return trouble(self.outside, self.ledger)

    def rebind_store(self, *, take_over: bool) -> bool:
        """Binds the ledger to the store that answers where it is another one than before, and whether it is. All
        coverage is withdrawn then, and marts count as not made. Raises Unreachable, Stop."""
        self.__dict__["store"], anew = rebound(self.outside, self.ledger, take_over=take_over)
        if anew:
            shutil.rmtree(self.plant.state_dir / "marts" / "made", ignore_errors=True)
        return anew

    @cached_property
    def landing(self) -> Landing:
        """The landing that the ledger is about. Raises Stop where the plant file names another folder."""
        check_landing(self.ledger, self.plant.landing_dir)
        return Landing(self.plant.landing_dir)

    def close(self) -> None:
        """Closes what was opened; servers go on running."""
        for name in ("ledger", "store"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def claim(self) -> None:
        """What is landed from here on is landed where the ledger knows it. Raises Stop where that is another folder."""
        claim_landing(self.ledger, self.plant.landing_dir)

    def reconnect(self) -> None:
        """Forgets its connections: the next use makes new ones, and starts an embedded server that has died."""
        self.close()

    def groups(self, settings: SourceSettings) -> list[str]:
        """Labels of the source's point groups. Raises Stop where the plant file divides it otherwise than before."""
        if settings.name not in self._grouped:
            check_groups(settings, self.ledger.grouped(settings.name))
            self._grouped.add(settings.name)
        return [group_label(index) for index in range(settings.point_groups)]

    def windows(self, settings: SourceSettings, span: Interval | None = None) -> list[Interval]:
        """The source's windows, or those that touch the span."""
        windows = settings.windows(self.now_ns())
        return [window for window in windows if span is None or window.overlaps(span)]

    def wanted(self, settings: SourceSettings, span: Interval | None = None) -> Interval | None:
        """What of the span (or of all) the plant file asks for and is final enough to be moved now."""
        end = self.final_ns(settings)
        if end <= settings.start:
            return None
        final = Interval(settings.start, end)
        return final if span is None else final.intersect(span)

    def final_ns(self, settings: SourceSettings) -> int:
        """Up to when the source is final enough to be moved now, and the plant file asks for it."""
        return min(settings.end or 2**63 - 1, self.time_at(settings) - settings.sync.lag)

    def time_at(self, settings: SourceSettings) -> int:
        """Now, as far as this host and the source have both come: what is later at either is open."""
        return self.now_ns() - self._ahead_ns.get(settings.name, 0)

    def behind_s(self, up_to_ns: int) -> float | None:
        """Seconds from a watermark to now; None where it lies in the future, so that a clock was wrong."""
        return clocks.lag_s(self.now_ns(), up_to_ns, self.plant.limits.clock_apart)

    def catalogue(self, settings: SourceSettings) -> list[Point]:
        """The source's points as the ledger knows them, also those that are gone there: their history is here.

        Raises Stop where the plant file asks for more than is known of.
        """
        check_selection(self, settings)
        gone = [each.point for each in self.absences(settings) if each.believed]
        return sorted([*self.present(settings), *gone], key=lambda point: point.id)

    def present(self, settings: SourceSettings) -> list[Point]:
        """Those of the catalogue that the source can be asked about."""
        return selected(self.ledger.load_points(settings.name), settings.points, settings.exclude)

    def gone(self, settings: SourceSettings) -> dict[str, int]:
        """The points that are gone at the source, and since when (ns UTC)."""
        return {each.point.id: each.since_ns for each in self.absences(settings) if each.believed}

    def absences(self, settings: SourceSettings) -> list[Absence]:
        """Points that the source no longer lists: those that are gone, and missing ones, which are asked about."""
        found = self.ledger.absences(settings.name)
        asked = {point.id for point in selected((a.point for a in found), settings.points, settings.exclude)}
        return [each for each in found if each.point.id in asked]

    def by_group(self, settings: SourceSettings, points: Sequence[Point] | None = None) -> dict[str, list[Point]]:
        """The points, of the whole catalogue unless given, by point group; every group is there, also an empty one."""
        known = self.catalogue(settings) if points is None else points
        return {label: in_group(known, label, settings.point_groups) for label in self.groups(settings)}

    def discover(self, settings: SourceSettings, answer: Answer = "", by: str = "") -> Discovery:
        """Asks the source for its points and records what changed. Raises Stop, Retry."""
        self.claim()
        return discover(self, settings, answer, by)

    def transfer(self, settings: SourceSettings, source: Source, store: Store | None = None) -> Transfer:
        """What moves slices of the source; into `store` where it is not the plant's own.

        To be had before the points are loaded: who is discovered between is then noticed.
        """
        limits = self.plant.limits
        bounds = Bounds(
            limits.slice_events, limits.slice_bytes, limits.believe_shrink, limits.deep_share, limits.believe_change
        )
        expired = self.unkept(settings)
        open_from_ns = self.time_at(settings) - settings.lateness
        known = self.ledger.known(settings.name, settings.point_groups)
        into = store or self.store
        return Transfer(source, into, self.ledger, self.landing, bounds, self.run_id, expired, open_from_ns, known)

    def expired(self, settings: SourceSettings) -> list[Interval]:
        """What IoTDB has forgotten of the source, as the ledger has it. Records nothing."""
        return self.ledger.expired(settings.name)

    def too_old(self, settings: SourceSettings) -> list[Interval]:
        """What is not written any more, because the plant's retention would have IoTDB refuse or forget it."""
        keep_ns = self.plant.retention.raw
        edge_ns = expiry_ns(self.time_at(settings), keep_ns) if keep_ns is not None else settings.start
        return [Interval(settings.start, edge_ns)] if edge_ns > settings.start else []

    def unkept(self, settings: SourceSettings) -> list[Interval]:
        """What IoTDB has forgotten, or would: such slices are landed only."""
        return merge([*self.expired(settings), *self.too_old(settings)])

    def run_pairs(
        self,
        settings: SourceSettings,
        pairs: Iterable[tuple[str, Interval]],
        *,
        asked: frozenset[str] | None = None,
        within: Interval | None = None,
        on_slice: Callable[[SliceResult], None] = lambda _: None,
        on_pair: Callable[[PairResult], None] = lambda _: None,
    ) -> list[PairResult]:
        """Backfills (group, window) pairs; those that are covered already cost a look into the ledger.

        Raises Stop, Unreachable; what was proved until then stays proved.
        """
        look_for_points(self, settings)
        wanted = list(pairs)
        span = Interval(min(w.start_ns for _, w in wanted), max(w.end_ns for _, w in wanted))
        history = self.ledger.history(settings.name, None, span)

        async def work(source: Source) -> list[PairResult]:
            self.claim()
            record_expiry(self, settings)
            run = RectangleRun(
                self.transfer(settings, source),
                self.by_group(settings, self.present(settings)),
                slices_at_once=self.plant.limits.slices_at_once,
                within=self.wanted(settings, within),
                density=Density.of(history),
                asked=asked,
                on_slice=on_slice,
                handover_ns=self.ledger.handover(settings.name),
                patience_s=PATIENCE_S,
            )
            results = []
            async with contextlib.aclosing(run.run(wanted)) as pairs_done:
                async for result in pairs_done:
                    on_pair(result)
                    results.append(result)
            return results

        before = self.outside.asked(settings)
        results = self.with_source(settings, work)
        if events := sum(done.events for result in results for done in result.slices):
            self.outside.record_cost(settings, self.outside.asked(settings) - before, events)
        return results

    def verify(
        self, settings: SourceSettings, span: Interval, *, deep: bool, points: Sequence[Point] | None = None
    ) -> Recount:
        """Recounts source, landing and store now. What differs is an exception from then on. Raises Stop, Retry."""
        groups = self.by_group(settings, points)

        async def work(source: Source) -> Recount:
            transfer = self.transfer(settings, source)
            scope = self.scope(settings, span)
            return await recount(
                transfer, groups, scope.windows, span, deep=deep, open_from_ns=scope.open_from_ns, gone=scope.gone
            )

        found = self.with_source(settings, work)
        self.ledger.exclude(found.exceptions)
        return self._named(settings, found)

    def _named(self, settings: SourceSettings, found: Recount) -> Recount:
        """With the names of the points that it speaks of."""
        told = {*found.unproved, *found.gone, *(point for point, _ in found.drift)}
        if told:
            found.names = {
                point.id: point.name for point in self.ledger.known_points(settings.name) if point.id in told
            }
        return found

    def read_journal(self, settings: SourceSettings, span: Interval) -> tuple[int, int]:
        """Reads the journal of a span into the ledger: (entries that the source counts, that now stand there).

        Raises Stop for a source that tells none, Retry.
        """

        async def work(source: Source) -> tuple[int, pa.Table]:
            if not isinstance(source, JournalSource):
                raise Stop(f"source {settings.name!r} of kind {settings.kind} tells no journal")
            entries = await source.journal(span)
            return await source.count_journal(span), entries

        counted, entries = self.with_source(settings, work)
        return counted, self.ledger.save_journal(settings.name, entries)

    def standings(self, settings: SourceSettings, span: Interval) -> list[Standing]:
        """Where every group stands over the span. Asks the ledger, and the landing where something cuts a slice."""
        looked_at = Landing(self.plant.landing_dir)  # whoever may only read the ledger has a state_dir of their own
        return standings(self.ledger, looked_at, self.scope(settings, span))

    def scope(
        self, settings: SourceSettings, span: Interval, asked: Collection[str] | None = None, group: str | None = None
    ) -> Scope:
        """What evidence is asked about: all of the source, the `asked` ids, or one group."""
        known = self.catalogue(settings)
        points = {
            label: [point.id for point in points if asked is None or point.id in asked]
            for label, points in self.by_group(settings, known).items()
            if group in (None, label)
        }
        fresh_ns = self.time_at(settings) - settings.sync.fresh
        whole = asked is None and len(known) == self.ledger.points_known(settings.name)  # else more was landed
        return Scope(
            settings.name, span, points, self.windows(settings, span), whole=whole,
            open_from_ns=dict.fromkeys(self.followed_to(settings), fresh_ns), gone=self.gone(settings),
        )  # fmt: skip

    def evidence(
        self, settings: SourceSettings, span: Interval, asked: Collection[str] | None = None, group: str | None = None
    ) -> Evidence:
        """How that is proved. Asks no source and no store."""
        evidence = gather(self.ledger, self.landing, self.scope(settings, span, asked, group))
        self._named(settings, evidence.found)
        return evidence

    def followed_to(self, settings: SourceSettings) -> dict[str, int]:
        """By group, up to when all since the handover is covered; groups that nobody has followed yet are left out."""
        handover_ns = self.ledger.handover(settings.name)
        if handover_ns is None or settings.end:
            return {}
        began_ns = max(handover_ns, settings.start)
        return {
            group: part.end_ns
            for group in self.groups(settings)
            for part in self.ledger.coverage(settings.name, group)
            if part.start_ns <= began_ns < part.end_ns
        }

    def hand_over(self, settings: SourceSettings) -> int:
        """From when on sync looks after the source: the hour in which it was first asked for its points.

        Of what we keep ourselves nobody backfills the time before, so sync has all that may still come late to it.
        """
        known = self.ledger.handover(settings.name)
        if known is not None:
            return known

        async def begins(source: Source) -> int:
            if not isinstance(source, Kept):
                return self.time_at(settings)
            first_ns = await source.first_ns()
            now_ns = self.time_at(settings)
            began_ns = min(now_ns, now_ns if first_ns is None else first_ns)
            return max(began_ns - settings.lateness, settings.start)

        return self.ledger.hand_over(settings.name, self.with_source(settings, begins) // HOUR_NS * HOUR_NS)

    def with_source(self, settings: SourceSettings, work: Callable[[Source], Awaitable[T]]) -> T:
        """Does `work` with a client of the source, which is closed in the end."""
        return asyncio.run(self._with_source(settings, work, asked=True))

    def beside_source(self, settings: SourceSettings, work: Callable[[Source], Awaitable[T]]) -> T:
        """Does `work` that is about the source and asks it nothing: it may be switched off."""
        return asyncio.run(self._with_source(settings, work, asked=False))

    async def _with_source(self, settings: SourceSettings, work: Callable[[Source], Awaitable[T]], *, asked: bool) -> T:
        source = self.outside.source(settings, urgent=self.urgent)
        try:
            if asked:
                await self._compare_clocks(settings, source)
            return await work(source)
        finally:
            await source.close()

    async def _compare_clocks(self, settings: SourceSettings, source: Source) -> None:
        """Finds out what time it surely is at the source. Raises Stop where clocks are too far apart."""
        ahead: dict[str, int] = {}
        same: frozenset[str] = frozenset()
        if isinstance(source, Clocked) and (told := await clocks.ahead_ns(source.time_ns, self.now_ns)) is not None:
            ahead[f"source {settings.name}"] = told
            self._ahead_ns[settings.name] = max(-told, 0)
        if self.now_ns is _HOST_NS:  # else it is a plant in another time, and the ledger is in ours
            ledger = self.ledger
            asked_ns, told = self.now_ns(), await asyncio.to_thread(ledger.now_ns)
            ahead[ledger.clock_name] = clocks.at_least_ns(told, asked_ns, self.now_ns())
            same = frozenset({ledger.clock_name} if ledger.on_this_host else ())
        clocks.check_clocks(self.now_ns(), ahead, self.plant.limits.clock_apart, same=same)


@contextlib.contextmanager
def open_line(plant: Plant, progress: Progress | None = None, run_id: str = "") -> Iterator[Line]:
    """A line for the body of a `with`."""
    line = Line(plant, progress, run_id)
    try:
        yield line
    finally:
        line.close()
