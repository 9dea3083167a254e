"""IoTDB's answer to a query, a TsBlock, taken as whole columns: bytes → Arrow, no row ever touched by Python.

Layout of a block, big-endian: columns int32 · their types, a byte each · rows int32 · an encoding byte for the time
column and for each column · the time column · the columns. A column is `may have nulls` (byte), if so a bit per row,
then the values of the rows that are not null. Run-length: an inner encoding and its column of one row.
Source: the reader in apache-iotdb, iotdb/tsfile/utils/tsblock_serde.py (layout only).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BYTE, _INT32, _INT64, _BINARY, _RUN_LENGTH = range(5)
_INT = struct.Struct(">i")
_Bools = npt.NDArray[np.bool_]

ARROW_TYPES: dict[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "TIMESTAMP": pa.int64(),
    "DATE": pa.int32(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "TEXT": pa.dictionary(pa.int32(), pa.string()),
    "STRING": pa.dictionary(pa.int32(), pa.string()),
}
_WIRE = {"INT32": ">i4", "FLOAT": ">f4", "INT64": ">i8", "TIMESTAMP": ">i8", "DOUBLE": ">f8"}


def read_block(block: bytes, types: Sequence[str], positions: Sequence[int]) -> list[pa.Array]:
    """One block → the result's columns: `types` by name and `positions` in the block (-1: the time column).

    Raises ValueError for an encoding or type that is not known.
    """
    cursor = _Cursor(block)
    width = cursor.int32()
    cursor.skip(width)
    rows = cursor.int32()
    encodings = cursor.take(width + 1)
    type_at = {position: name for name, position in zip(types, positions, strict=True)}
    columns = {-1: cursor.column(encodings[0], "INT64", rows)}
    for index in range(width):
        columns[index] = cursor.column(encodings[index + 1], type_at.get(index), rows)
    return [columns[position] for position in positions]


class _Cursor:
    """A place in the bytes of a block, moved on by every read."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def int32(self) -> int:
        value: int = _INT.unpack_from(self._block, self._at)[0]
        self._at += 4
        return value

    def skip(self, size: int) -> None:
        self._at += size

    def take(self, size: int) -> bytes:
        start = self._at
        self._at += size
        return self._block[start : self._at]

    def column(self, encoding: int, type_name: str | None, rows: int) -> pa.Array:
        if encoding == _RUN_LENGTH:
            inner = self.column(self.take(1)[0], type_name, 1)
            return _repeated(inner, rows)
        nulls = self._bits(rows) if self.take(1)[0] else None
        present = rows if nulls is None else rows - int(np.count_nonzero(nulls))
        if encoding == _BYTE:
            return pa.array(self._bits(rows), pa.bool_(), mask=nulls)
        if encoding in (_INT32, _INT64):
            return self._numbers(encoding, type_name, present, nulls)
        if encoding == _BINARY:
            return _spread(self._texts(present), nulls)
        raise ValueError(f"IoTDB sent a column in the unknown encoding {encoding}")

    def _bits(self, rows: int) -> _Bools:
        packed = np.frombuffer(self.take((rows + 7) // 8), np.uint8)
        return np.unpackbits(packed)[:rows].astype(np.bool_)

    def _numbers(self, encoding: int, type_name: str | None, present: int, nulls: _Bools | None) -> pa.Array:
        wire = np.dtype(_WIRE.get(type_name or "", ">i4" if encoding == _INT32 else ">i8"))
        if wire.itemsize != (4 if encoding == _INT32 else 8):
            raise ValueError(f"IoTDB sent a {type_name} column in the encoding {encoding}")
        raw = np.frombuffer(self._block, wire, present, self._at)
        self._at += present * wire.itemsize
        return _spread(pa.array(raw.astype(wire.newbyteorder("="))), nulls)

    def _texts(self, present: int) -> pa.Array:
        """`present` texts, each its length and its bytes, dictionary-encoded."""
        grid = self._equally_long(present)
        if grid is None:
            return self._texts_of(self._starts(present))
        if (grid == grid[0]).all():  # one device fills a block as a rule, so its TAGs are constant
            text = grid[0, 4:].tobytes().decode()
            self._at += grid.size
            return pa.DictionaryArray.from_arrays(pa.array(np.zeros(present, np.int32)), pa.array([text]))
        return self._texts_of(np.arange(self._at, self._at + grid.size + 1, grid.shape[1], dtype=np.int64))

    def _equally_long(self, present: int) -> npt.NDArray[np.uint8] | None:
        """The texts as the rows of a grid, if all are as long as the first."""
        if not present:
            return None
        stride = 4 + _INT.unpack_from(self._block, self._at)[0]
        if self._at + present * stride > len(self._block):
            return None
        grid = np.frombuffer(self._block, np.uint8, present * stride, self._at).reshape(present, stride)
        # By induction: where each length so far is the first one, the next stands exactly one stride on.
        return grid if (grid[:, :4] == grid[0, :4]).all() else None

    def _starts(self, present: int) -> npt.NDArray[np.int64]:
        """Where each text begins, and where the last one ends."""
        starts, at = [self._at], self._at
        for _ in range(present):
            at += 4 + _INT.unpack_from(self._block, at)[0]
            starts.append(at)
        return np.array(starts, np.int64)

    def _texts_of(self, starts: npt.NDArray[np.int64]) -> pa.Array:
        present, size = len(starts) - 1, int(starts[-1]) - self._at
        offsets = np.concatenate(([0], np.cumsum(np.diff(starts) - 4))).astype(np.int32)
        raw = np.frombuffer(self._block, np.uint8, size, self._at)
        kept = np.ones(size, np.bool_)
        kept[(starts[:-1, None] - self._at + np.arange(4)).ravel()] = False
        self._at += size
        data = pa.py_buffer(raw[kept].tobytes())
        return pa.StringArray.from_buffers(present, pa.py_buffer(offsets.tobytes()), data).dictionary_encode()


def _repeated(one: pa.Array, rows: int) -> pa.Array:
    if one.null_count:
        return pa.nulls(rows, one.type)
    zeros = np.zeros(rows, np.int32)
    if pa.types.is_dictionary(one.type):
        return pa.DictionaryArray.from_arrays(pa.array(zeros), one.dictionary)
    return one.take(pa.array(zeros))


def _spread(values: pa.Array, nulls: _Bools | None) -> pa.Array:
    """The values in their rows, null where `nulls` says so."""
    if nulls is None:
        return values
    return values.take(pa.array(np.cumsum(~nulls) - 1, pa.int32(), mask=nulls))
