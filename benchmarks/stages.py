"""Each stage by itself over all point groups, one after the other, fed with what the stage before it gave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from assets_defs.line import Line
from benchmarks.costs import Costs
from benchmarks.rates import Rate, median, timed
from pipelines import reconcile
from pipelines.plant import SourceSettings
from pipelines.points import Point
from pipelines.ports import SliceId, Source
from pipelines.timeline import Interval
from pipelines.transfer.generations import joined
from pipelines.transfer.proving import look
from resources.iotdb import IoTDBStore

_MOST = 10_000_000
_WARM_ROWS = 50_000
_TABLET_GROUPS = 2  # tablets are several times slower than LOAD: a part shows it


@dataclass(frozen=True, slots=True)
class Part:
    """A point group over a window, and its events."""

    group: str
    window: Interval
    points: list[Point]
    events: pa.Table

    @property
    def ids(self) -> list[str]:
        return [point.id for point in self.points]


def stages(line: Line, settings: SourceSettings, costs: Costs, repeat: int) -> list[Rate]:
    """Pull and decode, count, land, write, verify, read back: each `repeat` times, the median.

    The first pull and a small write warm both servers up.
    """
    parts = asyncio.run(_pulled(line, settings))
    warm = _Run(line, settings, "warm_up", [_small(parts[0])], line.store)
    for work in (warm.write, warm.verify, warm.read_back):
        work()
    runs: dict[str, list[Rate]] = {}
    tablets = _tablet_store(line)
    for number in range(repeat):
        # A source name of its own: rows over rows would be other work.
        run = _Run(line, settings, f"bench{number}", parts, line.store)
        slow = _Run(line, settings, f"tablets{number}", parts[:_TABLET_GROUPS], tablets)
        for name, work in (*run.stages(), ("write by tablets", slow.write)):
            runs.setdefault(name, []).append(timed(costs, name, work))
    tablets.close()
    return [median(each) for each in runs.values()]


@dataclass(frozen=True, slots=True)
class _Run:
    """The stages over the same parts, in order; each returns how many events it handled."""

    line: Line
    settings: SourceSettings
    source: str
    parts: Sequence[Part]
    store: IoTDBStore

    def stages(self) -> list[tuple[str, Callable[[], int]]]:
        return [
            ("pull and decode", self.pull),
            ("count at the source", self.count),
            ("land", self.land),
            ("write by LOAD", self.write),
            ("verify", self.verify),
            ("read back and digest", self.read_back),
        ]

    def pull(self) -> int:
        return sum(len(part.events) for part in asyncio.run(_pulled(self.line, self.settings)))

    def count(self) -> int:
        return asyncio.run(_counted(self.line, self.settings, self.parts))

    def land(self) -> int:
        for part in self.parts:
            self.line.landing.land(self._slice(part), part.window, part.events, part.ids, {})
        return self._events()

    def write(self) -> int:
        for part in self.parts:
            self.store.write(self.source, part.events)
        return self._events()

    def verify(self) -> int:
        share = self.line.plant.limits.deep_share
        for part in self.parts:
            seen = look(self.store, self._slice(part), part.events, part.ids, share, ())
            if seen.torn:
                raise SystemExit(f"IoTDB does not hold what was written: {seen.torn[0]}")
        return self._events()

    def read_back(self) -> int:
        rows = (reconcile.deep_rows(self.store.read(self.source, part.ids, part.window)) for part in self.parts)
        return sum(row["events"] for found in rows for row in found.values())

    def _slice(self, part: Part) -> SliceId:
        return SliceId(self.source, part.group, part.window)

    def _events(self) -> int:
        return sum(len(part.events) for part in self.parts)


def wanted_windows(line: Line, settings: SourceSettings) -> list[Interval]:
    """The source's windows, as far as the plant file asks for them."""
    wanted = line.wanted(settings)
    parts = [window.intersect(wanted) for window in line.windows(settings)] if wanted else []
    return [part for part in parts if part is not None]


async def _pulled(line: Line, settings: SourceSettings) -> list[Part]:
    source = line.outside.source(settings)
    try:
        return [
            Part(label, window, points, await _whole(source, points, window))
            for window in wanted_windows(line, settings)
            for label, points in line.by_group(settings).items()
            if points
        ]
    finally:
        await source.close()


async def _whole(source: Source, points: list[Point], window: Interval) -> pa.Table:
    return joined([pulled.samples async for pulled in source.pull(points, window, _MOST)])


async def _counted(line: Line, settings: SourceSettings, parts: Sequence[Part]) -> int:
    source = line.outside.source(settings)
    try:
        return sum([sum(await _counts(source, part)) for part in parts])
    finally:
        await source.close()


async def _counts(source: Source, part: Part) -> list[int]:
    found: list[int] = (await source.tally(part.points, part.window)).table["events"].to_pylist()
    return found


def _small(part: Part) -> Part:
    events = part.events.slice(0, _WARM_ROWS)
    held = set(events["point"].cast(pa.string()).unique().to_pylist()[:-1])  # the last one may be cut
    few = [point for point in part.points if point.id in held]
    keep = pc.is_in(events["point"].cast(pa.string()), value_set=pa.array(sorted(held), pa.string()))
    return Part(part.group, part.window, few, events.filter(keep))


def _tablet_store(line: Line) -> IoTDBStore:
    """A store that has no staging folder, and so writes tablets."""
    login = line.outside.iotdb_address()
    store = IoTDBStore([f"{login.host}:{login.port}"], login.user, login.password, line.plant.database)
    store.prepare()
    return store
