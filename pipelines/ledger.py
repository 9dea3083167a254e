"""What the slice history means: which generation counts where, what can be resumed, where a group stands.

Pure: the rows come from a LedgerStore, nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from pipelines.ports import Exclusion, SliceRecord, State
from pipelines.timeline import Interval, clip, merge, missing, subtract

STATES: tuple[str, ...] = get_args(State)
COUNTS = frozenset({"verified", "settled"})
PROVISIONAL = "followed: proofs are kept point by point when it settles"
"""The note of slices that later ones are to replace: of passes, and of hours of an open day."""
ON_DISK = frozenset({"landed", "written"})
TOUCHED_STORE = frozenset({"landed", "written", "verified", "settled", "quarantined"})


@dataclass(frozen=True, slots=True)
class Current:
    """The record whose generation is current over `span`."""

    record: SliceRecord
    span: Interval

    @property
    def provisional(self) -> bool:
        """Whether a later slice is to replace it."""
        return self.record.note == PROVISIONAL


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one group stands over a span: what is covered, what is missing, what waits for a person."""

    group: str
    wanted: Interval
    covered: tuple[Interval, ...]
    gaps: tuple[Interval, ...]
    quarantined: tuple[Interval, ...]
    exclusions: tuple[Exclusion, ...]
    events: int

    @property
    def share(self) -> float:
        """Covered part of the wanted time, 0 to 1."""
        return sum(part.length_ns for part in self.covered) / self.wanted.length_ns

    @property
    def watermark_ns(self) -> int:
        """End of the contiguous coverage from the start of the span."""
        first = self.covered[0] if self.covered else None
        return first.end_ns if first and first.start_ns == self.wanted.start_ns else self.wanted.start_ns


def newest_first(history: Iterable[SliceRecord], span: Interval) -> list[Current]:
    """The newest record of every instant of the span, newest record first. `history` is oldest first."""
    taken: list[Interval] = []
    found: list[Current] = []
    for record in reversed(list(history)):
        for part in subtract(clip([record.slice.span], span), taken):
            found.append(Current(record, part))
        taken = merge([*taken, record.slice.span])
    return found


def current(history: Iterable[SliceRecord], span: Interval) -> list[Current]:
    """The generations that count over the span, in time order: the newest verified one of every instant."""
    counting = [record for record in history if record.state in COUNTS and record.generation]
    return sorted(newest_first(counting, span), key=lambda each: each.span)


def resumable(history: Iterable[SliceRecord], gap: Interval) -> list[SliceRecord]:
    """Slices that a killed run landed and nobody verified since: they go on from disk, without the source."""
    return [
        each.record
        for each in newest_first(history, gap)
        if each.record.state in ON_DISK and each.span == each.record.slice.span and each.record.generation
    ]


def quarantined(history: Iterable[SliceRecord], span: Interval) -> list[Interval]:
    """Where a slice waits for a person."""
    return merge(each.span for each in newest_first(history, span) if each.record.state == "quarantined")


def outlived(history: Sequence[SliceRecord], span: Interval, before_ns: int) -> set[str]:
    """Provisional generations of slices inside of the span that counted nowhere any more before that instant, nor do
    since.

    Kept are what counts, what can be resumed, what is quarantined and what a reader that began since may hold; and what
    was verified for good: when a settled slice shrinks, the generation before stays (design.md, rule 3).
    """
    then = [record for record in history if record.recorded_ns < before_ns]
    named = {
        each.record.generation
        for rows in (history, then)
        for find in (current, newest_first)
        for each in find(rows, span)
    }
    named |= {
        record.generation
        for record in history
        if record.recorded_ns >= before_ns or (record.state in COUNTS and record.note != PROVISIONAL)
    }
    return {record.generation for record in then if span.contains(record.slice.span)} - named - {""}


def rewrites(history: Iterable[SliceRecord], span: Interval) -> bool:
    """Whether the store may already hold rows of an earlier try or generation in the span."""
    return any(r.state in TOUCHED_STORE and r.slice.span.overlaps(span) for r in history)


def standing(
    group: str,
    wanted: Interval,
    coverage: Sequence[Interval],
    history: Sequence[SliceRecord],
    exclusions: Sequence[Exclusion],
) -> Standing:
    """Puts coverage, history and point exceptions of one group together."""
    return Standing(
        group=group,
        wanted=wanted,
        covered=tuple(clip(coverage, wanted)),
        gaps=tuple(missing(wanted, coverage)),
        quarantined=tuple(quarantined(history, wanted)),
        exclusions=tuple(each for each in exclusions if each.group == group),
        events=sum(each.record.events for each in current(history, wanted) if each.span == each.record.slice.span),
    )
