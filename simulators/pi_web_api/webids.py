"""WebId 2.0 of data servers and points, made and read.

Source: facts/historians.md 1.3: type, version 1, marker, then URL-safe base64 parts without padding: the server's
GUID in Microsoft byte order, the point's id as little-endian int32, the upper-cased path as UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
from dataclasses import dataclass

TYPES = {"Full": "F", "IDOnly": "I", "PathOnly": "P"}
_GUID_CHARS, _ID_CHARS = 22, 6


class WebIdError(ValueError):
    """A text that is no WebId of this server's kinds."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a WebId names: by id where `server` is set, else by `path` (upper-cased, without its leading `\\\\`)."""

    marker: str
    server: uuid.UUID | None
    number: int
    path: str


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise WebIdError("The specified WebID is invalid.") from error


def of_point(kind: str, server: uuid.UUID, number: int, path: str) -> str:
    """WebId of a point; `kind` is a key of TYPES, `path` is SERVER\\TAG."""
    identity = _text(server.bytes_le) + _text(struct.pack("<i", number))
    return _web_id(kind, "DP", identity, path)


def of_server(kind: str, server: uuid.UUID, name: str) -> str:
    """WebId of a data server."""
    return _web_id(kind, "DS", _text(server.bytes_le), name)


def of_set(kind: str, server: uuid.UUID, owner_name: str, set_name: str, state: str | None = None) -> str:
    """WebId of an enumeration set, or of one of its values; opaque but for its type and marker."""
    marker, path = ("MSD", set_name) if state is None else ("MVD", f"{set_name}\\{state}")
    own = uuid.uuid5(server, path)
    return _web_id(kind, marker, _text(server.bytes_le) + _text(own.bytes_le), f"{owner_name}\\{path}")


def _web_id(kind: str, marker: str, identity: str, path: str) -> str:
    letter = TYPES[kind]
    tail = _text(path.upper().encode())
    return f"{letter}1{marker}" + {"F": identity + tail, "I": identity, "P": tail}[letter]


def read(web_id: str) -> Target:
    """What a WebId names. Raises WebIdError."""
    letter, marker, rest = web_id[:1], web_id[2:4], web_id[4:]
    if web_id[1:2] != "1" or letter not in TYPES.values() or marker not in ("DP", "DS"):
        raise WebIdError("The specified WebID is invalid.")
    if letter == "P":
        try:
            return Target(marker, None, 0, _raw(rest).decode())
        except UnicodeDecodeError as error:
            raise WebIdError("The specified WebID is invalid.") from error
    identity = _GUID_CHARS + (_ID_CHARS if marker == "DP" else 0)
    if len(rest) < identity or (letter == "I" and len(rest) != identity):
        raise WebIdError("The specified WebID is invalid.")
    server = uuid.UUID(bytes_le=_raw(rest[:_GUID_CHARS]))
    number = struct.unpack("<i", _raw(rest[_GUID_CHARS:identity]))[0] if marker == "DP" else 0
    return Target(marker, server, number, "")
