"""The hot path: plain select lists over History, whose rows of a tag and day are encoded once and sliced ever after."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa

from simulators.tds.columns import Column
from simulators.tds.rows import encode
from simulators.wonderware.events import NOTHING, Events, Int64s
from simulators.wonderware.outside import Outside, as_columns, sql_error
from simulators.wonderware.plant import Plant
from simulators.wonderware.retrieval import Options, Span, has_initial_row, initial_row
from simulators.wonderware.rowsets import Stretch, day_of_rows, history_rows
from simulators.wonderware.tables import HISTORY

_BATCH_ROWS = 200_000  # rows made and encoded together
_PLACE = "ferry_place"


@dataclass(frozen=True, slots=True)
class Item:
    """One column of a select list: a column of History by its true name, or an expression in DuckDB's words."""

    title: str
    column: str = ""
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A select list with its filter: what decides the bytes of a row. Hashable, the key of the cache."""

    items: tuple[Item, ...]
    reads: tuple[str, ...]  # true names of the columns that items and filter need
    condition: str  # DuckDB's words, '' for none
    options: Options


@dataclass(frozen=True, slots=True)
class Block:
    """Encoded rows of one tag in stored order: row i is data[offsets[i]:offsets[i + 1]]."""

    times: Int64s
    offsets: Int64s
    data: bytes

    @property
    def size_bytes(self) -> int:
        """Memory held, bytes."""
        return len(self.data) + 16 * len(self.times) + 300


@dataclass(slots=True)
class _Batch:
    """Work that is encoded together: for each part a block of the cache, or rows to make one of."""

    parts: list[tuple[Block | None, tuple[Sheet, int, int] | None, Events]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    rows: int = 0
    changes: int = 0  # of the plant, when the first rows were read


class Press:
    """Blocks by sheet, tag and day, kept within a bound."""

    def __init__(self, plant: Plant, outside: Outside) -> None:
        self._plant, self._outside = plant, outside
        self._kept: OrderedDict[tuple[Sheet, int, int], Block] = OrderedDict()
        self._kept_bytes = 0
        self._changes = 0
        self._lock = threading.Lock()
        plant.changed.append(self._drop)

    def columns(self, sheet: Sheet) -> list[Column]:
        """The columns of the select list. Raises SqlError for an expression that DuckDB refuses."""
        columns, _, _ = self._evaluated(sheet, [])
        return columns

    def pieces(self, sheet: Sheet, numbers: Sequence[int], span: Span) -> Iterator[tuple[bytes, Int64s]]:
        """The rows in the span, tag by tag, as bytes and where each row ends (the first at 0)."""
        batch = _Batch(changes=self._changes)
        last_ns = min(span.last_ns, self._plant.last_visible_ns())
        for number in numbers:
            if has_initial_row(self._plant, number, span, sheet.options.version):
                now_ns = self._plant.clock.now_ns()
                first = initial_row(self._plant, number, span, sheet.options.version, now_ns)
                self._add(batch, number, None, None, first)
            for day in self._plant.days(number, span.first_ns, last_ns):
                key = (sheet, number, day)
                block = self._kept_block(key)
                events = NOTHING if block else day_of_rows(self._plant, number, day, sheet.options)
                self._add(batch, number, block, key, events)
                if batch.rows >= _BATCH_ROWS:
                    yield self._printed(sheet, batch, span.first_ns, last_ns)
                    batch = _Batch(changes=self._changes)
        if batch.parts:
            yield self._printed(sheet, batch, span.first_ns, last_ns)

    def _add(
        self, batch: _Batch, number: int, block: Block | None, key: tuple[Sheet, int, int] | None, events: Events
    ) -> None:
        batch.parts.append((block, key, events))
        batch.numbers.append(number)
        batch.rows += len(events) + (len(block.times) // 4 if block else 0)  # a slice costs less than an encoding

    def _printed(self, sheet: Sheet, batch: _Batch, first_ns: int, last_ns: int) -> tuple[bytes, Int64s]:
        missing = [place for place, (block, _, _) in enumerate(batch.parts) if block is None]
        made = self._made(sheet, [(batch.numbers[place], batch.parts[place][2]) for place in missing])
        for place, new in zip(missing, made, strict=True):
            _, key, events = batch.parts[place]
            batch.parts[place] = (new, key, events)
            if key is not None:
                self._keep(key, new, batch.changes)
        data, ends, size = [], [np.zeros(1, dtype=np.int64)], 0
        for block, key, _ in batch.parts:
            assert block is not None
            low, high = (0, len(block.times)) if key is None else np.searchsorted(block.times, (first_ns, last_ns + 1))
            start, end = int(block.offsets[low]), int(block.offsets[high])
            data.append(block.data[start:end])
            ends.append(block.offsets[low + 1 : high + 1] - start + size)
            size += end - start
        return b"".join(data), np.concatenate(ends)

    def _made(self, sheet: Sheet, parts: list[tuple[int, Events]]) -> list[Block]:
        """Encodes the rows of all parts at once and cuts the outcome into blocks."""
        stretches = [Stretch(number, events) for number, events in parts]
        starts = np.concatenate([[0], np.cumsum([len(events) for _, events in parts], dtype=np.int64)])
        begins = starts
        columns, table, places = self._evaluated(sheet, stretches)
        if places is not None:
            starts = np.searchsorted(places, starts)
        encoded = encode(columns, table)
        blocks = []
        for index, (_, events) in enumerate(parts):
            low, high = int(starts[index]), int(starts[index + 1])
            times = events.times if places is None else events.times[places[low:high] - begins[index]]
            begin, end = int(encoded.offsets[low]), int(encoded.offsets[high])
            blocks.append(Block(times, encoded.offsets[low : high + 1] - begin, encoded.data[begin:end]))
        return blocks

    def _evaluated(self, sheet: Sheet, stretches: list[Stretch]) -> tuple[list[Column], pa.Table, Int64s | None]:
        """Columns and values of the select list, and the places of the rows that pass the filter (None: all do)."""
        rows = history_rows(self._plant, stretches, sheet.options, sheet.reads)
        expressions = [item.sql for item in sheet.items if item.sql]
        found, places = rows, None
        if expressions or sheet.condition:
            found = self._computed(rows, expressions, sheet.condition)
            if sheet.condition:
                places = np.asarray(found.column(0).combine_chunks())
                rows = rows.take(found.column(0))
        columns, arrays, computed = [], [], 1
        for item in sheet.items:
            column = HISTORY.column(item.column) if item.column else None
            if column is not None:
                columns.append(Column(item.title, column.kind, column.size, column.nullable))
                arrays.append(rows.column(item.column))
                continue
            made, values = as_columns([item.title], found.select([computed]))
            columns.append(made[0])
            arrays.append(values.column(0))
            computed += 1
        return columns, pa.table(arrays, names=[str(place) for place in range(len(arrays))]), places

    def _computed(self, rows: pa.Table, expressions: list[str], condition: str) -> pa.Table:
        numbered = rows.append_column(_PLACE, pa.array(np.arange(len(rows))))
        where = f" WHERE {condition}" if condition else ""
        cursor = self._outside.cursor()
        try:
            cursor.register("ferry_rows", numbered)
            return cursor.sql(f"SELECT {', '.join([_PLACE, *expressions])} FROM ferry_rows{where}").to_arrow_table()  # noqa: S608
        except duckdb.Error as error:
            raise sql_error(error, dates=True) from error
        finally:
            cursor.close()

    def _kept_block(self, key: tuple[Sheet, int, int]) -> Block | None:
        with self._lock:
            block = self._kept.get(key)
            if block is not None:
                self._kept.move_to_end(key)
            return block

    def _keep(self, key: tuple[Sheet, int, int], block: Block, changes: int) -> None:
        with self._lock:
            if changes != self._changes or key in self._kept:
                return  # the plant changed while these rows were made
            self._kept[key] = block
            self._kept_bytes += block.size_bytes
            while self._kept_bytes > self._plant.settings.cache_bytes and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._kept_bytes -= old.size_bytes

    def _drop(self, number: int | None, day: int | None) -> None:
        """Forgets what a change of the plant made stale; the next day too, which Delta compares with this one."""
        with self._lock:
            self._changes += 1
            for key in list(self._kept):
                _, tag, at = key
                if number in (None, tag) and (day is None or at >= day):
                    self._kept_bytes -= self._kept.pop(key).size_bytes
