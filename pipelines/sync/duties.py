"""What a pass has to do: gaps, landed slices that wait for the store, looks that are due, hours with newcomers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.ledger import resumable
from pipelines.points import Point
from pipelines.ports import NEWCOMER, Exclusion, LedgerStore, SliceRecord
from pipelines.sync.agenda import Due, Heard, Rhythm, due, gaps_newest_first
from pipelines.timeline import DAY_NS, HOUR_NS, Interval, clip, split_at, split_evenly, subtract


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing to do: fill a gap, go on from a landed slice, look again, or pull doubted points anew."""

    group: str
    span: Interval
    resume: SliceRecord | None = None
    look: Due | None = None
    doubted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Duties:
    """Of one source. `reach` is from the handover to what was final when the pass began, `settling` all that looks may
    be due in, if anything. Every method asks the ledger and waits for it."""

    ledger: LedgerStore
    source: str
    points: Mapping[str, Sequence[Point]]
    reach: Interval
    settling: Interval | None
    rhythm: Rhythm
    now_ns: Callable[[], int]

    def all(self, heard: Callable[[str, Sequence[Exclusion]], Heard]) -> list[Duty]:
        """Gaps of all groups newest first, then looks, the longest due first. `heard` is of the change feeds."""
        looks = self.ledger.looks(self.source, self.settling) if self.settling else []
        reaches = list(split_at(self.settling, self.reach.start_ns)) if self.settling else []  # older: sweeps
        since_ns = min(each.start_ns for each in [self.reach, *reaches])
        excepted = self.ledger.exclusions(self.source, None, Interval(since_ns, self.reach.end_ns))
        gaps: list[Duty] = []
        again: list[Duty] = []
        for group in self.points:
            coverage = self.ledger.coverage(self.source, group)
            missing, landed = self.gaps(group, coverage, self.reach)
            gaps += [Duty(group, span) for span in missing]
            gaps += [Duty(group, record.slice.span, resume=record) for record in landed]
            gaps += self._newcomers(group, coverage, excepted)
            mine = [look for look in looks if look.group == group]
            again += [
                Duty(group, each.span, look=each)
                for reach in reaches
                for each in due(self.now_ns(), reach, coverage, mine, self.rhythm, heard(group, excepted))
            ]
        gaps.sort(key=lambda duty: duty.span.end_ns, reverse=True)
        again.sort(key=lambda duty: duty.look.since_ns if duty.look else 0)
        return gaps + again

    def gaps(
        self, group: str, coverage: Sequence[Interval], reach: Interval
    ) -> tuple[list[Interval], list[SliceRecord]]:
        """What of the reach is to be pulled, newest first, and what was landed and only waits for the store."""
        landed = [
            record
            for gap in subtract([reach], coverage)
            for record in resumable(self.ledger.history(self.source, group, gap), gap)
        ]
        return gaps_newest_first(reach, [*coverage, *(record.slice.span for record in landed)]), landed

    def _newcomers(self, group: str, coverage: Sequence[Interval], excepted: Sequence[Exclusion]) -> list[Duty]:
        """Hours since the handover that were covered before some of their points were found as they are."""
        known = {point.id for point in self.points[group]}
        lost: dict[Interval, set[str]] = {}
        for each in excepted:
            if each.reason == NEWCOMER and each.group == group and each.point in known:
                for part in clip(clip(coverage, self.reach), each.span):
                    for hour in split_evenly(part, HOUR_NS):
                        lost.setdefault(hour, set()).add(each.point)
        return [Duty(group, hour, doubted=frozenset(points)) for hour, points in lost.items()]


def settling_from_ns(now_ns: int, lateness_ns: int) -> int:
    """No look will settle what ended before this any more."""
    return (now_ns - lateness_ns - 3 * DAY_NS) // DAY_NS * DAY_NS
