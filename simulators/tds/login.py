"""LOGIN7: who the client is and what it asks for (MS-TDS 2.2.6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from simulators.tds.packets import DEFAULT_BYTES, LEAST_BYTES, MOST_BYTES
from simulators.tds.stream import Gone

TDS_71, TDS_72, TDS_73, TDS_74 = 0x7100_0001, 0x7209_0002, 0x730A_0003, 0x7400_0004
UTF8_FEATURE, FEDERATED_FEATURE = 0x0A, 0x02

_HOST, _USER, _PASSWORD, _APPLICATION, _EXTENSION, _DATABASE = 36, 40, 44, 48, 56, 68
_FIXED_BYTES = 86  # up to where 7.2 goes on
_INTEGRATED, _EXTENDED = 0x80, 0x10  # bits of OptionFlags2 and OptionFlags3
_OPTIONS_2, _OPTIONS_3 = 25, 27
_LAST_FEATURE = 0xFF


@dataclass(frozen=True, slots=True)
class Login:
    """The parts of a LOGIN7 message that the server looks at."""

    version: int  # as the client has it
    packet_bytes: int  # the size that it will get
    user: str
    password: str
    database: str
    host: str
    application: str
    integrated: bool  # it wants Windows' authentication
    features: frozenset[int]

    @property
    def agreed_version(self) -> int:
        """The version that both speak, 7.4 at most; 0 for a client older than 7.1."""
        if self.version >= TDS_74:
            return TDS_74
        return self.version if self.version >= TDS_71 & 0xFF00_0000 else 0


def parse(content: bytes) -> Login:
    """A LOGIN7 message. Raises Gone for what is none."""
    if len(content) < _FIXED_BYTES:
        raise Gone(f"LOGIN7 of {len(content)} bytes")
    _, version, packet_bytes = struct.unpack_from("<III", content)
    return Login(
        version=version,
        packet_bytes=min(max(packet_bytes or DEFAULT_BYTES, LEAST_BYTES), MOST_BYTES),
        user=_text(content, _USER),
        password=_revealed(_field(content, _PASSWORD)),
        database=_text(content, _DATABASE),
        host=_text(content, _HOST),
        application=_text(content, _APPLICATION),
        integrated=bool(content[_OPTIONS_2] & _INTEGRATED),
        features=frozenset(_features(content)) if content[_OPTIONS_3] & _EXTENDED else frozenset(),
    )


def _field(content: bytes, place: int) -> bytes:
    """The UTF-16 of a field, from its offset in bytes and its length in characters."""
    start, characters = struct.unpack_from("<HH", content, place)
    end = start + 2 * characters
    if end > len(content):
        raise Gone(f"LOGIN7's field at {place} lies outside the message")
    return content[start:end]


def _text(content: bytes, place: int) -> str:
    return _field(content, place).decode("utf-16-le", errors="replace")


def _revealed(hidden: bytes) -> str:
    """A password: the client swaps the halves of each byte, then flips the bits of 0xA5."""
    plain = bytes(((flipped := byte ^ 0xA5) >> 4 | flipped << 4) & 0xFF for byte in hidden)
    return plain.decode("utf-16-le", errors="replace")


def _features(content: bytes) -> list[int]:
    """Ids of the feature extensions that the client asks for."""
    (start,) = struct.unpack_from("<H", content, _EXTENSION)
    if start + 4 > len(content):
        raise Gone("LOGIN7's extension lies outside the message")
    (place,) = struct.unpack_from("<I", content, start)
    found = []
    while place < len(content) and content[place] != _LAST_FEATURE:
        if place + 5 > len(content):
            raise Gone("LOGIN7's features have no end")
        found.append(content[place])
        place += 5 + int(struct.unpack_from("<I", content, place + 1)[0])
    return found
