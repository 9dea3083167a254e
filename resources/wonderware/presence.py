"""Which points the Historian still has: History answers nothing, and no error, for a tag that is gone."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.points import Point
from resources.wonderware.asking import keys
from resources.wonderware.decoding import by_name
from resources.wonderware.pace import Pace
from resources.wonderware.refusals import BLAMED, TooMuch
from resources.wonderware.server import Server

_GONE = "not found at the source: the tag was deleted or renamed there, or the login may not see it; ferry discover"
_OTHER = "another tag has its name now; ferry discover finds out which"


async def absent(server: Server, pace: Pace, points: Sequence[Point]) -> dict[str, str]:
    """Points that cannot be asked for, and why. Raises Retry, Stop."""
    found: dict[str, str] = {}
    step = pace.counted_names
    for low in range(0, len(points), step):
        found |= await _absent(server, pace, points[low : low + step])
    return found


async def _absent(server: Server, pace: Pace, points: Sequence[Point]) -> dict[str, str]:
    try:
        return await _looked_for(server, points)
    except TooMuch as error:
        pace.refused(error, len(points))
        if len(points) == 1:
            if error.reason in BLAMED:
                return {points[0].id: f"the Historian refuses to look for this tag: {error}"}
            raise
    half = len(points) // 2
    return await _absent(server, pace, points[:half]) | await _absent(server, pace, points[half:])


async def _looked_for(server: Server, points: Sequence[Point]) -> dict[str, str]:
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
