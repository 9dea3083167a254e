"""Tokens of a reply (MS-TDS 2.2.7). `wide` is what TDS 7.2 made wider: row counts, line numbers, user types."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag

from simulators.tds.columns import COLLATION, Column, type_info

PROGRAM = "Microsoft SQL Server"
PROGRAM_VERSION = (16, 0, 0x03, 0xE8)  # 16.0.1000
_SELECT, _UPDATE = 0xC1, 0xC5  # what a client takes a DONE's count for
_MOST_MESSAGE = 4_000  # characters of an error's text


class Done(IntEnum):
    """Which kind of end a statement has."""

    STATEMENT = 0xFD
    PROCEDURE = 0xFE
    IN_PROCEDURE = 0xFF


class Status(IntFlag):
    """Bits of a DONE token's status (2.2.7.6)."""

    FINAL = 0x00
    MORE = 0x01
    ERROR = 0x02
    COUNT = 0x10
    ATTENTION = 0x20


class Change(IntEnum):
    """Types of ENVCHANGE (2.2.7.9)."""

    DATABASE = 1
    LANGUAGE = 2
    PACKET_SIZE = 4
    COLLATION = 7
    BEGIN = 8
    COMMIT = 9
    ROLLBACK = 10
    RESET = 18


def done(kind: Done, status: Status, rows: int | None, changed: bool, wide: bool) -> bytes:
    """DONE, DONEPROC or DONEINPROC; `rows` of a rowset or, where `changed`, of no rowset; None for no count."""
    if rows is not None:
        status |= Status.COUNT
    command = 0 if rows is None else _UPDATE if changed else _SELECT
    count = (rows or 0) & (0xFFFF_FFFF_FFFF_FFFF if wide else 0xFFFF_FFFF)
    return struct.pack("<BHHQ" if wide else "<BHHI", kind, status, command, count)


def error(number: int, message: str, level: int, state: int, server: str, wide: bool) -> bytes:
    """ERROR (2.2.7.10)."""
    return _notice(0xAA, number, message, level, state, server, wide)


def info(number: int, message: str, state: int, server: str, wide: bool) -> bytes:
    """INFO (2.2.7.13)."""
    return _notice(0xAB, number, message, 10 if number < 5_000 else 0, state, server, wide)


def text_change(kind: Change, new: str, old: str) -> bytes:
    """ENVCHANGE with texts."""
    return _change(kind, _short_text(new), _short_text(old))


def bytes_change(kind: Change, new: bytes, old: bytes) -> bytes:
    """ENVCHANGE with bytes."""
    return _change(kind, bytes((len(new),)) + new, bytes((len(old),)) + old)


def collation_change() -> bytes:
    """ENVCHANGE to the server's collation."""
    return bytes_change(Change.COLLATION, COLLATION, b"")


def login_ack(version: int) -> bytes:
    """LOGINACK (2.2.7.14); `version` as LOGIN7 has it."""
    body = b"\x01" + struct.pack(">I", version) + _short_text(PROGRAM) + bytes(PROGRAM_VERSION)
    return struct.pack("<BH", 0xAD, len(body)) + body


def features(acknowledged: dict[int, bytes]) -> bytes:
    """FEATUREEXTACK (2.2.7.11): the features that the server takes part in; a client goes on without the others."""
    items = b"".join(struct.pack("<BI", name, len(body)) + body for name, body in acknowledged.items())
    return b"\xae" + items + b"\xff"


def column_metadata(columns: Sequence[Column], wide: bool) -> bytes:
    """COLMETADATA (2.2.7.4)."""
    parts = [struct.pack("<BH", 0x81, len(columns))]
    for column in columns:
        flags = 0x0008 | column.nullable  # whether it can be updated is not known
        parts.append(struct.pack("<IH" if wide else "<HH", 0, flags) + type_info(column) + _short_text(column.name))
    return b"".join(parts)


def return_status(number: int) -> bytes:
    """RETURNSTATUS (2.2.7.18)."""
    return struct.pack("<Bi", 0x79, number)


def return_int(ordinal: int, name: str, value: int, wide: bool) -> bytes:
    """RETURNVALUE (2.2.7.19) of an output parameter of type int."""
    head = struct.pack("<BH", 0xAC, ordinal) + _short_text(name) + b"\x01"
    kind = struct.pack("<IH" if wide else "<HH", 0, 0) + type_info(Column("", "int"))
    return head + kind + struct.pack("<Bi", 4, value)


def _notice(token: int, number: int, message: str, level: int, state: int, server: str, wide: bool) -> bytes:
    text = message[:_MOST_MESSAGE].encode("utf-16-le")
    body = struct.pack("<iBBH", number, state, level, len(text) // 2) + text + _short_text(server) + _short_text("")
    body += struct.pack("<I" if wide else "<H", 1)
    return struct.pack("<BH", token, len(body)) + body


def _change(kind: Change, new: bytes, old: bytes) -> bytes:
    return struct.pack("<BHB", 0xE3, len(new) + len(old) + 1, kind) + new + old


def _short_text(text: str) -> bytes:
    """B_VARCHAR: UTF-16 with its length in a byte."""
    units = text.encode("utf-16-le")[:510]
    return bytes((len(units) // 2,)) + units
