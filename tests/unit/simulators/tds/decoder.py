"""ROW tokens read one byte after the other: slow, and nothing of the encoder's."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from simulators.tds import Column

_FORMS = {
    "bit": "<B", "tinyint": "<B", "smallint": "<h", "int": "<i", "bigint": "<q", "real": "<f", "float": "<d",
}  # fmt: skip


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.place : self.place + count]
        assert len(taken) == count
        self.place += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")


def rows_of(columns: Sequence[Column], data: bytes) -> tuple[list[list[Any]], list[int]]:
    """Values (datetime2 as (day from 0001-01-01, units of its scale)), and where each row begins, and the end."""
    reader, rows, places = Reader(data), [], []
    while reader.place < len(data):
        places.append(reader.place)
        assert reader.take(1) == b"\xd1"
        rows.append([_value(reader, column) for column in columns])
    return rows, [*places, reader.place]


def _value(reader: Reader, column: Column) -> Any:
    if column.kind in ("nvarchar", "varbinary"):
        raw = _short(reader) if column.size else _long(reader)
        return raw.decode("utf-16-le") if raw is not None and column.kind == "nvarchar" else raw
    if column.kind == "datetime2":
        length = reader.number(1)
        if not length:
            return None
        units = reader.number(length - 3)
        return reader.number(3), units
    size = struct.calcsize(_FORMS[column.kind])
    if column.nullable:
        length = reader.number(1)
        if not length:
            return None
        assert length == size
    (value,) = struct.unpack(_FORMS[column.kind], reader.take(size))
    return bool(value) if column.kind == "bit" else value


def _short(reader: Reader) -> bytes | None:
    length = reader.number(2)
    return None if length == 0xFFFF else reader.take(length)


def _long(reader: Reader) -> bytes | None:
    total = reader.number(8)
    if total == 0xFFFF_FFFF_FFFF_FFFF:
        return None
    found = b""
    while length := reader.number(4):
        found += reader.take(length)
    assert len(found) == total
    return found
