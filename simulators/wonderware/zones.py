"""Wall clocks: UTC ns ↔ the local time of a zone, whole columns at once, and the zone names that wwTimeZone takes.

Facts 2.6: stored UTC; criteria and output are in the server's zone unless wwTimeZone says otherwise; values come from
the TimeZone table (Windows names), and its ids as text are accepted. A datetime2 carries no offset, so the two hours
of an autumn night come out with the same wall clock.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from simulators.wonderware.events import SECOND_NS, Int64s

WINDOWS_ZONES = (
    ("UTC", "UTC"),
    ("GMT Standard Time", "Europe/London"),
    ("W. Europe Standard Time", "Europe/Berlin"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Romance Standard Time", "Europe/Paris"),
    ("FLE Standard Time", "Europe/Kyiv"),
    ("GTB Standard Time", "Europe/Bucharest"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("India Standard Time", "Asia/Kolkata"),
    ("China Standard Time", "Asia/Shanghai"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("Eastern Standard Time", "America/New_York"),
    ("Central Standard Time", "America/Chicago"),
    ("Mountain Standard Time", "America/Denver"),
    ("US Mountain Standard Time", "America/Phoenix"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_S = 86_400
_FIRST_DAY, _LAST_DAY = 0, 25_567  # 1970 to 2040; outside, the offset of the nearest end counts


class UnknownZoneError(LookupError):
    """wwTimeZone names no zone of the TimeZone table."""


def windows_zone(name: str) -> str:
    """The IANA name of a Windows zone name or of a TimeZoneKey as text. Raises UnknownZoneError."""
    for key, (windows, iana) in enumerate(WINDOWS_ZONES, start=1):
        if name.strip().lower() in (windows.lower(), str(key)):
            return iana
    raise UnknownZoneError(name)


@lru_cache(maxsize=64)
def _changes(zone: str) -> tuple[Int64s, Int64s]:
    """From when (UTC ns) which offset (ns) counts."""
    info = ZoneInfo(zone)

    def offset_s(at_s: int) -> int:
        return round(
            ((_EPOCH + dt.timedelta(seconds=at_s)).astimezone(info).utcoffset() or dt.timedelta()).total_seconds()
        )

    starts, offsets = [_FIRST_DAY * _DAY_S], [offset_s(_FIRST_DAY * _DAY_S)]
    for day in range(_FIRST_DAY + 1, _LAST_DAY):
        low, high = (day - 1) * _DAY_S, day * _DAY_S
        if offset_s(high) == offsets[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset_s(middle) == offsets[-1] else (low, middle)
        starts.append(high)
        offsets.append(offset_s(high))
    return np.asarray(starts) * SECOND_NS, np.asarray(offsets) * SECOND_NS


def to_wall(times: Int64s, zone: str) -> Int64s:
    """UTC ns → the wall clock of the zone, as ns since 1970 of that clock."""
    if zone == "UTC" or not len(times):
        return times
    starts, offsets = _changes(zone)
    places = np.searchsorted(starts, times, side="right") - 1
    return np.asarray(times + offsets[np.maximum(places, 0)])


def to_utc(wall_ns: int, zone: str) -> int:
    """A wall clock → UTC ns: of an hour that comes twice the first, of one that is skipped as if nothing moved."""
    if zone == "UTC":
        return wall_ns
    starts, offsets = _changes(zone)
    # The first of the offsets around the moment that gives this wall clock; they differ by less than a day.
    place = int(np.searchsorted(starts, wall_ns - _DAY_S * SECOND_NS, side="right")) - 1
    for near in range(max(place, 0), min(place + 4, len(starts))):
        utc_ns = wall_ns - int(offsets[near])
        end_ns = int(starts[near + 1]) if near + 1 < len(starts) else utc_ns + 1
        # A skipped hour lies behind the end of this offset and before the start of the next: keep this one.
        following = wall_ns - int(offsets[near + 1]) if near + 1 < len(starts) else utc_ns
        if utc_ns < end_ns or following < end_ns:
            return utc_ns
    return wall_ns - int(offsets[-1])
