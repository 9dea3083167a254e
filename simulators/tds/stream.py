"""The bytes of one connection, plain or under TLS in the way of TDS 7.x (MS-TDS 3.2.5.1, 2.2.6.5)."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading

RECEIVE_BYTES = 65_536
SEND_BYTES = 1 << 20  # plaintext that is under encryption at once
PRELOGIN = 0x12
_HEADER_BYTES = 8
_END = 0x01


class Gone(Exception):
    """The other side has left, or what it says is not TDS: the connection ends, and nothing else does."""


class Stream:
    """A socket with a reading buffer, and TLS that can be switched on and off."""

    def __init__(self, raw: socket.socket) -> None:
        self._socket = raw
        self._plain = bytearray()  # read from the client, and decrypted
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._open = True
        self._lock = threading.Lock()

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes. Raises Gone where the stream ends before."""
        while len(self._plain) < count:
            self._fill()
        taken = bytes(self._plain[:count])
        del self._plain[:count]
        return taken

    def put(self, content: bytes | memoryview) -> None:
        """Sends all of it; waits while the client does not read. Raises Gone."""
        try:
            if self._tls is None:
                self._socket.sendall(content)
                return
            whole = memoryview(content)
            for place in range(0, len(whole), SEND_BYTES):
                self._tls.write(whole[place : place + SEND_BYTES])
                self._socket.sendall(self._outgoing.read())
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from error

    def readable(self) -> bool:
        """Whether something has arrived, an end of the stream too."""
        if self._plain:
            return True
        try:
            return bool(select.select([self._socket], [], [], 0)[0])
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from error

    def wait_at_most(self, seconds: float | None) -> None:
        """How long one receive or send may take; None for ever."""
        self._socket.settimeout(seconds)

    def secure(self, context: ssl.SSLContext) -> None:
        """TLS from here on; the handshake travels inside PRELOGIN packets. Raises Gone."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        done = False
        while not done:
            self._incoming.write(self._handshake_packet())
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self._put_handshake()  # the alert that says why
                raise Gone(f"TLS: {error}") from error
            self._put_handshake()
        self._tls = tls
        self._incoming.write(bytes(self._plain))
        self._plain.clear()
        self._decrypt()

    def bare(self) -> None:
        """No TLS from here on: encryption of the login only."""
        self._tls = None

    def cut(self) -> None:
        """Ends the connection from any thread; the second time nothing happens."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            with contextlib.suppress(OSError):  # the client was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Frees the socket; for the thread that reads from it."""
        self.cut()
        self._socket.close()

    def _fill(self) -> None:
        try:
            received = self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise Gone(str(error)) from error
        if not received:
            raise Gone("the client has closed the connection")
        if self._tls is None:
            self._plain += received
            return
        self._incoming.write(received)
        self._decrypt()

    def _decrypt(self) -> None:
        assert self._tls is not None
        try:
            while True:
                part = self._tls.read(RECEIVE_BYTES)
                if not part:
                    raise Gone("the client has closed TLS")
                self._plain += part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise Gone(f"TLS: {error}") from error

    def _handshake_packet(self) -> bytes:
        kind, _, length = struct.unpack(">BBH4x", self.take(_HEADER_BYTES))
        if kind != PRELOGIN or length <= _HEADER_BYTES:
            raise Gone(f"packet 0x{kind:02x} of {length} bytes in the TLS handshake")
        return self.take(length - _HEADER_BYTES)

    def _put_handshake(self) -> None:
        room = 4_096 - _HEADER_BYTES  # the packet size before login (2.2.3.1.3)
        said = self._outgoing.read()
        for place in range(0, len(said), room):
            part = said[place : place + room]
            status = _END if place + room >= len(said) else 0
            header = struct.pack(">BBHHBB", PRELOGIN, status, len(part) + _HEADER_BYTES, 0, place // room + 1, 0)
            self._send_plain(header + part)

    def _send_plain(self, content: bytes) -> None:
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise Gone(str(error)) from error
