"""Messages as packets: a header of eight bytes before each part (MS-TDS 2.2.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from simulators.tds.stream import Gone, Stream

HEADER_BYTES = 8
DEFAULT_BYTES = 4_096
LEAST_BYTES, MOST_BYTES = 512, 32_767
MOST_ENCRYPTED_BYTES = 16_383  # a longer packet is not one TLS record, and ODBC waits for the rest for ever
_GROUP_BYTES = 1 << 19  # packets of about so many bytes leave in one call
_END, _IGNORE, _RESET, _RESET_KEEP = 0x01, 0x02, 0x08, 0x10


class Packet(IntEnum):
    """Types of messages (2.2.3.1.1)."""

    BATCH = 0x01
    RPC = 0x03
    REPLY = 0x04
    ATTENTION = 0x06
    BULK = 0x07
    TRANSACTION = 0x0E
    LOGIN = 0x10
    PRELOGIN = 0x12


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message of the client."""

    kind: int
    content: bytes
    reset: bool = False  # the session is to be as new first (RESETCONNECTION)
    keep_transaction: bool = False  # … but for its transaction (RESETCONNECTIONSKIPTRAN)


class Wire:
    """The packets of one connection."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.packet_bytes = DEFAULT_BYTES
        self._next = 0  # number of the next packet within its message

    def read(self, most_bytes: int) -> Message:
        """The next message, but those that the client took back. Raises Gone, also past `most_bytes`."""
        while True:
            message = self._read(most_bytes)
            if message is not None:
                return message

    def attention(self) -> bool:
        """Whether the client asks to cancel; for use while a request is being answered. Raises Gone."""
        if not self.stream.readable():
            return False
        message = self._read(MOST_BYTES)
        if message is None or message.kind != Packet.ATTENTION:
            raise Gone("a request within the answer to another one")
        return True

    def begin(self) -> None:
        """The next packet is the first of a reply."""
        self._next = 1

    def put_full(self, content: memoryview) -> None:
        """Sends packets that a reply goes on after; `content` is a multiple of `room`. Raises Gone."""
        room = self.room
        group = max(1, _GROUP_BYTES // self.packet_bytes)
        parts = np.frombuffer(content, dtype=np.uint8).reshape(-1, room)
        for place in range(0, len(parts), group):
            some = parts[place : place + group]
            packets = np.empty((len(some), self.packet_bytes), dtype=np.uint8)
            packets[:, :HEADER_BYTES] = np.frombuffer(self._header(self.packet_bytes, 0), dtype=np.uint8)
            packets[:, 6] = np.arange(self._next, self._next + len(some)) % 256
            packets[:, HEADER_BYTES:] = some
            self._next = (self._next + len(some)) % 256
            self.stream.put(packets.reshape(-1).data)

    def put_last(self, content: bytes) -> None:
        """Sends the last packet of a reply, at most `room` bytes. Raises Gone."""
        self.stream.put(self._header(len(content) + HEADER_BYTES, _END) + content)

    @property
    def room(self) -> int:
        """Bytes of a packet after its header."""
        return self.packet_bytes - HEADER_BYTES

    def _header(self, length: int, status: int) -> bytes:
        return struct.pack(">BBHHBB", Packet.REPLY, status, length, 0, self._next, 0)

    def _read(self, most_bytes: int) -> Message | None:
        parts, size = [], 0
        first: tuple[int, int] | None = None
        while True:
            kind, status, length = struct.unpack(">BBH4x", self.stream.take(HEADER_BYTES))
            size += length
            if length < HEADER_BYTES or size > most_bytes:
                raise Gone(f"packet 0x{kind:02x} of {length} bytes, {size} in the message")
            first = first or (kind, status)
            if kind != first[0]:
                if kind == Packet.ATTENTION:  # in place of the rest of a request
                    return Message(kind, b"")
                raise Gone(f"packet 0x{kind:02x} within a message 0x{first[0]:02x}")
            parts.append(self.stream.take(length - HEADER_BYTES))
            if status & _END:
                break
        if status & _IGNORE:
            return None
        return Message(kind, b"".join(parts), bool(first[1] & (_RESET | _RESET_KEEP)), bool(first[1] & _RESET_KEEP))
