"""Durations, times and spans of the day as a plant file writes them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from pipelines.timeline import DAY_NS, HOUR_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS, from_datetime, parse

_ZONELESS = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?")
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
        raise ValueError(f"{value!r} is not a duration: expected a number and one of {', '.join(_UNITS_NS)}, in quotes")
    return int(float(match[1]) * _UNITS_NS[match[2]])


def _time_ns(value: object, info: ValidationInfo) -> int:
    """A time with its zone. Without one it is refused, a date too: a guess there moves a plant's history."""
    text = value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)
    zoneless = _ZONELESS.fullmatch(text)
    if zoneless:
        day, time = zoneless.groups()
        right = f"{day}T{time or '00:00'}{'' if time and time.count(':') > 1 else ':00'}Z"  # TOML wants seconds
        raise ValueError(
            f"{text} has no time zone: write {info.field_name} = {right} (UTC), or an offset such as +01:00 for the Z"
        )
    if isinstance(value, dt.datetime):
        return from_datetime(value)
    try:
        return parse(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: expected a day, a time and its zone, {info.field_name} = 2026-01-31T06:00:00Z"
        ) from None


def _quiet(value: str) -> str:
    quiet_span(value)
    return value


Duration = Annotated[
    int, BeforeValidator(duration_ns), Field(description='a duration such as "90 s", "15 min", "6 h" or "2 d"')
]
Time = Annotated[
    int, BeforeValidator(_time_ns), Field(description="a time with its zone, such as 2026-01-31T06:00:00Z")
]
QuietHours = Annotated[str, AfterValidator(_quiet), Field(description='a span of the UTC day such as "22:00-06:00"')]


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
