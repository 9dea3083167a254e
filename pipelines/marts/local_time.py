"""Times of the report in the plant's own time zone. Everything below works in UTC nanoseconds; only words are local."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Interval, from_datetime, to_datetime

_TICKS = [n * SECOND_NS for n in (1, 5, 15, 30)]
_TICKS += [n * MINUTE_NS for n in (1, 2, 5, 10, 15, 30)] + [n * HOUR_NS for n in (1, 2, 3, 6, 12)]
_TICKS += [n * DAY_NS for n in (1, 2, 7, 14, 28, 91, 182, 364)]


def moment(time_ns: int, zone: str = "UTC") -> str:
    """A time without the letters that only programs need: 2026-01-01 06:00, seconds where there are any."""
    local = _local(time_ns, zone)
    text = local.strftime("%Y-%m-%d %H:%M")
    fraction = time_ns % SECOND_NS
    if local.second or fraction:
        text += f":{local.second:02}"
    return text + (f".{fraction:09}".rstrip("0") if fraction else "")


def ticks(span: Interval, most: int, zone: str = "UTC") -> list[tuple[int, str]]:
    """At most `most` marks for a time axis over the span, each with its label: round times of the zone's own clock."""
    step_ns = next((each for each in _TICKS if span.length_ns <= each * most), span.length_ns // most + 1)
    label = _label_of(span, step_ns)
    return [(time_ns, label(_local(time_ns, zone))) for time_ns in _marks(span, step_ns, zone)]


def _marks(span: Interval, step_ns: int, zone: str) -> Iterator[int]:
    """Instants inside the span at which the zone's clock shows a whole multiple of the step since its midnight."""
    step = dt.timedelta(microseconds=step_ns // 1_000)
    day = _local(span.start_ns, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if step_ns >= DAY_NS:  # weeks begin at the same days wherever the span begins
        day -= dt.timedelta(days=(day - dt.datetime(2024, 1, 1)).days % step.days)
    clock, last = day, span.start_ns - 1
    while (time_ns := from_datetime(clock.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC))) < span.end_ns:
        if time_ns > last:  # an hour that the clock jumps over is not shown
            yield time_ns
            last = time_ns
        clock += step


def _label_of(span: Interval, step_ns: int) -> Callable[[dt.datetime], str]:
    if step_ns < MINUTE_NS:
        return lambda local: local.strftime("%H:%M:%S")
    if step_ns >= DAY_NS:
        return lambda local: f"{local.day} {local:%b}" if span.length_ns < 364 * DAY_NS else f"{local:%b %Y}"
    midnight_shown = span.length_ns > DAY_NS
    return lambda local: (
        f"{local.day} {local:%b}" if midnight_shown and not (local.hour or local.minute) else local.strftime("%H:%M")
    )


def _local(time_ns: int, zone: str) -> dt.datetime:
    return to_datetime(time_ns).astimezone(ZoneInfo(zone))
