"""The tally of a source by reading it again, in halves where that is too much at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import Pulled, SourceTally, Split
from pipelines.samples import merged, tally
from pipelines.timeline import Interval

Pull = Callable[[Sequence[Point], Interval, int], AsyncGenerator[Pulled, None]]


async def read_again(pull: Pull, points: Sequence[Point], span: Interval, most: int) -> SourceTally:
    """What a pull gives, `most` events at once: TALLY_SCHEMA, a row of zeros for a point without events. One of which
    nothing was said has failed."""
    failed: dict[str, str] = {}
    read: set[str] = set()
    parts = await _tallies(pull, points, span, most, failed, read)
    failed |= {each.id: "the source's answers left it out" for each in points if each.id not in read | failed.keys()}
    return SourceTally(merged(parts, [point.id for point in points if point.id not in failed]), "re-read", failed)


async def _tallies(
    pull: Pull, points: Sequence[Point], span: Interval, most: int, failed: dict[str, str], read: set[str]
) -> list[pa.Table]:
    tallies: list[pa.Table] = []
    try:
        async for batch in pull(points, span, most):
            tallies.append(await asyncio.to_thread(tally, batch.samples))
            failed.update(batch.failed)
            read.update(batch.points)
    except Split as error:
        if len(points) > 1:
            half = len(points) // 2
            halves = [(points[:half], span), (points[half:], span)]
        else:
            halves = [(points, part) for part in _cut(span, error)]
        tallies = []
        for some, part in halves:
            tallies += await _tallies(pull, some, part, most, failed, read)
    return tallies


def _cut(span: Interval, error: Split) -> tuple[Interval, Interval]:
    """Two parts of the span; raises `error` where it is too short to cut."""
    try:
        return error.parts(span)
    except ValueError:
        raise error from None
