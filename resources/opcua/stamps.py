"""Times of OPC UA to their last digit: asyncua cuts its ticks of 100 ns down to microseconds.

Source: OPC 10000-6, 5.2.2.5 (DateTime: 100 ns since 1601-01-01 UTC).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua import ua_binary

_TICK_NS = 100
_UNIX_TICKS = 116_444_736_000_000_000  # 1970 by the clock of 1601


class Stamp(datetime):
    """A moment that knows its ticks."""

    ticks: int


_BEGINNING = Stamp(1601, 1, 1, tzinfo=UTC)
_LATEST_TICKS = 2_650_467_743_990_000_000  # 9999-12-31T23:59:59Z: what is later means "no end"


def stamp_of(time_ns: int) -> Stamp:
    """A moment (ns UTC) as asyncua takes it; what is between two ticks is rounded down."""
    return _stamp(time_ns // _TICK_NS + _UNIX_TICKS)


def ns_of(moment: datetime | None) -> int | None:
    """ns UTC of a moment that asyncua has read; None for none, and for the beginning of the clock, which means none."""
    ticks = getattr(moment, "ticks", 0)
    return (ticks - _UNIX_TICKS) * _TICK_NS if ticks > 0 else None


def keep_ticks() -> None:
    """From now on asyncua reads and writes whole ticks, in this process."""
    setattr(ua_binary._DateTime, "unpack", staticmethod(_unpack))  # noqa: B010 (a static method, to mypy as well)
    setattr(ua_binary._DateTime, "pack", staticmethod(_pack))  # noqa: B010


def _stamp(ticks: int) -> Stamp:
    moment: Stamp = _BEGINNING + timedelta(microseconds=min(max(ticks, 0), _LATEST_TICKS) // 10)
    moment.ticks = ticks
    return moment


def _unpack(given: Any) -> Stamp:
    return _stamp(ua_binary.Primitives.Int64.unpack(given))


def _pack(moment: Any) -> bytes:
    ticks = moment.ticks if isinstance(moment, Stamp) else ua.datetime_to_win_epoch(moment)
    return ua_binary.Primitives.Int64.pack(ticks)
