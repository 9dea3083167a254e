"""PLCs as a Source: what was spooled of them. Nothing here asks a PLC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.points import Kind, Point, point_id, selected
from pipelines.ports import PULL_BYTES, SPOOL_SCHEMA, Pulled, Retry, SourceTally, Split, Tag, clock_tags
from pipelines.samples import GOOD, empty, number_ties, ordered, samples_table, times_ns
from pipelines.timeline import HOUR_NS, Interval
from resources.plc4x.spool import SpoolReader

T = TypeVar("T")
_COLUMNS = ("time", "value", "text", "code", "quality", "detail")
AS_READ = "as read"
"""The type of a tag of which the tag map says none."""
_UNKNOWN = "not in the tag map"
_GONE = "the spool has let go of what it held there; what was landed of it stands"


class SpoolSource:
    """One source of kind plc4x. `clocks` are the connections that tell the time. Safe for many tasks."""

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        spool: SpoolReader,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        clocks: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._spool = spool
        self._points = sorted(selected(_points(tags, clocks), include, exclude), key=lambda point: point.id)
        self._names = {point.name for point in self._points}

    async def discover(self) -> list[Point]:
        """The points of the tag map, and one for the cycles of each connection and group.

        What the tag map gives no type is of the kind that was read first.
        """
        return await self._read(self._kinds_as_read)

    async def pull(
        self, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int = PULL_BYTES
    ) -> AsyncIterator[Pulled]:
        """All that was spooled of the points in the span, each whole. Raises Split where one holds too much."""
        known, failed = self._told(points, span)
        if failed:
            yield Pulled(empty(), (), failed)
        for some in await self._read(self._packed, known, span, max_events, max_bytes):
            events = await self._read(self._events, some, span)
            if self._told(points, span)[1] != failed:
                raise Retry(f"the spool of {self.name} let go of some of {span} meanwhile")
            yield Pulled(events, tuple(point.id for point in some))

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        """How many events of each point the spool holds."""
        counts, _ = await self._read(self._sizes, points, span)
        known, failed = self._told(points, span)
        told = {point.id for point in known}
        here = [place for place, point in enumerate(points) if point.id in told]
        table = pa.table(
            {"point": pa.array([points[place].id for place in here], pa.string()), "events": pa.array(counts[here])}
        )
        return SourceTally(table, "spool", failed)

    async def first_ns(self) -> int | None:
        """The earliest time in the spool; None where nothing was read yet."""
        return await self._read(self._spool.first_ns)

    async def spare(self, before_ns: int) -> Interval | None:
        """From the first to the last time of the segments that are older."""
        older = [self._spool.bounds(path) for path in await self._read(self._spool.older, before_ns)]
        held = [ends for ends in older if ends.first_ns <= ends.last_ns]
        return Interval(min(e.first_ns for e in held), max(e.last_ns for e in held) + 1) if held else None

    async def let_go(self, before_ns: int) -> None:
        """Makes room on disk: what is older goes, as far as whole segments are."""
        older = await self._read(self._spool.older, before_ns)
        if older:
            await self._read(self._spool.let_go, older)

    async def close(self) -> None:
        """Nothing is open."""

    async def _read(self, work: Callable[..., T], *given: Any) -> T:
        try:
            return await asyncio.to_thread(work, *given)
        except FileNotFoundError as error:
            raise Retry(f"the spool of {self.name} let go of {error.filename} meanwhile") from None

    def _kinds_as_read(self) -> list[Point]:
        untyped = [point for point in self._points if point.source_type == AS_READ and point.kind == "number"]
        first_ns = self._spool.first_ns() if untyped else None
        if first_ns is None:
            return self._points
        kinds: dict[str, Kind] = {}
        names = pa.array([point.name for point in untyped], pa.string())
        for batch in self._spool.batches(Interval(first_ns, first_ns + HOUR_NS)):
            good = batch.filter(pc.and_(pc.is_in(batch["point"], names), pc.greater_equal(batch["quality"], GOOD)))
            for row in good.select(["point", "value", "text"]).to_pylist():
                if row["value"] is not None or row["text"]:
                    kinds.setdefault(row["point"], "string" if row["value"] is None else "number")
            if len(kinds) == len(untyped):
                break
        return [
            point if (kind := kinds.get(point.name, point.kind)) == point.kind else replace(point, kind=kind, step=True)
            for point in self._points
        ]

    def _told(self, points: Sequence[Point], span: Interval) -> tuple[list[Point], dict[str, str]]:
        """The points of which the spool has everything there, and what is wrong with the others."""
        lost = self._spool.lost(span)
        failed = {point.id: _GONE for point in points if point.name in lost}
        failed |= {point.id: _UNKNOWN for point in points if point.name not in self._names}
        return [point for point in points if point.id not in failed], failed

    def _packed(self, points: Sequence[Point], span: Interval, most: int, most_bytes: int) -> list[list[Point]]:
        """The points in groups of at most `most` events and `most_bytes` of texts each. Raises Split."""
        groups: list[list[Point]] = []
        room = room_bytes = 0
        counts, sizes = self._sizes(points, span)
        for point, events, size in zip(points, counts.tolist(), sizes.tolist(), strict=True):
            if events > most or (events > 1 and size > most_bytes):
                raise Split(f"{point.name} has {events:,} events of {size:,} bytes in {span}, more than {most:,}")
            if not groups or events > room or size > room_bytes:
                groups.append([])
                room, room_bytes = most, most_bytes
            groups[-1].append(point)
            room -= events
            room_bytes -= size
        return groups

    def _events(self, points: Sequence[Point], span: Interval) -> pa.Table:
        names = pa.array([point.name for point in points], pa.string())
        rows = [batch.filter(pc.is_in(batch["point"], value_set=names)) for batch in self._spool.batches(span)]
        table = pa.Table.from_batches(rows, schema=SPOOL_SCHEMA).combine_chunks()
        places = pc.index_in(table["point"].combine_chunks(), value_set=names)
        ids = pa.DictionaryArray.from_arrays(places, pa.array([point.id for point in points], pa.string()))
        columns = {name: table[name].combine_chunks() for name in _COLUMNS}
        ties = number_ties(np.asarray(places), times_ns(table))  # in the order in which they were spooled
        return ordered(samples_table({"point": ids, "tie": pa.array(ties), **columns}))

    def _sizes(self, points: Sequence[Point], span: Interval) -> tuple[np.ndarray, np.ndarray]:
        """Events of each point, and bytes of their texts."""
        names = pa.array([point.name for point in points], pa.string())
        counts, sizes = np.zeros(len(points), np.int64), np.zeros(len(points), np.int64)
        for batch in self._spool.batches(span):
            found = pc.index_in(batch["point"], value_set=names)
            lengths = pc.binary_length(batch["text"]).fill_null(0).filter(pc.is_valid(found))
            places = np.asarray(found.drop_null())
            counts += np.bincount(places, minlength=len(points))
            sizes += np.bincount(places, weights=np.asarray(lengths), minlength=len(points)).astype(np.int64)
        return counts, sizes


def _points(tags: Sequence[Tag], clocks: Sequence[str]) -> list[Point]:
    """One a tag or element, one for the cycles of each connection and group, and those of the clocks."""
    clocked = [tag for name in clocks for tag in clock_tags(name)]
    found = [_point(tag, name) for tag in (*tags, *clocked) for name in tag.names]
    about = "how late a cycle was read, or why it was missed"
    for name, place in {tag.cycle: f"{tag.connection}/{tag.group}" for tag in tags}.items():
        found.append(Point(point_id(name), name, "number", name, place, "cycle", "s", about))
    return found


def _point(tag: Tag, name: str) -> Point:
    attributes = {"connection": tag.connection, "group": tag.group}
    if tag.scaled:
        attributes |= {"scale": repr(tag.scale), "offset": repr(tag.offset)}
    return Point(
        point_id(name), name, tag.kind, source_key=name, address=tag.address, source_type=tag.type or AS_READ,
        unit=tag.unit, description=tag.description, step=tag.kind != "number" or tag.deadband is not None,
        attributes=attributes,
    )  # fmt: skip
