"""Half-open UTC intervals in int64 nanoseconds since 1970-01-01T00:00:00Z. Pure functions, no clocks.

Times outside 1677-09-21 … 2262-04-11 do not fit and are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000 * MILLISECOND_NS
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
TICK_NS = 100  # a PI and .NET tick

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?\Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NS_MIN, _NS_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """[start_ns, end_ns) in UTC nanoseconds; never empty."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns <= self.start_ns:
            raise ValueError(f"the interval ends at {iso(self.end_ns)}, not after its start {iso(self.start_ns)}")

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns

    def overlaps(self, other: Interval) -> bool:
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns

    def contains(self, other: Interval) -> bool:
        return self.start_ns <= other.start_ns and other.end_ns <= self.end_ns

    def intersect(self, other: Interval) -> Interval | None:
        start, end = max(self.start_ns, other.start_ns), min(self.end_ns, other.end_ns)
        return Interval(start, end) if start < end else None

    def halves(self) -> tuple[Interval, Interval]:
        """Two parts that touch; the cut is on a whole tick, so that every source can express it.

        Raises ValueError when the interval is too short to cut.
        """
        cut = (self.start_ns + self.length_ns // 2) // TICK_NS * TICK_NS
        return Interval(self.start_ns, cut), Interval(cut, self.end_ns)

    def __str__(self) -> str:
        return f"[{iso(self.start_ns)}, {iso(self.end_ns)})"


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, disjoint intervals that cover the same instants; touching ones become one."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if merged and interval.start_ns <= merged[-1].end_ns:
            if interval.end_ns > merged[-1].end_ns:
                merged[-1] = Interval(merged[-1].start_ns, interval.end_ns)
        else:
            merged.append(interval)
    return merged


def subtract(intervals: Iterable[Interval], holes: Iterable[Interval]) -> list[Interval]:
    """What of `intervals` no hole covers; sorted and disjoint."""
    left: list[Interval] = []
    cuts = merge(holes)
    for interval in merge(intervals):
        start = interval.start_ns
        for hole in cuts:
            if hole.end_ns <= start:
                continue
            if hole.start_ns >= interval.end_ns:
                break
            if hole.start_ns > start:
                left.append(Interval(start, hole.start_ns))
            start = hole.end_ns
        if start < interval.end_ns:
            left.append(Interval(start, interval.end_ns))
    return left


def missing(wanted: Interval, covered: Iterable[Interval]) -> list[Interval]:
    """The gaps of `wanted` that nothing in `covered` fills."""
    return subtract([wanted], covered)


def clip(intervals: Iterable[Interval], span: Interval) -> list[Interval]:
    """The parts of the intervals inside `span`, merged."""
    return merge(part for each in intervals if (part := each.intersect(span)))


def split_evenly(span: Interval, step_ns: int) -> Iterator[Interval]:
    """Consecutive parts of at most `step_ns`, cut at multiples of the step since the epoch, so that two plans of
    overlapping spans cut at the same instants."""
    start = span.start_ns
    while start < span.end_ns:
        end = min((start // step_ns + 1) * step_ns, span.end_ns)
        yield Interval(start, end)
        start = end


def split_at(span: Interval, cut_ns: int | None) -> Iterator[Interval]:
    """The span, or its two parts before and after an instant inside of it."""
    if cut_ns is None or not span.start_ns < cut_ns < span.end_ns:
        yield span
    else:
        yield Interval(span.start_ns, cut_ns)
        yield Interval(cut_ns, span.end_ns)


def days(span: Interval) -> list[Interval]:
    """The UTC days that touch `span`, whole."""
    first = span.start_ns // DAY_NS * DAY_NS
    return [Interval(start, start + DAY_NS) for start in range(first, span.end_ns, DAY_NS)]


def months(span: Interval) -> list[Interval]:
    """The UTC calendar months that touch `span`, whole."""
    found: list[Interval] = []
    day = to_datetime(span.start_ns).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while (start := from_datetime(day)) < span.end_ns:
        day = (day + dt.timedelta(days=32)).replace(day=1)
        found.append(Interval(start, from_datetime(day)))
    return found


def parse(text: str) -> int:
    """ISO 8601 with Z or an offset → nanoseconds, exactly; a date alone is its midnight in UTC.

    Raises ValueError, also for a time of day without a zone: a guess there moves a plant's history.
    """
    match = _ISO.match(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time: expected ISO 8601 such as 2026-01-31T06:00:00Z")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if hour is not None and zone is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z (UTC) or an offset such as +01:00")
    whole = dt.datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=dt.UTC
    )
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        whole = whole - offset if zone[0] == "+" else whole + offset
    return from_datetime(whole) + int((fraction or "").ljust(9, "0"))


def iso(time_ns: int) -> str:
    """Nanoseconds → ISO 8601 with Z; no fraction for whole seconds, else as many digits as are needed."""
    seconds, fraction = divmod(time_ns, SECOND_NS)
    text = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def from_datetime(moment: dt.datetime) -> int:
    """An aware datetime → nanoseconds. Raises ValueError for a naive one or one out of range."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    delta = moment - _EPOCH
    time_ns = (delta.days * 86_400 + delta.seconds) * SECOND_NS + delta.microseconds * 1_000
    if not _NS_MIN <= time_ns <= _NS_MAX:
        raise ValueError(f"{moment} does not fit into 64-bit nanoseconds (1677 to 2262)")
    return time_ns


def to_datetime(time_ns: int) -> dt.datetime:
    """Nanoseconds → aware UTC datetime, cut to microseconds (for display and file names only)."""
    return _EPOCH + dt.timedelta(microseconds=time_ns // 1_000)
