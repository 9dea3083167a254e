"""What the slice history means: which generation counts where, and what can be resumed.

Pure: the rows come from a LedgerStore, nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from pipelines.ports import SliceRecord, State
from pipelines.timeline import Interval, clip, merge, subtract

STATES: tuple[str, ...] = get_args(State)
COUNTS = frozenset({"verified", "settled"})
PROVISIONAL = "followed: proofs are kept point by point when it settles"
"""The note of slices that later ones are to replace: of passes, and of hours of an open day."""
FORGOTTEN = "older than the store keeps: landed only"
"""The note of slices that IoTDB's retention keeps out of it."""
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


def first_settled(history: Iterable[SliceRecord], span: Interval) -> list[Current]:
    """Of every instant of the span, in time order, the first generation that was verified for good, and not while it
    was still open: later ones would be provisional then."""
    found: list[Current] = []
    for record in history:
        if record.state not in COUNTS or not record.generation:
            continue
        if record.note == PROVISIONAL:
            found = [
                Current(each.record, part) for each in found for part in subtract([each.span], [record.slice.span])
            ]
        else:
            kept = subtract(clip([record.slice.span], span), [each.span for each in found])
            found += [Current(record, part) for part in kept]
    return sorted(found, key=lambda each: each.span)


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


def is_open(gaps: Sequence[Interval], span: Interval, open_from_ns: int | None) -> bool:
    """Whether the last gap of the span is what has just happened at a source that somebody follows, and not late."""
    return bool(
        open_from_ns is not None and gaps and gaps[-1].end_ns == span.end_ns and gaps[-1].start_ns >= open_from_ns
    )
