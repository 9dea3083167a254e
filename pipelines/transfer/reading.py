"""Reading a source: what a slice pulls, and the source's side of a deep proof, everything read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import reconcile
from pipelines.planning import can_halve
from pipelines.points import Point
from pipelines.ports import Source, SourceTally, Split
from pipelines.samples import EVENT_TEXT_MAX, Size, coarsen, crowded_ns, empty, flagged, ordered, times_ns
from pipelines.timeline import Interval, iso
from pipelines.transfer.generations import joined, of_points
from pipelines.transfer.results import Bounds

_NOTHING = Size()
_MARK = ["point", "time", "tie", "annotated"]
_Pull = tuple[pa.Table, dict[str, str]]


async def reread(source: Source, points: Sequence[Point], span: Interval, bounds: Bounds, clock_ns: int) -> SourceTally:
    """The tally of the source's events themselves, at the store's clock; in halves of the span where it holds too much
    for one slice. Raises Retry, Stop."""
    try:
        tables: list[pa.Table] = []
        marks = [empty().select(_MARK)]
        failed: dict[str, str] = {}
        async for pulled in source.pull(points, span, bounds.most_events, bounds.most_bytes(span)):
            marks.append(flagged(pulled.samples).select(_MARK))
            kept, _ = coarsen(ordered(pulled.samples), clock_ns)
            tables.append(reconcile.with_silent(kept, pulled.points))
            failed.update(pulled.failed)
    except Split as error:
        if can_halve(span):
            parts = [(points, part) for part in error.parts(span)]
        elif len(points) > 1:
            parts = [([point], span) for point in points]
        else:
            return SourceTally(reconcile.no_tally(), "re-read", {points[0].id: _uncut(span, error)})
        return reconcile.added([await reread(source, some, part, bounds, clock_ns) for some, part in parts])
    told = pa.concat_tables(tables) if tables else reconcile.no_tally()
    return SourceTally(told, "re-read", failed, pa.concat_tables(marks))


async def pull(source: Source, points: Sequence[Point], span: Interval, bounds: Bounds, where: str) -> _Pull:
    """Everything the source holds of the points in the span, ordered, and the points that it could not give.

    Raises Split for more than a slice may hold, naming `where`. Where the span cannot be cut any further, the points
    that are too much fail by name.
    """
    try:
        parts, failed, _ = await _parts(source, points, span, bounds, where)
    except Split:
        if can_halve(span):
            raise
        parts, failed = await _one_by_one(source, points, span, bounds, where)
    events = await asyncio.to_thread(joined, parts)
    if too_long := _too_long(events):
        events = of_points(events, {point.id for point in points} - too_long.keys())
    return events, failed | too_long


async def _parts(
    source: Source, points: Sequence[Point], span: Interval, bounds: Bounds, where: str, size: Size = _NOTHING
) -> tuple[list[pa.Table], dict[str, str], Size]:
    """What is pulled, who failed, and the `size` before with all that. Raises Split where that is too much."""
    parts: list[pa.Table] = []
    failed: dict[str, str] = {}
    seen: set[str] = set()
    async for pulled in source.pull(points, span, bounds.most_events, bounds.most_bytes(span)):
        parts.append(pulled.samples)
        size += pulled.samples
        if size.events > bounds.most_events:
            raise Split(f"{where} holds more than {bounds.most_events:,} events", crowded_ns(map(times_ns, parts)))
        if size.besides_longest > bounds.most_bytes(span):
            raise Split(f"{where} holds more than {bounds.most_bytes(span) >> 20} MiB of texts")
        failed.update(pulled.failed)
        seen.update(pulled.points)
    for point in points:
        if point.id not in seen and point.id not in failed:
            failed[point.id] = "the source's answers left it out"
    return parts, failed, size


async def _one_by_one(
    source: Source, points: Sequence[Point], span: Interval, bounds: Bounds, where: str
) -> tuple[list[pa.Table], dict[str, str]]:
    """As many of the points, from the first on, as a slice may hold."""
    parts: list[pa.Table] = []
    failed: dict[str, str] = {}
    size = _NOTHING
    for point in points:
        try:
            found, lost, size = await _parts(source, [point], span, bounds, where, size)
        except Split as error:
            failed[point.id] = _uncut(span, error)
        else:
            parts += found
            failed |= lost
    return parts, failed


def _uncut(span: Interval, error: Split) -> str:
    return (
        f"{error}, and {span} cannot be cut any further: raise slice_events or slice_bytes under [limits] of the plant "
        "file"
    )


def _too_long(events: pa.Table) -> dict[str, str]:
    """Points with a text that no store takes, and which."""
    lengths = pc.binary_length(events["text"])
    if (pc.max(lengths).as_py() or 0) <= EVENT_TEXT_MAX:
        return {}
    found = events.append_column("length", lengths).filter(pc.greater(lengths, EVENT_TEXT_MAX))
    return {
        row["point"]: f"the text of its event at {iso(row['time'].value)} has {row['length']:,} bytes, and "
        f"{EVENT_TEXT_MAX:,} are the most that is moved"
        for row in found.select(["point", "time", "length"]).to_pylist()
    }
