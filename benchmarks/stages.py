"""Each stage by itself over all point groups, one after the other, fed with what the stage before it gave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

from assets_defs.line import Line
from pipelines import reconcile
from pipelines.plant import SourceSettings
from pipelines.points import Point
from pipelines.ports import SliceId, Source
from pipelines.timeline import Interval
from pipelines.transfer.generations import joined
from pipelines.transfer.proving import look

_MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """What was handled in how long."""

    name: str
    events: int
    seconds: float

    @property
    def events_per_s(self) -> float:
        return self.events / max(self.seconds, 1e-9)


def stages(line: Line, settings: SourceSettings) -> list[Rate]:
    """Pull and decode, land, write, verify, read back. The first pull and a small write warm both servers up."""
    window = line.windows(settings)[0]
    groups = [(label, points) for label, points in line.by_group(settings).items() if points]
    asyncio.run(_pulled(line, settings, groups, window))
    line.store.write("warm_up", _small(asyncio.run(_pulled(line, settings, groups[:1], window))[0]))
    began = time.monotonic()
    tables = asyncio.run(_pulled(line, settings, groups, window))
    events = sum(len(table) for table in tables)
    rates = [Rate("pull and decode", events, time.monotonic() - began)]
    slices = [SliceId("bench", label, window) for label, _ in groups]
    ids = [[point.id for point in points] for _, points in groups]

    def timed(name: str, work: Iterable[Callable[[], object]]) -> None:
        start = time.monotonic()
        for each in work:
            each()
        rates.append(Rate(name, events, time.monotonic() - start))

    def landed(slice_id: SliceId, table: pa.Table, points: list[str]) -> Callable[[], object]:
        return lambda: line.landing.land(slice_id, window, table, points, {})

    def written(table: pa.Table) -> Callable[[], object]:
        return lambda: line.store.write("bench", table)

    def proved(slice_id: SliceId, table: pa.Table, points: list[str]) -> Callable[[], object]:
        return lambda: look(line.store, slice_id, table, points, line.plant.limits.deep_share, deep_all=False)

    def read(points: list[str]) -> Callable[[], object]:
        return lambda: reconcile.deep_rows(line.store.read("bench", points, window))

    timed("land", [landed(*each) for each in zip(slices, tables, ids, strict=True)])
    timed("write", [written(table) for table in tables])
    timed("verify", [proved(*each) for each in zip(slices, tables, ids, strict=True)])
    timed("read back and digest", [read(points) for points in ids])
    return rates


async def _pulled(
    line: Line, settings: SourceSettings, groups: list[tuple[str, list[Point]]], window: Interval
) -> list[pa.Table]:
    source = line.outside.source(settings)
    try:
        return [await _whole(source, points, window) for _, points in groups]
    finally:
        await source.close()


async def _whole(source: Source, points: list[Point], window: Interval) -> pa.Table:
    return joined([pulled.samples async for pulled in source.pull(points, window, _MOST)])


def _small(table: pa.Table) -> pa.Table:
    return table.slice(0, 50_000)
