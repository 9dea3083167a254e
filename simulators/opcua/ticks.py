"""asyncua cuts times down to microseconds; this stand-in means its 100 ns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import Primitives, _DateTime

_1970 = 11_644_473_600 * 10_000_000


class Moment(datetime):
    """A time with what datetime has no room for: ns since 1970."""

    ns: int


def moment(ns: int) -> Moment:
    """Of a time in ns UTC, a multiple of 100."""
    found: Moment = Moment(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1_000)
    found.ns = ns
    return found


def _packed(time: Any) -> bytes:
    return Primitives.Int64.pack(time.ns // 100 + _1970 if isinstance(time, Moment) else ua.datetime_to_win_epoch(time))


def _unpacked(source: Any) -> datetime:
    ticks = Primitives.Int64.unpack(source)
    if not _1970 <= ticks < _1970 + 2**63 // 100:
        return ua.win_epoch_to_datetime(ticks)
    return moment((ticks - _1970) * 100)


def install() -> None:
    """For this process."""
    setattr(_DateTime, "pack", staticmethod(_packed))  # noqa: B010
    setattr(_DateTime, "unpack", staticmethod(_unpacked))  # noqa: B010
