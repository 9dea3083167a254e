"""Columns of a rowset, and how each kind is declared on the wire (MS-TDS 2.2.5.4, TYPE_INFO)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bit", "tinyint", "smallint", "int", "bigint", "real", "float", "datetime2", "nvarchar", "varbinary"]

COLLATION = struct.pack("<IB", 0x00D00409, 52)  # Latin1_General, case and accent insensitive: 0x0409, sort id 52
MAX_CHARACTERS = 4_000
MAX_BYTES = 8_000
PLP = 0xFFFF  # the length that declares a partially length-prefixed type: nvarchar(max), varbinary(max)

WIDTHS: dict[Kind, int] = {"bit": 1, "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "real": 4, "float": 8}

_FIXED: dict[Kind, int] = {  # 2.2.5.4.1: without a length, never null
    "bit": 0x32,
    "tinyint": 0x30,
    "smallint": 0x34,
    "int": 0x38,
    "bigint": 0x7F,
    "real": 0x3B,
    "float": 0x3E,
}
_NULLABLE: dict[Kind, int] = {  # 2.2.5.4.2: BITN, INTN, FLTN with a length of one byte
    "bit": 0x68,
    "tinyint": 0x26,
    "smallint": 0x26,
    "int": 0x26,
    "bigint": 0x26,
    "real": 0x6D,
    "float": 0x6D,
}
_DATETIME2, _NVARCHAR, _VARBINARY = 0x2A, 0xE7, 0xA5
_DEFAULT_SCALE = 7


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a rowset. Raises ValueError for a size that its kind cannot have.

    `size`: of nvarchar the characters 1..4000, of varbinary the bytes 1..8000, 0 for max; of datetime2 the scale 0..7
    (`datetime2()` has 7 as its default); 0 for every other kind.
    """

    name: str
    kind: Kind
    size: int = 0
    nullable: bool = True

    def __post_init__(self) -> None:
        most = {"nvarchar": MAX_CHARACTERS, "varbinary": MAX_BYTES, "datetime2": _DEFAULT_SCALE}.get(self.kind, 0)
        if not 0 <= self.size <= most:
            raise ValueError(f"column {self.name!r}: {self.kind} cannot have the size {self.size}")


def datetime2(name: str, scale: int = _DEFAULT_SCALE, *, nullable: bool = True) -> Column:
    """A datetime2 column; scale 7 holds multiples of 100 ns."""
    return Column(name, "datetime2", scale, nullable)


def time_width(scale: int) -> int:
    """Bytes of the time of day in datetime2(scale), the date's three bytes not counted (2.2.5.5.1.8)."""
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def type_info(column: Column) -> bytes:
    """TYPE_INFO of a column."""
    kind = column.kind
    if kind == "datetime2":
        return bytes((_DATETIME2, column.size))
    if kind == "nvarchar":
        return struct.pack("<BH", _NVARCHAR, 2 * column.size or PLP) + COLLATION
    if kind == "varbinary":
        return struct.pack("<BH", _VARBINARY, column.size or PLP)
    if column.nullable:
        return bytes((_NULLABLE[kind], WIDTHS[kind]))
    return bytes((_FIXED[kind],))
