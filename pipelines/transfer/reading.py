"""The source's side of a deep proof: everything read again."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines import reconcile
from pipelines.points import Point
from pipelines.ports import Source, SourceTally, Split
from pipelines.samples import coarsen, ordered
from pipelines.timeline import Interval


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
