"""Finished points waiting to be handed over, joined into batches of a good size: a batch costs more than an event."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.points import Point
from pipelines.ports import Pulled, Split
from pipelines.samples import Size, crowded_ns, number_ties, samples_table, times_ns
from resources.pi_web_api.decoding import ROWS


class Shelf:
    """Collects ROWS of whole points. `target` events make a batch; none holds more than `most`, or more than
    `most_bytes` of texts but for its longest."""

    def __init__(self, points: tuple[Point, ...], target: int, most: int, most_bytes: int) -> None:
        self._points = points
        self._target = min(target, most)
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0
        self._parts: list[pa.Table] = []
        self._numbers: list[int] = []
        self._events = 0
        self._failed: dict[str, str] = {}
        self._ready: list[Pulled] = []

    def put(self, numbers: list[int], parts: list[pa.Table]) -> None:
        """Adds finished points and their rows, those of one point one after another. Raises Split when one alone is
        bigger than a batch may be."""
        size = sum(parts, Size())
        if size.events > self._most or size.besides_longest > self._most_bytes:
            if len(numbers) == 1:
                name = self._points[numbers[0]].name
                raise Split(
                    f"point {name!r} alone has {size.events} events, and a batch at most {self._most}, or long ones",
                    crowded_ns(map(times_ns, parts)),
                )
            self._put_one_by_one(numbers, parts)
            return
        full = self._events + size.events > self._most or self._bytes + size.text_bytes > self._most_bytes
        if self._events and full:
            self._close()
        self._bytes += size.text_bytes
        self._numbers += numbers
        self._parts += parts
        self._events += size.events
        if self._events >= self._target or self._bytes >= self._most_bytes:
            self._close()

    def fail(self, number: int, reason: str) -> None:
        """This point cannot be had."""
        self._failed[self._points[number].id] = reason

    def take(self) -> list[Pulled]:
        """Batches that are full."""
        ready, self._ready = self._ready, []
        return ready

    def rest(self) -> list[Pulled]:
        """Everything that is left."""
        if self._numbers or self._failed:
            self._close()
        return self.take()

    def _put_one_by_one(self, numbers: list[int], parts: list[pa.Table]) -> None:
        rows = pa.concat_tables(parts)
        for number in numbers:
            self.put([number], [rows.filter(pc.equal(rows["point"], number))])

    def _close(self) -> None:
        points = tuple(self._points[number].id for number in self._numbers)
        self._ready.append(Pulled(self._joined(points), points, self._failed))
        self._parts, self._numbers, self._events, self._bytes, self._failed = [], [], 0, 0, {}

    def _joined(self, points: tuple[str, ...]) -> pa.Table:
        rows = (pa.concat_tables(self._parts) if self._parts else ROWS.empty_table()).combine_chunks()
        owners = np.asarray(rows["point"].combine_chunks(), dtype=np.int32)
        places = np.full(len(self._points), -1, dtype=np.int32)
        places[self._numbers] = np.arange(len(self._numbers), dtype=np.int32)
        codes = places[owners]
        times = np.asarray(rows["time"].combine_chunks().cast(pa.int64()))
        columns = {name: rows[name].combine_chunks() for name in ROWS.names[1:]}
        columns["point"] = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(points, pa.string()))
        columns["tie"] = pa.array(number_ties(codes, times))
        return samples_table(columns)
