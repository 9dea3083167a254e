"""Reading a source: what a slice pulls, and the source's side of a deep proof, everything read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa

from pipelines import reconcile
from pipelines.points import Point
from pipelines.ports import Source, SourceTally, Split
from pipelines.samples import coarsen, ordered
from pipelines.timeline import Interval
from pipelines.transfer.generations import joined


async def reread(
    source: Source, points: Sequence[Point], span: Interval, slice_events: int, clock_ns: int
) -> SourceTally:
    """The tally of the source's events themselves, at the store's clock; in halves of the span where it holds too much
    for one slice. Raises Retry, Stop."""
    try:
        tables: list[pa.Table] = []
        failed: dict[str, str] = {}
        async for pulled in source.pull(points, span, 2 * slice_events):
            kept, _ = coarsen(ordered(pulled.samples), clock_ns)
            tables.append(reconcile.with_silent(kept, pulled.points))
            failed.update(pulled.failed)
    except Split:
        return reconcile.added([await reread(source, points, half, slice_events, clock_ns) for half in span.halves()])
    return SourceTally(pa.concat_tables(tables) if tables else reconcile.no_tally(), "re-read", failed)


async def pull(
    source: Source, points: Sequence[Point], span: Interval, most: int, where: str
) -> tuple[pa.Table, dict[str, str]]:
    """Everything the source holds of the points in the span, ordered, and the points that it could not give.

    Raises Split above `most` events, naming `where`.
    """
    parts: list[pa.Table] = []
    failed: dict[str, str] = {}
    seen: set[str] = set()
    total = 0
    async for pulled in source.pull(points, span, most):
        total += len(pulled.samples)
        if total > most:
            raise Split(f"{where} holds more than {most:,} events")
        parts.append(pulled.samples)
        failed.update(pulled.failed)
        seen.update(pulled.points)
    for point in points:
        if point.id not in seen and point.id not in failed:
            failed[point.id] = "the source's answers left it out"
    return await asyncio.to_thread(joined, parts), failed
