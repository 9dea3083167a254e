"""One reply on its way: tokens of any size, sent as whole packets while they come."""

from __future__ import annotations

from simulators.tds.packets import Wire

_HELD_BYTES = 1 << 19


class Reply:
    """Collects tokens and sends packets; the last one leaves with `end`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._held = bytearray()
        wire.begin()

    def add(self, tokens: bytes | memoryview) -> None:
        """Adds tokens; waits while the client does not read. Raises Gone."""
        self._held += tokens
        if len(self._held) > max(_HELD_BYTES, self._wire.packet_bytes):
            self._send_full()

    def end(self) -> None:
        """Sends the rest. Raises Gone."""
        self._send_full()
        self._wire.put_last(bytes(self._held))
        self._held.clear()

    def _send_full(self) -> None:
        """All packets but the last, which must say that it is."""
        whole = max(len(self._held) - 1, 0) // self._wire.room * self._wire.room
        if whole:
            self._wire.put_full(memoryview(bytes(self._held[:whole])))
            del self._held[:whole]
