"""What a client reads: rows of a result as Python values, decoded from ROW tokens by the protocol's text alone."""

from __future__ import annotations

import json
import struct
from typing import Any

from simulators.tds.columns import Column
from simulators.wonderware import Historian

_NUMBERS = {"bit": "<B", "tinyint": "<B", "smallint": "<h", "int": "<i", "bigint": "<q", "real": "<f", "float": "<d"}
_DAYS_TO_1970 = 719_162


def ask(historian: Historian, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Rows of the last result; datetime2 as ns since 1970 of its wall clock. Parameters are given without their @."""
    rows: list[tuple[Any, ...]] = []
    session = historian.login("ferry", "ferry-demo", "Runtime")
    for result in historian.execute(session, sql, {f"@{name}": value for name, value in parameters.items()}):
        rows = decoded(result.columns, b"".join(result.blocks))
    return rows


def titles(historian: Historian, sql: str) -> list[str]:
    session = historian.login("ferry", "ferry-demo", "Runtime")
    return [column.name for result in historian.execute(session, sql, {}) for column in result.columns]


def plant(historian: Historian, operation: str, **given: Any) -> list[Any]:
    """Rows of a control operation."""
    rows = ask(historian, "EXEC ferry_plant @op, @json", op=operation, json=json.dumps(given))
    return [json.loads(row[0]) if operation != "truth" else row[0] for row in rows]


def decoded(columns: tuple[Column, ...], data: bytes) -> list[tuple[Any, ...]]:
    rows, place = [], 0
    while place < len(data):
        assert data[place] == 0xD1
        place += 1
        row = []
        for column in columns:
            value, place = _value(column, data, place)
            row.append(value)
        rows.append(tuple(row))
    return rows


def _value(column: Column, data: bytes, place: int) -> tuple[Any, int]:
    if column.kind in ("nvarchar", "varbinary"):
        return _text(column, data, place)
    if column.nullable or column.kind == "datetime2":
        width, place = data[place], place + 1
        if not width:
            return None, place
    else:
        width = struct.calcsize(_NUMBERS[column.kind])
    cell, place = data[place : place + width], place + width
    if column.kind == "datetime2":
        days = int.from_bytes(cell[5:], "little") - _DAYS_TO_1970
        return days * 86_400_000_000_000 + int.from_bytes(cell[:5], "little") * 100, place
    return struct.unpack(_NUMBERS[column.kind], cell)[0], place


def _text(column: Column, data: bytes, place: int) -> tuple[Any, int]:
    if column.size:
        (length,) = struct.unpack_from("<H", data, place)
        place += 2
        cell = None if length == 0xFFFF else data[place : place + length]
        place += 0 if cell is None else length
    else:
        (length,) = struct.unpack_from("<Q", data, place)
        place += 8
        if length == 0xFFFF_FFFF_FFFF_FFFF:
            return None, place
        cell = b""
        while True:
            (chunk,) = struct.unpack_from("<I", data, place)
            place += 4
            if not chunk:
                break
            cell += data[place : place + chunk]
            place += chunk
    return (cell.decode("utf-16-le") if cell is not None and column.kind == "nvarchar" else cell), place
