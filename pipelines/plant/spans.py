"""Durations, times and spans of the day as a plant file writes them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import BeforeValidator

from pipelines.timeline import DAY_NS, HOUR_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS, from_datetime, parse

_UNITS_NS = {
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "min": MINUTE_NS,
    "h": HOUR_NS,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
}


def duration_ns(value: object) -> int:
    """'90 s', '15 min', '6 h', '2 d' → nanoseconds. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value))
    if not match or match[2] not in _UNITS_NS:
        raise ValueError(f"{value!r} is not a duration: expected a number and one of {', '.join(_UNITS_NS)}")
    return int(float(match[1]) * _UNITS_NS[match[2]])


def _time_ns(value: object) -> int:
    if isinstance(value, dt.datetime):
        return from_datetime(value if value.tzinfo else value.replace(tzinfo=dt.UTC))
    return parse(str(value))


Duration = Annotated[int, BeforeValidator(duration_ns)]
Time = Annotated[int, BeforeValidator(_time_ns)]


def expiry_ns(now_ns: int, keep_ns: int) -> int:
    """What is older than this is not written any more to a store that keeps rows for `keep_ns`.

    Whole hours, and an hour early: the store's own clock decides, and a slice takes its time.
    """
    return -(-(now_ns - keep_ns) // HOUR_NS) * HOUR_NS + HOUR_NS


def quiet_span(text: str) -> tuple[int, int]:
    """'22:00-06:00' → seconds of the UTC day at which quiet begins and ends. Raises ValueError."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if not match:
        raise ValueError(f"{text!r} is not a span of the UTC day: expected HH:MM-HH:MM")
    a, b, c, d = (int(part) for part in match.groups())
    return a * 3600 + b * 60, c * 3600 + d * 60
