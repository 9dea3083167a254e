"""What is settled, asked of the store: whether IoTDB still holds what was landed, and nothing else.

No source is asked, so a check goes on after a plant's historian was switched off for good. What the store lost or holds
otherwise is put back from the landing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.landing import DamagedLanding
from pipelines.ledger import FORGOTTEN, TOUCHED_STORE, Current, current
from pipelines.points import Point, point_name
from pipelines.ports import Looked, Retry, SliceId, SliceRecord, Stop, Unreachable
from pipelines.sync.agenda import overdue
from pipelines.sync.ground import Ground
from pipelines.sync.results import Troubles
from pipelines.timeline import DAY_NS, Interval, clip, iso, merge, missing, subtract
from pipelines.transfer import SliceResult, Transfer
from pipelines.transfer.reading_back import counted_stored

ALWAYS = Interval(-(2**62), 2**62)
WHOLE_STORE = Interval(0, 1)
"""Under this span stand looks for what was never moved, which is of no group and has any time."""
_NAMED = 5
_RECORDED = 1_000
"""So many strangers are known by name until the next look."""


@dataclass(slots=True)
class CheckResult:
    """What a check of the store did and found; points by (group, span)."""

    seconds: float = 0.0
    counted: int = 0
    read_deep: int = 0
    left: int = 0
    put_back: dict[tuple[str, Interval], frozenset[str]] = field(default_factory=dict)
    """Where the store had lost or altered something, and holds again what was landed."""
    strangers: dict[str, str] = field(default_factory=dict)
    """Points of which it holds events that were never moved: what and when."""
    events: int = 0
    """That were compared."""
    troubles: Troubles = field(default_factory=Troubles)

    @property
    def points_put_back(self) -> int:
        """Of which the store had lost or altered something anywhere."""
        return len(frozenset().union(*self.put_back.values()))

    @property
    def problems(self) -> list[str]:
        """What went wrong and what a person has to look at, a line a reason."""
        strange = [f"{point_name(point)}: {why}" for point, why in sorted(self.strangers.items())]
        more = [f"and {len(strange) - _NAMED:,} more points of that kind"] if len(strange) > _NAMED else []
        return [*self.troubles.lines(), *strange[:_NAMED], *more]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What began on one day of one group, and when it was last looked at in this way: the clock's and the ledger's."""

    group: str
    day: Interval
    spans: tuple[Interval, ...]
    newest_seq: int
    deep: bool
    last_ns: int
    last_seq: int


class StoreChecks(Ground):
    """Checks of one source's events over `reach`; what ended within `recent_ns` is counted each time."""

    def __init__(
        self,
        transfer: Transfer,
        points_by_group: Mapping[str, Sequence[Point]],
        windows: Sequence[Interval],
        reach: Interval,
        *,
        handover_ns: int | None,
        now_ns: Callable[[], int],
        recent_ns: int = 7 * DAY_NS,
        on_slice: Callable[[SliceResult], None] = lambda _: None,
    ) -> None:
        super().__init__(transfer, points_by_group, windows, handover_ns=handover_ns, now_ns=now_ns, on_slice=on_slice)
        self.reach = reach.intersect(Interval(windows[0].start_ns, windows[-1].end_ns)) or reach
        self.recent_ns = recent_ns
        self.result = CheckResult()

    async def run(self, until_s: float, *, all_deep: bool = False) -> CheckResult:
        """Counts what is due, looks for what was never moved, then reads deep what was not for longest, until `until_s`
        (monotonic seconds); with `all_deep` all of it. Raises Stop, Unreachable."""
        began_s = time.monotonic()
        counts = [] if all_deep else await asyncio.to_thread(self._counts)
        await self._work_off(counts, until_s)
        await asyncio.to_thread(self._look_for_strangers)
        deep = await asyncio.to_thread(self._deep_reads)
        await self._work_off(deep, until_s)
        self.result.seconds = time.monotonic() - began_s
        return self.result

    async def restore(self, spans_by_group: Mapping[str, Sequence[Interval]]) -> CheckResult:
        """Has the store hold, and the ledger cover, what was landed of the spans: every event is compared.

        Raises Stop, Unreachable.
        """
        began_s = time.monotonic()
        for group, spans in spans_by_group.items():
            for piece in await asyncio.to_thread(self._pieces, group, spans):
                await self._check(group, piece.span, deep=True)
        self.result.seconds = time.monotonic() - began_s
        return self.result

    async def _work_off(self, units: Sequence[_Unit], until_s: float) -> None:
        for place, unit in enumerate(units):
            if time.monotonic() >= until_s:
                self.result.left += len(units) - place
                return
            asked_ns = self.now_ns()
            found = [await self._check(unit.group, span, deep=unit.deep) for span in unit.spans]
            if None in found:
                continue
            differing = frozenset[str]().union(*filter(None, found))
            look = Looked(self.source, unit.group, unit.day, asked_ns, unit.deep, len(differing), "store")
            await asyncio.to_thread(self.ledger.record_looks, [look])
            if unit.deep:
                self.result.read_deep += 1
            else:
                self.result.counted += 1

    async def _check(self, group: str, span: Interval, *, deep: bool) -> frozenset[str] | None:
        """One generation; points in which the store differed, None where it could not be checked."""
        differing: frozenset[str] = frozenset()
        try:
            async with self.leased(group, span) as (window, lease):
                for piece in await asyncio.to_thread(self._pieces, group, [span]):  # as it is under the lease
                    done = await self.transfer.check(piece, window, self.points.get(group, ()), lease, deep=deep)
                    self.on_slice(done)
                    self.result.events += done.events
                    if done.differing:
                        self.result.put_back[group, piece.span] = done.differing
                        differing |= done.differing
        except (Stop, Unreachable):
            raise
        except DamagedLanding as error:
            await asyncio.to_thread(self._withdraw, group, span, str(error))
            self.result.troubles.add(str(error), f"{group} {span}")
            return None
        except Retry as error:
            self.result.troubles.add(str(error), f"{group} {span}")
            return None
        return differing

    def _withdraw(self, group: str, span: Interval, why: str) -> None:
        """What cannot be read any more is proved by nothing: the next backfill or pass pulls it."""
        for piece in self._pieces(group, [span]):
            self.ledger.withdraw(SliceId(self.source, group, piece.span), why, self.transfer.run_id)

    def _pieces(self, group: str, spans: Iterable[Interval]) -> list[Current]:
        """The generations that count over the spans, but for what the store was not given or has forgotten."""
        found = []
        for span in spans:
            for piece in current(self.ledger.history(self.source, group, span), span):
                if piece.record.note != FORGOTTEN:
                    kept = subtract([piece.span], self.transfer.expired)
                    found += [Current(piece.record, part) for part in kept]
        return found

    def _counts(self) -> list[_Unit]:
        """What is recent or was committed since it was counted, the newest first; then what is due for its age."""
        now_ns = self.now_ns()
        first, later = [], []
        for unit in self._units(deep=False):
            if unit.newest_seq > unit.last_seq or unit.day.end_ns > now_ns - self.recent_ns:
                first.append(unit)
            elif (how := overdue(now_ns, unit.day.end_ns, unit.last_ns)) >= 1:
                later.append((how, unit))
        first.sort(key=lambda unit: -unit.day.end_ns)
        return [*first, *(unit for _, unit in sorted(later, key=lambda pair: -pair[0]))]

    def _deep_reads(self) -> list[_Unit]:
        return sorted(self._units(deep=True), key=lambda unit: (unit.last_ns, -unit.day.end_ns))

    def _units(self, *, deep: bool) -> list[_Unit]:
        looks = [look for look in self.ledger.looks(self.source, self.reach, "store") if look.deep or not deep]
        units = []
        for group in self.points:
            days: dict[int, list[Current]] = {}
            for piece in self._pieces(group, clip(self.ledger.coverage(self.source, group), self.reach)):
                days.setdefault(piece.span.start_ns // DAY_NS * DAY_NS, []).append(piece)
            mine = [look for look in looks if look.group == group]
            for start_ns, pieces in days.items():
                day = Interval(start_ns, start_ns + DAY_NS)
                newest = max((look for look in mine if look.span == day), key=lambda look: look.seq, default=None)
                units.append(
                    _Unit(
                        group, day, tuple(piece.span for piece in pieces), max(piece.record.seq for piece in pieces),
                        deep, newest.asked_ns if newest else 0, newest.seq if newest else 0,
                    )
                )  # fmt: skip
        return units

    def _look_for_strangers(self) -> None:
        """Events of points that are not known, and outside of all that was ever moved."""
        held = {row["point"]: row for row in self.transfer.store.held(self.source).to_pylist()}
        known = {point.id for point in self.ledger.known_points(self.source)}
        by_group = {group: {point.id for point in points} for group, points in self.points.items()}
        for point in held.keys() - known:
            self._strange(point, held[point]["events"], held[point]["first_ns"], held[point]["last_ns"])
        for group, ids in by_group.items():
            history = self.ledger.history(self.source, group, ALWAYS)
            there = [held[point] for point in ids & held.keys()]
            for gap in missing(ALWAYS, [*_touched(history), *self.transfer.expired]):
                some = [
                    row["point"] for row in there if row["first_ns"] < gap.end_ns and row["last_ns"] >= gap.start_ns
                ]
                if some:
                    rows, uncounted = counted_stored(self.transfer.store, self.source, some, gap)
                    self.result.strangers |= uncounted
                    for point, row in rows.items():
                        self._strange(point, row["events"], row["first_ns"], row["last_ns"])
        found = sorted(self.result.strangers)
        look = Looked(self.source, "", WHOLE_STORE, self.now_ns(), False, len(found), "store", tuple(found[:_RECORDED]))
        self.ledger.record_looks([look])

    def _strange(self, point: str, events: int, first_ns: int, last_ns: int) -> None:
        self.result.strangers[point] = (
            f"IoTDB holds {events:,} events from {iso(first_ns)} to {iso(last_ns)} that were never moved: somebody "
            "else wrote them. Delete them there if they are wrong"
        )


def _touched(history: Collection[SliceRecord]) -> list[Interval]:
    """Where a slice was ever on its way into the store."""
    return merge(record.slice.span for record in history if record.state in TOUCHED_STORE)
