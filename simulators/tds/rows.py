"""An Arrow table as ROW tokens (MS-TDS 2.2.7.19), in numpy's and Arrow's kernels: no work per row in Python.

A row is a list of pieces: stretches of bytes that have one width in every row (values that are never null, length
prefixes) and payloads whose length differs (null or not, texts). Stretches side by side become one matrix, and Arrow
joins matrix rows and payloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from simulators.tds.columns import WIDTHS, Column, time_width

Bytes = npt.NDArray[np.uint8]  # shape (rows, width)
Mask = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int64]

_ROW = b"\xd1"
_CHUNK_ROWS = 65_536  # keeps the working set in the processor's cache
_DAY_NS = 86_400 * 1_000_000_000
_DAYS_TO_1970 = 719_162  # from 0001-01-01, the first day of datetime2
_NULL_SHORT = 0xFFFF  # length of a null nvarchar(n) or varbinary(n)
_NULL_PLP = 0xFFFF_FFFF_FFFF_FFFF
_ARROW: dict[str, pa.DataType] = {
    "bit": pa.bool_(),
    "tinyint": pa.uint8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "float": pa.float64(),
}


LONE_HIGH, LONE_LOW = "\ufdd0", "\ufdd1"  # stand for half a pair, which Arrow's UTF-8 cannot have


def utf16(text: str) -> bytes:
    """The text as SQL Server keeps it, lone surrogates too."""
    if LONE_HIGH in text or LONE_LOW in text:
        text = text.replace(LONE_HIGH, "\ud800").replace(LONE_LOW, "\udc00")
    return text.encode("utf-16-le", "surrogatepass")


def for_arrow(text: str) -> str:
    """The text with what stands for lone surrogates in their place."""
    return "".join(
        LONE_HIGH if "\ud800" <= each < "\udc00" else LONE_LOW if "\udc00" <= each <= "\udfff" else each
        for each in text
    )


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """ROW tokens one behind the other: row i is data[offsets[i]:offsets[i + 1]], its token byte 0xD1 with it."""

    data: bytes
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def blocks(self, start: int = 0, stop: int | None = None, block_bytes: int = 262_144) -> Iterator[Block]:
        """The rows start <= i < stop in blocks of about `block_bytes` (one row at least); nothing is copied."""
        stop = len(self) if stop is None else min(stop, len(self))
        whole = memoryview(self.data)
        while start < stop:
            reach = int(np.searchsorted(self.offsets, self.offsets[start] + block_bytes, side="right")) - 1
            end = min(max(reach, start + 1), stop)
            yield Block(whole[self.offsets[start] : self.offsets[end]], end - start)
            start = end


@dataclass(frozen=True, slots=True)
class Block:
    """Whole ROW tokens, and how many they are."""

    data: bytes | memoryview
    rows: int


def encode(columns: Sequence[Column], table: pa.Table) -> EncodedRows:
    """The rows of a table, its columns taken in order whatever their names.

    Arrow types: bool, integers and floats for the numbers (cast where nothing is lost, but float64 into real); for
    datetime2 timestamp[ns] of any zone, or int64, in ns since 1970, as a wall clock, rounded down to the scale; string
    or a dictionary of them for nvarchar; binary for varbinary. Raises ValueError for a null in a column that has none,
    for a value that is out of range or too long, and for columns that are not the table's; TypeError for an Arrow type
    that a kind cannot take.
    """
    if not columns or len(columns) != table.num_columns:
        raise ValueError(f"{len(columns)} columns for a table of {table.num_columns}")
    parts, ends, size = [], [np.zeros(1, dtype=np.int64)], 0
    for batch in table.to_batches(max_chunksize=_CHUNK_ROWS):
        row = _Row(batch.num_rows)
        row.constant(_ROW)
        for column, values in zip(columns, batch.columns, strict=True):
            _add(row, column, values)
        offsets, data = _content(row.joined())
        parts.append(data)
        ends.append(offsets[1:] + size)
        size += len(data)
    return EncodedRows(b"".join(parts), np.concatenate(ends))


class _Row:
    """The pieces of one row, for `rows` rows at once."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._pieces: list[pa.Array] = []
        self._waiting: list[Bytes] = []  # fixed stretches since the last payload of varying length

    def fixed(self, cells: Bytes) -> None:
        self._waiting.append(cells)

    def constant(self, cell: bytes) -> None:
        self.fixed(np.frombuffer(cell, dtype=np.uint8)[np.newaxis])

    def varying(self, cells: pa.Array) -> None:
        self._settle()
        self._pieces.append(cells)

    def where(self, mask: Mask, cells: Bytes) -> None:
        """Cells of the rows in the mask; nothing in the others."""
        offsets = np.zeros(self.rows + 1, dtype=np.int64)
        np.cumsum(mask * cells.shape[1], out=offsets[1:])
        self.varying(_binary(offsets, np.ascontiguousarray(cells[mask]).data))

    def joined(self) -> pa.Array:
        """All pieces, as large_binary."""
        self._settle()
        if len(self._pieces) == 1:
            return self._pieces[0]
        return pc.binary_join_element_wise(*self._pieces, pa.scalar(b"", pa.large_binary()))

    def _settle(self) -> None:
        if not self._waiting:
            return
        width = sum(cells.shape[1] for cells in self._waiting)
        matrix = np.empty((self.rows, width), dtype=np.uint8)
        place = 0
        for cells in self._waiting:
            matrix[:, place : place + cells.shape[1]] = cells
            place += cells.shape[1]
        self._waiting = []
        self._pieces.append(_binary(np.arange(self.rows + 1, dtype=np.int64) * width, matrix.data))


def _add(row: _Row, column: Column, values: pa.Array) -> None:
    if values.null_count and not column.nullable:
        raise ValueError(f"column {column.name!r} is not nullable and has {values.null_count} nulls")
    if column.kind in ("nvarchar", "varbinary"):
        _add_text(row, column, values)
    elif column.kind == "datetime2":
        _add_nullable(row, _datetimes(column, values), _valid(values))
    elif column.nullable:
        _add_nullable(row, _numbers(column, values), _valid(values))
    else:
        row.fixed(_numbers(column, values))


def _add_nullable(row: _Row, cells: Bytes, valid: Mask | None) -> None:
    """A length of one byte, 0 for null, and the value."""
    if valid is None:
        row.constant(bytes((cells.shape[1],)))
        row.fixed(cells)
        return
    row.fixed((valid * np.uint8(cells.shape[1]))[:, np.newaxis])
    row.where(valid, cells)


def _numbers(column: Column, values: pa.Array) -> Bytes:
    wanted = _ARROW[column.kind]
    if not (pa.types.is_boolean(values.type) or pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise TypeError(f"column {column.name!r}: {column.kind} cannot hold Arrow's {values.type}")
    narrowed = wanted == pa.float32()
    exact = values if values.type == wanted else values.cast(wanted, safe=not narrowed)
    filled = exact.fill_null(False if column.kind == "bit" else 0).to_numpy(zero_copy_only=False)
    cells: Bytes = filled.view(np.uint8).reshape(len(values), WIDTHS[column.kind])
    return cells


def _datetimes(column: Column, values: pa.Array) -> Bytes:
    if not (values.type == pa.int64() or (pa.types.is_timestamp(values.type) and values.type.unit == "ns")):
        raise TypeError(f"column {column.name!r}: datetime2 takes timestamp[ns] or int64, not Arrow's {values.type}")
    times = values.view(pa.int64()).fill_null(0).to_numpy()
    days = times // _DAY_NS
    units = (times - days * _DAY_NS) // 10 ** (9 - column.size)
    width = time_width(column.size)
    joined = (units | (days + _DAYS_TO_1970) << (8 * width)).astype("<i8", copy=False)
    cells: Bytes = joined.view(np.uint8).reshape(len(values), 8)[:, : width + 3]
    return cells


def _add_text(row: _Row, column: Column, values: pa.Array) -> None:
    if pa.types.is_dictionary(values.type):
        if len(values.dictionary) > len(values):
            values = values.dictionary_decode()
        else:
            _add_dictionary(row, column, values)
            return
    valid = _valid(values)
    offsets, payload = _payload(column, values)
    lengths = np.diff(offsets)
    if column.size:
        most = column.size * (2 if column.kind == "nvarchar" else 1)
        if len(lengths) and lengths.max() > most:
            raise ValueError(f"column {column.name!r}: a value has {lengths.max()} bytes, {most} is the most")
        row.fixed(_little(lengths if valid is None else np.where(valid, lengths, _NULL_SHORT), "<u2"))
        row.varying(_binary(offsets, payload))
        return
    present = np.ones(len(values), dtype=np.bool_) if valid is None else valid
    row.fixed(_little(np.where(present, lengths.astype(np.uint64), np.uint64(_NULL_PLP)), "<u8"))
    # One chunk of all bytes and a terminator; of an empty value the chunk's length is the terminator.
    row.where(present, _little(lengths, "<u4"))
    row.varying(_binary(offsets, payload))
    row.where(lengths > 0, np.zeros((len(values), 4), dtype=np.uint8))


def _add_dictionary(row: _Row, column: Column, values: pa.Array) -> None:
    """Each different value is written once and looked up."""
    words = values.dictionary
    places = values.indices
    if values.indices.null_count:
        places = places.cast(pa.int64()).fill_null(len(words))
        words = pa.concat_arrays([words, pa.nulls(1, words.type)])
    cells = _Row(len(words))
    _add_text(cells, column, words)
    row.varying(cells.joined().take(places))


def _payload(column: Column, values: pa.Array) -> tuple[Offsets, bytes]:
    """The bytes of all values one behind the other, and where each begins; nulls have none."""
    if column.kind == "varbinary":
        if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
            raise TypeError(f"column {column.name!r}: varbinary cannot hold Arrow's {values.type}")
        return _content(values.cast(pa.large_binary()).fill_null(b""))
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise TypeError(f"column {column.name!r}: nvarchar cannot hold Arrow's {values.type}")
    offsets, text = _content(values.cast(pa.large_string()).fill_null(""))
    eights = np.frombuffer(text, dtype=np.uint8)
    # UTF-16 units by bytes of UTF-8: one for each first byte of a character, two where four bytes start.
    units = ((eights & 0xC0) != 0x80).view(np.uint8) + (eights >= 0xF0)
    ends = np.zeros(len(eights) + 1, dtype=np.int64)
    np.cumsum(units, out=ends[1:])
    return 2 * ends[offsets], utf16(str(text, "utf-8"))


def _content(values: pa.Array) -> tuple[Offsets, bytes]:
    """Offsets from 0 and bytes of a large_binary or large_string array without nulls."""
    _, ends, data = values.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    if data is None:
        return offsets - offsets[0], b""
    return offsets - offsets[0], bytes(memoryview(data)[offsets[0] : offsets[-1]])


def _binary(offsets: Offsets, data: bytes | memoryview) -> pa.Array:
    return pa.Array.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets.data), pa.py_buffer(data)]
    )


def _little(numbers: npt.NDArray[np.generic], kind: str) -> Bytes:
    """Unsigned little-endian numbers as bytes."""
    cells: Bytes = numbers.astype(kind).view(np.uint8).reshape(len(numbers), np.dtype(kind).itemsize)
    return cells


def _valid(values: pa.Array) -> Mask | None:
    """Which values are not null; None where all are."""
    if not values.null_count:
        return None
    mask: Mask = values.is_valid().to_numpy(zero_copy_only=False)
    return mask
