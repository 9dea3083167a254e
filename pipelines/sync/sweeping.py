"""Sweeps: settled history asked about again, so that drift is found however late it comes.

A day is counted again the more seldom the older it is; days that were not read deep for longest are read deep with what
is left of the time, since an edit need not change a count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.points import Point
from pipelines.ports import Exclusion, Looked, Retry, Split, Stop, Unreachable
from pipelines.sync.agenda import overdue
from pipelines.sync.checking import CheckResult
from pipelines.sync.ground import Ground
from pipelines.sync.results import Troubles
from pipelines.timeline import DAY_NS, Interval, clip, split_at, split_evenly, subtract
from pipelines.transfer import DRIFT, SliceResult, Transfer


@dataclass(slots=True)
class SweepResult:
    """What a sweep did, and what it found: points by (group, span)."""

    seconds: float = 0.0
    counted: int = 0
    read_deep: int = 0
    left: int = 0
    drift: dict[tuple[str, Interval], frozenset[str]] = field(default_factory=dict)
    mended: int = 0
    edited: list[tuple[str, Interval]] = field(default_factory=list)
    """Where points were pulled again and are now as the source has them."""
    let_go: int = 0
    """Old generations of settled days that were removed from the landing."""
    troubles: Troubles = field(default_factory=Troubles)
    store: CheckResult = field(default_factory=CheckResult)
    """Of the check of the store that came before."""

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line a reason."""
        return [*self.store.problems, *self.troubles.lines()]


@dataclass(frozen=True, slots=True)
class _Day:
    """A covered part of a day of one group."""

    group: str
    span: Interval
    deep: bool
    last_ns: int
    """When it was last asked about in this way; 0 for never."""


class Sweeping(Ground):
    """Sweeps one source over `reach`, which is past its lateness. `mend`: what drifted is pulled, or only named."""

    def __init__(
        self,
        transfer: Transfer,
        points_by_group: Mapping[str, Sequence[Point]],
        windows: Sequence[Interval],
        reach: Interval,
        *,
        handover_ns: int | None,
        mend: bool,
        now_ns: Callable[[], int],
        on_slice: Callable[[SliceResult], None] = lambda _: None,
    ) -> None:
        super().__init__(transfer, points_by_group, windows, handover_ns=handover_ns, now_ns=now_ns, on_slice=on_slice)
        self.reach, self.mend = reach, mend
        self.result = SweepResult()

    async def run(self, until_s: float, *, all_deep: bool = False) -> SweepResult:
        """Works until `until_s` (monotonic seconds): counts that are due, then deep reads, the longest ago first.

        With `all_deep` every day is read deep once, whatever is due. Raises Stop, Unreachable.
        """
        began_s = time.monotonic()
        queue = await asyncio.to_thread(self._deep_days if all_deep else self._days)
        for place, day in enumerate(queue):
            if time.monotonic() >= until_s:
                self.result.left = len(queue) - place
                break
            await self._sweep(day)
        self.result.seconds = time.monotonic() - began_s
        return self.result

    def _days(self) -> list[_Day]:
        return [*self._counts_due(), *self._deep_days()]

    def _counts_due(self) -> list[_Day]:
        """Days whose count is due, the most overdue in proportion to their age first; known drift before all others
        where it is to be mended."""
        now_ns = self.now_ns()
        known = self.ledger.exclusions(self.source, None, self.reach) if self.mend else []
        drifted = {(each.group, each.span) for each in known if each.reason == DRIFT}
        found = []
        for day in self._parts(deep=False):
            how = overdue(now_ns, day.span.end_ns, day.last_ns)
            if any(group == day.group and span.overlaps(day.span) for group, span in drifted):
                how = float("inf")
            if how >= 1:
                found.append((how, day))
        return [day for _, day in sorted(found, key=lambda pair: -pair[0])]

    def _deep_days(self) -> list[_Day]:
        return sorted(self._parts(deep=True), key=lambda day: (day.last_ns, -day.span.end_ns))

    def _parts(self, *, deep: bool) -> list[_Day]:
        ledger, source = self.transfer.ledger, self.transfer.source.name
        now_ns = self.now_ns()
        known = ledger.looks(source, self.reach)
        looks = [look for look in known if look.asked_ns <= now_ns and (look.deep or not deep)]
        found = []
        for group in self.points:
            mine = [look for look in looks if look.group == group]
            kept = subtract(clip(ledger.coverage(source, group), self.reach), self.transfer.expired)
            for part in kept:
                for day in split_evenly(part, DAY_NS):
                    for span in split_at(day, self.handover_ns):
                        last_ns = max((look.asked_ns for look in mine if look.span.contains(span)), default=0)
                        found.append(_Day(group, span, deep, last_ns))
        return found

    async def _sweep(self, day: _Day) -> None:
        asked_ns, still_open = self.now_ns(), self.transfer.is_open(day.span)
        try:
            async with self.leased(day.group, day.span) as (window, lease):
                done = await self.refreshed(
                    day.group, day.span, window, lease, deep=day.deep, mend=self.mend, provisional=still_open
                )
        except (Stop, Unreachable):
            raise
        except (Retry, Split) as error:
            self.result.troubles.add(str(error), f"{day.group} {day.span}")
            return
        drifted = frozenset().union(*(each.differing for each in done))
        await asyncio.to_thread(self._tell, day, done)
        look = Looked(self.source, day.group, day.span, asked_ns, day.deep, len(drifted))
        await asyncio.to_thread(self.ledger.record_looks, [look])
        if not still_open:
            self.result.let_go += await self.tidied(day.group, day.span, self.result.troubles)
        if day.deep:
            self.result.read_deep += 1
        else:
            self.result.counted += 1
        if drifted:
            self.result.drift[day.group, day.span] = drifted

    def _tell(self, day: _Day, done: Sequence[SliceResult]) -> None:
        """Drift that is not mended is an exception of its points until somebody pulls them again."""
        for each in done:
            if each.state == "quarantined":
                self.result.troubles.add(f"quarantined: {each.note}", str(each.slice))
            elif self.mend:
                if again := each.differing - each.unproved.keys():
                    self.result.mended += len(again)
                    self.result.edited.append((day.group, day.span))
            else:
                self.ledger.exclude(
                    [
                        Exclusion(self.source, day.group, point, each.slice.span, DRIFT)
                        for point in sorted(each.differing)
                    ]
                )
