"""What SQL Server counts: rows and sums per tag, without sending one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import SourceTally
from pipelines.timeline import Interval
from resources.wonderware.asking import around, count
from resources.wonderware.decoding import by_name, place_of
from resources.wonderware.pace import Pace
from resources.wonderware.presence import absent
from resources.wonderware.refusals import BLAMED, TooMuch
from resources.wonderware.server import Server

Counted = dict[str, tuple[int, float | None] | str]
"""By point: events and sum, or why they cannot be had."""


async def tally(server: Server, pace: Pace, points: Sequence[Point], span: Interval) -> SourceTally:
    """Events and sum of usable values of every point; points that are gone are failed. Raises Retry, Stop, Split."""
    failed = await absent(server, pace, points)
    there = [point for point in points if point.id not in failed]
    step = pace.counted_names
    parts = await asyncio.gather(
        *(_some(server, pace, there[at : at + step], span) for at in range(0, len(there), step))
    )
    counted = {identifier: each for part in parts for identifier, each in part.items()}
    failed |= {identifier: each for identifier, each in counted.items() if isinstance(each, str)}
    there = [point for point in there if point.id not in failed]
    rows = [_sure(counted, point) for point in there]
    table = pa.table(
        {
            "point": pa.array([point.id for point in there], pa.string()),
            "events": pa.array([events for events, _ in rows], pa.int64()),
            "total": pa.array(_sums(there, rows), pa.float64()),
            "coded": pa.array([point.kind == "digital" for point in there]),
            "origin": pa.array(["independent"] * len(there), pa.string()),
        }
    )
    return SourceTally(table, "independent", failed)


def _sums(points: Sequence[Point], rows: Sequence[tuple[int, float | None]]) -> list[float | None]:
    """Sums of what is usable, 0 where nothing is. A string has no Value; of a discrete it is the number of a state."""
    return [None if point.kind == "string" else total or 0.0 for point, (_, total) in zip(points, rows, strict=True)]


async def _some(server: Server, pace: Pace, points: Sequence[Point], span: Interval) -> Counted:
    try:
        found = await server.ask(*count([point.address for point in points], around(span), span))
    except TooMuch as error:
        pace.refused(error, len(points))
        return await _halved(server, pace, points, span, error)
    if found is None:
        return {}
    places = by_name([point.address for point in points])
    columns = (found[name].to_pylist() for name in ("TagName", "Events", "Total"))
    return {
        points[place].id: (int(events), None if total is None else float(total))
        for name, events, total in zip(*columns, strict=True)
        if (place := place_of(places, name)) >= 0
    }


async def _halved(server: Server, pace: Pace, points: Sequence[Point], span: Interval, error: TooMuch) -> Counted:
    """Half of the tags each, or one tag's halves of the time added up."""
    if len(points) > 1:
        half = len(points) // 2
        one, two = points[:half], points[half:]
        return await _some(server, pace, one, span) | await _some(server, pace, two, span)
    [point] = points
    if error.reason in BLAMED:
        return {point.id: f"the Historian refuses to count this tag: {error}"}
    try:
        early, late = span.halves()
    except ValueError:
        raise error from None
    parts = [await _some(server, pace, points, part) for part in (early, late)]
    refused = next((each for part in parts if isinstance(each := part.get(point.id), str)), None)
    if refused is not None:
        return {point.id: refused}
    (a, x), (b, y) = (_sure(part, point) for part in parts)
    return {point.id: (a + b, None if x is None and y is None else (x or 0.0) + (y or 0.0))}


def _sure(counted: Counted, point: Point) -> tuple[int, float | None]:
    """Events and sum of a point; a point that no row speaks of has none."""
    found = counted.get(point.id, (0, None))
    assert not isinstance(found, str)
    return found
