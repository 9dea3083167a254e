"""PRELOGIN: what client and server agree on before the login (MS-TDS 2.2.6.5)."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Literal

from simulators.tds.stream import Gone
from simulators.tds.tokens import PROGRAM_VERSION

Encryption = Literal["none", "login", "all"]
Policy = Literal["none", "optional", "required"]

_VERSION, _ENCRYPTION, _INSTANCE, _THREAD, _MARS, _END = 0, 1, 2, 3, 4, 0xFF
_ITEM_BYTES = 5
DEFAULT_INSTANCE = "MSSQLServer"


class Crypt(IntEnum):
    """Values of the ENCRYPTION option."""

    OFF = 0
    ON = 1
    NOT_SUPPORTED = 2
    REQUIRED = 3


def options(content: bytes) -> dict[int, bytes]:
    """The options of a PRELOGIN message by token. Raises Gone for what is none."""
    found: dict[int, bytes] = {}
    place = 0
    while content[place : place + 1] != bytes((_END,)):
        item = content[place : place + _ITEM_BYTES]
        if len(item) < _ITEM_BYTES:
            raise Gone("PRELOGIN has no end")
        token, start, length = struct.unpack(">BHH", item)
        if start + length > len(content):
            raise Gone(f"PRELOGIN option {token} lies outside the message")
        found[token] = content[start : start + length]
        place += _ITEM_BYTES
    return found


def answer(asked: dict[int, bytes], policy: Policy, instance: str) -> tuple[bytes, Encryption]:
    """The server's PRELOGIN, and what is to be encrypted: nothing, the login, or all.

    MARS is off. Federated authentication is not among the options, so a client goes on without it.
    """
    wanted = asked.get(_ENCRYPTION, b"\x00")[:1] or b"\x00"
    reply, encryption = _agreed(wanted[0] & 0x0F, policy)
    said = {
        _VERSION: bytes(PROGRAM_VERSION) + b"\x00\x00",
        _ENCRYPTION: bytes((reply,)),
        _INSTANCE: bytes((not _is_instance(asked.get(_INSTANCE, b""), instance),)),
        _THREAD: b"",
        _MARS: b"\x00",
    }
    head, body = b"", b""
    start = _ITEM_BYTES * len(said) + 1
    for token, value in said.items():
        head += struct.pack(">BHH", token, start + len(body), len(value))
        body += value
    return head + bytes((_END,)) + body, encryption


def _agreed(wanted: int, policy: Policy) -> tuple[Crypt, Encryption]:
    """The table of 2.2.6.5; where they cannot agree the client is the one to leave."""
    if policy == "none":
        return Crypt.NOT_SUPPORTED, "none"
    if wanted in (Crypt.ON, Crypt.REQUIRED):
        return Crypt.ON, "all"
    if policy == "required":
        return Crypt.REQUIRED, "all"
    return (Crypt.OFF, "login") if wanted == Crypt.OFF else (Crypt.NOT_SUPPORTED, "none")


def _is_instance(asked: bytes, instance: str) -> bool:
    name = asked.split(b"\x00")[0].decode("latin-1").lower()
    return name in ("", DEFAULT_INSTANCE.lower(), instance.lower())
