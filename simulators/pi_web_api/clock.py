"""PI time strings, and ISO 8601 text of instants in 100 ns ticks.

Source: facts/historians.md 1.12. Only a subset is read: `*`, t/today, y/yesterday, weekday names, ISO 8601, each
with intervals such as `-1d` or `+8h30m` after it.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from zoneinfo import ZoneInfo

from simulators.pi_web_api.events import DAY_NS, HOUR_NS, SECOND_NS, TICK_NS

_FAR_NS = 9_200_000_000_000_000_000  # 1678 and 2261: what lies beyond is as far as time goes here
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"\s*([+-])\s*((?:\d+(?:\.\d+)?\s*[A-Za-z]+\s*)+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS_NS = {
    "ms": SECOND_NS // 1_000, "s": SECOND_NS, "second": SECOND_NS, "seconds": SECOND_NS,
    "m": 60 * SECOND_NS, "min": 60 * SECOND_NS, "minute": 60 * SECOND_NS, "minutes": 60 * SECOND_NS,
    "h": HOUR_NS, "hour": HOUR_NS, "hours": HOUR_NS,
    "d": DAY_NS, "day": DAY_NS, "days": DAY_NS, "w": 7 * DAY_NS, "week": 7 * DAY_NS, "weeks": 7 * DAY_NS,
}  # fmt: skip


class TimeTextError(ValueError):
    """A text that is no PI time."""


def iso(time_ns: int) -> str:
    """ISO 8601 with Z as the server prints it: up to 7 fraction digits, none for a whole second."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    text = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest // TICK_NS:07d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def parse_iso(text: str, zone: dt.tzinfo = dt.UTC) -> int:
    """ISO 8601 → ns, cut to ticks; `zone` counts where the text has none. Raises TimeTextError."""
    match = _ISO.fullmatch(text.strip())
    if not match:
        raise TimeTextError(f"The time '{text}' could not be parsed.")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError as error:
        raise TimeTextError(f"The time '{text}' could not be parsed.") from error
    if offset and offset != "Z":
        sign = 1 if offset[0] == "+" else -1
        zone = dt.timezone(sign * dt.timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))
    elif offset:
        zone = dt.UTC
    whole = round((moment.replace(tzinfo=zone) - _EPOCH).total_seconds())
    time_ns = whole * SECOND_NS + int((fraction or "").ljust(9, "0")) // TICK_NS * TICK_NS
    return max(-_FAR_NS, min(time_ns, _FAR_NS))


class Clock:
    """What `*` is: the machine's clock, or one that was set at start and runs on."""

    def __init__(self, zone: str = "UTC", start_ns: int = 0) -> None:
        self.zone = ZoneInfo(zone)
        self._shift_ns = start_ns - time.time_ns() if start_ns else 0

    def now_ns(self) -> int:
        """The plant's present, ns on a whole tick."""
        return (time.time_ns() + self._shift_ns) // TICK_NS * TICK_NS

    def advance(self, by_ns: int) -> None:
        """Moves the present."""
        self._shift_ns += by_ns

    def read(self, text: str, now_ns: int, zone: str = "") -> int:
        """A PI time string → ns. `now_ns` is one present for a whole request. Raises TimeTextError."""
        local = _zone(zone) if zone else self.zone
        text = text.strip()
        match = _ISO.match(text)
        if match:
            base, rest = parse_iso(match.group(0), local), text[match.end() :]
        else:
            word = re.match(r"\*|[A-Za-z]*", text)
            name = word.group(0) if word else ""
            base, rest = self._named(name.lower(), now_ns, local, text), text[len(name) :]
        return base + _offset_ns(rest, text)

    def _named(self, name: str, now_ns: int, zone: dt.tzinfo, text: str) -> int:
        if name in ("", "*"):
            return now_ns
        today = (_EPOCH + dt.timedelta(microseconds=now_ns // 1_000)).astimezone(zone).date()
        if name in ("t", "today"):
            back = 0
        elif name in ("y", "yesterday"):
            back = 1
        else:
            found = [index for index, day in enumerate(_WEEKDAYS) if len(name) >= 3 and day.startswith(name)]
            if not found:
                raise TimeTextError(f"The time '{text}' could not be parsed.")
            back = (today.weekday() - found[0]) % 7
        day = today - dt.timedelta(days=back)
        # Midnight of the wall clock: a day of a clock change is 23 or 25 hours long.
        return parse_iso(day.isoformat(), zone)


def interval_ns(text: str) -> int:
    """An AF time span such as `1h` or `1d12h` → ns. Raises TimeTextError."""
    return _offset_ns(text if text[:1] in "+-" else f"+{text}", text)


def _offset_ns(rest: str, text: str) -> int:
    total, place = 0, 0
    while place < len(rest.rstrip()):
        match = _OFFSET.match(rest, place)
        if not match:
            raise TimeTextError(f"The time '{text}' could not be parsed.")
        sign = 1 if match.group(1) == "+" else -1
        for amount, unit in _PART.findall(match.group(2)):
            if unit.lower() not in _UNITS_NS:
                raise TimeTextError(f"The time '{text}' could not be parsed.")
            total += sign * int(float(amount) * _UNITS_NS[unit.lower()])
        place = match.end()
    return total


def _zone(name: str) -> dt.tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise TimeTextError(f"The time zone '{name}' is not known.") from error
