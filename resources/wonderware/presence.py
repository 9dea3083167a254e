"""Which points the Historian still has: History answers nothing, and no error, for a tag that is gone."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.points import Point
from resources.wonderware.asking import keys
from resources.wonderware.decoding import by_name
from resources.wonderware.pace import Pace
from resources.wonderware.refusals import TooMuch
from resources.wonderware.server import Server

_GONE = "not found at the source: the tag was deleted or renamed there, or the login may not see it; ferry discover"
_OTHER = "another tag has its name now; ferry discover finds out which"


async def absent(server: Server, pace: Pace, points: Sequence[Point]) -> dict[str, str]:
    """Points that cannot be asked for, and why. Raises Retry, Stop."""
    found: dict[str, str] = {}
    low = 0
    while low < len(points):
        some = points[low : low + pace.counted_names]
        try:
            found |= await _absent(server, some)
        except TooMuch as error:
            pace.refused(error, len(some))
            if len(some) == 1:
                raise
            continue
        low += len(some)
    return found


async def _absent(server: Server, points: Sequence[Point]) -> dict[str, str]:
    table = await server.ask(*keys([point.address for point in points]))
    there: dict[str, str] = {}
    if table is not None:
        names = table["TagName"].to_pylist()
        there = dict(zip(names, map(str, table["wwTagKey"].to_pylist()), strict=True))
    spelled = list(there)
    places = by_name(spelled)
    failed = {}
    for point in points:
        place = places.get(point.address, places.get(point.address.casefold()))
        if place is None:
            failed[point.id] = _GONE
        elif there[spelled[place]] != point.source_key:
            failed[point.id] = _OTHER
    return failed
