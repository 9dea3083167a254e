"""What is due when. Pure: coverage and looks come from the ledger, the time from the caller.

The hour is the unit of the open span: the slices of a minute are cut at its ends, become one generation after it, and
are asked about again at growing ages (1 h, 2 h, 4 h, …) up to the lateness. Then the day settles as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.ports import Looked
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, clip, split_evenly, subtract

GRACE_NS = 3 * MINUTE_NS
"""After its end an hour is left alone so long: what comes a little late is then in the first look."""
_SOONEST_NS = 5 * MINUTE_NS
_AGE_SHARE = 8


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Settings of a source's `sync`, nanoseconds."""

    lag_ns: int
    overlap_ns: int
    lateness_ns: int


@dataclass(frozen=True, slots=True)
class Due:
    """A covered span that the source is to be asked about again; `settles` when it is the last time."""

    span: Interval
    since_ns: int
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What a group's change feed says: something has changed in `told`, and elsewhere nothing since `since_ns` (None:
    nobody listens). `unsure`: where other exceptions are open."""

    told: Sequence[Interval] = ()
    unsure: Sequence[Interval] = ()
    since_ns: int | None = None


def overdue(now_ns: int, end_ns: int, last_ns: int) -> float:
    """How overdue a count of what ended then is, if `last_ns` was the last; it is due from 1 on.

    What is of age a is counted again every a/8, at most once a day.
    """
    age_ns = max(now_ns - end_ns, DAY_NS)
    return (now_ns - last_ns) / max(age_ns / _AGE_SHARE, DAY_NS)


def gaps_newest_first(reach: Interval, taken: Iterable[Interval]) -> list[Interval]:
    """What of the reach is not taken, cut at whole hours, the newest first."""
    return [part for gap in reversed(subtract([reach], taken)) for part in reversed(list(split_evenly(gap, HOUR_NS)))]


def overlap_before(span: Interval, coverage: Sequence[Interval], overlap_ns: int) -> Interval | None:
    """The covered time right before the span, at most `overlap_ns` long; None where it is a gap."""
    for part in coverage:
        if part.start_ns < span.start_ns <= part.end_ns and overlap_ns > 0:
            return Interval(max(part.start_ns, span.start_ns - overlap_ns), span.start_ns)
    return None


def due(
    now_ns: int,
    reach: Interval,
    coverage: Sequence[Interval],
    looks: Sequence[Looked],
    rhythm: Rhythm,
    heard: Heard = Heard(),
) -> list[Due]:
    """Every look of one group that is due now, the longest due first.

    `looks` are of this group. The reach begins where sync began; what was settled is not due any more. What a change
    feed tells of is looked at sooner, and where it tells of nothing, not before its day settles.
    """
    looks = [each for each in looks if each.asked_ns <= now_ns]  # else made by a clock that ran ahead
    found: list[Due] = []
    for hour in split_evenly(reach, HOUR_NS):
        end_ns = _ceiling(hour.end_ns, HOUR_NS)
        for part in clip(coverage, hour):
            when_ns = _next_ns(end_ns, _last_look_ns(part, looks), rhythm.lateness_ns)
            if heard.since_ns is not None:
                when_ns = _heard_ns(part, hour, now_ns, looks, when_ns, heard)
            if when_ns is not None and when_ns <= now_ns:
                found.append(Due(part, when_ns))
    for day in split_evenly(reach, DAY_NS):
        end_ns = _ceiling(day.end_ns, DAY_NS)
        settles_ns = end_ns + rhythm.lateness_ns
        if settles_ns > now_ns:
            continue
        for part in clip(coverage, day):
            last_ns = _last_look_ns(part, looks)
            if last_ns is None or last_ns < settles_ns:
                found = [each for each in found if not part.contains(each.span)]
                found.append(Due(part, settles_ns, settles=True))
    return sorted(found, key=lambda each: (each.since_ns, each.span))


def _next_ns(end_ns: int, last_ns: int | None, lateness_ns: int) -> int | None:
    """When an hour that ended then is looked at next; None when only its day's settling is left."""
    if last_ns is None:
        return end_ns + GRACE_NS
    age_ns = HOUR_NS
    while age_ns < lateness_ns:
        if end_ns + age_ns > last_ns:
            return end_ns + age_ns
        age_ns *= 2
    return None


def _heard_ns(
    part: Interval, hour: Interval, now_ns: int, looks: Sequence[Looked], when_ns: int | None, heard: Heard
) -> int | None:
    """The same with a change feed: what is told waits for half the age of its hour, so that many are mended at once."""
    if any(part.overlaps(span) for span in heard.told):
        asked_ns = max((look.asked_ns for look in looks if look.span.overlaps(part)), default=hour.start_ns)
        wait_ns = min(max((now_ns - hour.end_ns) // 2, _SOONEST_NS), HOUR_NS)
        return min(asked_ns + wait_ns, when_ns or asked_ns + wait_ns)
    last_ns = _last_look_ns(part, looks)
    quiet = last_ns is not None and heard.since_ns is not None and heard.since_ns <= last_ns
    return None if quiet and not any(part.overlaps(span) for span in heard.unsure) else when_ns


def _last_look_ns(part: Interval, looks: Sequence[Looked]) -> int | None:
    return max((look.asked_ns for look in looks if look.span.contains(part)), default=None)


def _ceiling(time_ns: int, step_ns: int) -> int:
    return -(-time_ns // step_ns) * step_ns
