"""Remote procedure calls and their parameters (MS-TDS 2.2.6.6, 2.2.5.4 to 2.2.5.6)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import numpy as np

from simulators.tds.columns import time_width
from simulators.tds.database import SqlError

_PROCEDURES = {
    10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc",
    15: "sp_unprepare",
}  # fmt: skip
_FIXED: dict[int, tuple[str, int]] = {
    0x30: ("<B", 1), 0x32: ("<?", 1), 0x34: ("<h", 2), 0x38: ("<i", 4), 0x3B: ("<f", 4), 0x3E: ("<d", 8),
    0x7F: ("<q", 8),
}  # fmt: skip
_INTS, _FLOATS = {1: "<B", 2: "<h", 4: "<i", 8: "<q"}, {4: "<f", 8: "<d"}
_NULL_TYPE, _INT, _BIT, _FLOAT, _MONEY, _DATETIME = 0x1F, 0x26, 0x68, 0x6D, 0x6E, 0x6F
_DECIMALS = (0x6A, 0x6C)
_DATE, _TIME, _DATETIME2, _OFFSET = 0x28, 0x29, 0x2A, 0x2B
_UNICODE, _CHARACTERS, _BYTES = (0xE7, 0xEF), (0xA7, 0xAF), (0xA5, 0xAD)
_LONG = {0x63: "utf-16-le", 0x23: "cp1252", 0x22: None}
_GUID = 0x24
_COLLATION_BYTES = 5
_PLP, _PLP_NULL = 0xFFFF, 0xFFFF_FFFF_FFFF_FFFF
_SHORT_NULL, _LONG_NULL = 0xFFFF, 0xFFFF_FFFF
_DAY_NS = 86_400 * 1_000_000_000
_DAYS_TO_1970, _DAYS_1900_TO_1970 = 719_162, 25_567
_BATCH_END = (0x80, 0xFE, 0xFF)
_UTF8 = 0x0400_0000  # bit of a collation whose varchar is UTF-8 (2.2.5.1.2)
_UNKNOWN_TYPE, _OUT_OF_RANGE = 8009, 8115


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name ('' where only its place tells) and its value."""

    name: str
    value: object


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a procedure."""

    procedure: str
    parameters: tuple[Parameter, ...]


class Cursor:
    """A place in a message. Every read past its end raises ValueError."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._message)

    def take(self, size: int) -> bytes:
        taken = self._message[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("a message that is cut short")
        self._at += size
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._message) - self._at)

    def peek(self) -> int:
        return self._message[self._at]

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def text(self, characters: int) -> str:
        return self.take(2 * characters).decode("utf-16-le")

    def skip_headers(self) -> None:
        """ALL_HEADERS (2.2.5.3), which TDS 7.2 and later begin with."""
        self.take(max(self.number("<I") - 4, 0))


def read_calls(message: bytes, *, has_headers: bool) -> list[Call]:
    """The calls of an RPC message. Raises ValueError for one that is broken, SqlError 8009 for an unknown type."""
    at = Cursor(message)
    if has_headers:
        at.skip_headers()
    calls = []
    while at:
        length = at.number("<H")
        name = _PROCEDURES.get(number := at.number("<H"), f"#{number}") if length == 0xFFFF else at.text(length)
        at.take(2)
        parameters = []
        while at and at.peek() not in _BATCH_END:
            parameters.append(_parameter(at))
        if at:
            at.take(1)
        calls.append(Call(name.removeprefix("sys.").lower(), tuple(parameters)))
    return calls


def declared_names(declaration: object) -> list[str]:
    """Names in "@P1 nvarchar(5), @P2 decimal(18,2)", in order."""
    words = str(declaration or "").replace(",", " ").split()
    return [word for word in words if word.startswith("@")]


def _parameter(at: Cursor) -> Parameter:
    name = at.text(at.number("<B"))
    at.take(1)
    return Parameter(name, _value(at))


def _value(at: Cursor) -> object:
    kind = at.number("<B")
    if kind in _FIXED:
        form, size = _FIXED[kind]
        return struct.unpack(form, at.take(size))[0]
    if kind == _NULL_TYPE:
        return None
    if kind in _READERS:
        return _READERS[kind](at)
    raise SqlError(_UNKNOWN_TYPE, f"A parameter has the data type 0x{kind:02X}, which is not known here.")


def _sized(read: Callable[[bytes], object]) -> Callable[[Cursor], object]:
    """A type whose TYPE_INFO is one byte, and whose values have a length of one byte, 0 for null."""

    def reader(at: Cursor) -> object:
        at.take(1)
        raw = at.take(at.number("<B"))
        return read(raw) if raw else None

    return reader


def _decimal(at: Cursor) -> object:
    _, _, scale = at.take(3)
    raw = at.take(at.number("<B"))
    if not raw:
        return None
    amount = Decimal(int.from_bytes(raw[1:], "little")).scaleb(-scale)
    return amount if raw[0] else -amount


def _money(raw: bytes) -> object:
    units = struct.unpack("<i", raw)[0] if len(raw) == 4 else _swapped(raw)
    return Decimal(units).scaleb(-4)


def _swapped(raw: bytes) -> int:
    high, low = struct.unpack("<iI", raw)
    return int(high) * 2**32 + int(low)


def _datetime(raw: bytes) -> object:
    """Days since 1900 and 1/300 s, or minutes for smalldatetime."""
    if len(raw) == 4:
        days, minutes = struct.unpack("<HH", raw)
        day_ns = minutes * 60_000_000_000
    else:
        days, parts = struct.unpack("<iI", raw)
        day_ns = round(parts * 10 / 3) * 1_000_000
    return _instant((days - _DAYS_1900_TO_1970) * _DAY_NS + day_ns)


def _date(at: Cursor) -> object:
    raw = at.take(at.number("<B"))
    return _moment(raw, b"", 0) if raw else None


def _timed(extra: int, *, dated: bool = True) -> Callable[[Cursor], object]:
    """time, datetime2 and datetimeoffset: the scale, then value and, of datetimeoffset, minutes."""

    def reader(at: Cursor) -> object:
        scale = at.number("<B")
        raw = at.take(at.number("<B"))
        if not raw:
            return None
        width = time_width(scale)
        # An offset is for display: the time stands there in UTC.
        days = raw[width : len(raw) - extra] if dated else (_DAYS_TO_1970).to_bytes(3, "little")
        return _moment(days, raw[:width], scale)

    return reader


def _moment(days: bytes, units: bytes, scale: int) -> np.datetime64:
    day_ns = int.from_bytes(units, "little") * 10 ** (9 - scale)
    return _instant((int.from_bytes(days, "little") - _DAYS_TO_1970) * _DAY_NS + day_ns)


def _instant(time_ns: int) -> np.datetime64:
    """Raises SqlError 8115 outside 1677 to 2262."""
    if not -(2**63) < time_ns < 2**63:
        raise SqlError(_OUT_OF_RANGE, "A date is outside of what 64 bits of nanoseconds hold.")
    return np.datetime64(time_ns, "ns")


def _text(at: Cursor) -> object:
    """nvarchar and nchar: the most bytes, a collation, then the value."""
    most = at.number("<H")
    at.take(_COLLATION_BYTES)
    raw = _sized_bytes(at, most)
    return None if raw is None else raw.decode("utf-16-le")


def _narrow_text(at: Cursor) -> object:
    """varchar and char; the client was told a Western collation at login, so it has no other code page to use."""
    most = at.number("<H")
    collation = at.number("<I")
    at.take(1)
    raw = _sized_bytes(at, most)
    return None if raw is None else raw.decode("utf-8" if collation & _UTF8 else "cp1252")


def _binary(at: Cursor) -> object:
    return _sized_bytes(at, at.number("<H"))


def _sized_bytes(at: Cursor, most: int) -> bytes | None:
    return _partial(at) if most == _PLP else _short(at)


def _short(at: Cursor) -> bytes | None:
    length = at.number("<H")
    return None if length == _SHORT_NULL else at.take(length)


def _partial(at: Cursor) -> bytes | None:
    """Partially length-prefixed (2.2.5.2.3)."""
    if at.number("<Q") == _PLP_NULL:
        return None
    parts = []
    while length := at.number("<I"):
        parts.append(at.take(length))
    return b"".join(parts)


def _long(encoding: str | None) -> Callable[[Cursor], object]:
    """text, ntext, image: as parameters they come without a text pointer."""

    def reader(at: Cursor) -> object:
        at.take(4 + (_COLLATION_BYTES if encoding else 0))
        length = at.number("<I")
        raw = None if length == _LONG_NULL else at.take(length)
        return raw if raw is None or encoding is None else raw.decode(encoding)

    return reader


def _number_in(forms: dict[int, str]) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        if len(raw) not in forms:
            raise ValueError(f"a number of {len(raw)} bytes")
        return struct.unpack(forms[len(raw)], raw)[0]

    return read


_READERS: dict[int, Callable[[Cursor], object]] = {
    _INT: _sized(_number_in(_INTS)),
    _BIT: _sized(lambda raw: bool(raw[0])),
    _FLOAT: _sized(_number_in(_FLOATS)),
    _MONEY: _sized(_money),
    _DATETIME: _sized(_datetime),
    _DATE: _date,
    _TIME: _timed(0, dated=False),
    _DATETIME2: _timed(0),
    _OFFSET: _timed(2),
    **dict.fromkeys(_DECIMALS, _decimal),
    _GUID: _sized(lambda raw: str(UUID(bytes_le=raw)).upper()),
    **dict.fromkeys(_UNICODE, _text),
    **dict.fromkeys(_CHARACTERS, _narrow_text),
    **dict.fromkeys(_BYTES, _binary),
    **{kind: _long(encoding) for kind, encoding in _LONG.items()},
}
