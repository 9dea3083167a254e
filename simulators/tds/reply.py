"""One reply on its way: tokens of any size, sent as whole packets while they come."""

from __future__ import annotations

from simulators.tds import tokens
from simulators.tds.packets import Wire
from simulators.tds.tokens import Done, Status

_HELD_BYTES = 1 << 17
_PIECE_BYTES = 1 << 19  # a longer block is taken in pieces, so that it is not copied whole


class Reply:
    """Collects tokens and sends packets; the last one leaves with `end`."""

    def __init__(self, wire: Wire, wide: bool) -> None:
        self._wire, self._wide = wire, wide
        self._held = bytearray()
        # It waits: only what follows says whether more comes.
        self._done: tuple[Done, Status, int | None, bool] | None = None
        wire.begin()

    def add(self, content: bytes | memoryview) -> None:
        """Adds tokens; waits while the client does not read. Raises Gone."""
        self._settle(Status.MORE)
        self._hold(content)

    def done(
        self, kind: Done, status: Status = Status.FINAL, rows: int | None = None, *, changed: bool = False
    ) -> None:
        """Adds the end of a statement or procedure; its MORE bit follows from what comes after it."""
        self._settle(Status.MORE)
        self._done = kind, status, rows, changed

    def end(self) -> None:
        """Sends the rest. Raises Gone."""
        self._settle(Status.FINAL)
        self._send_full()
        self._wire.put_last(bytes(self._held))
        self._held.clear()

    def cancel(self) -> None:
        """Answers an ATTENTION: after it the client takes nothing as the reply's (2.2.1.7)."""
        self._done = None
        self.done(Done.STATEMENT, Status.ATTENTION)

    def _settle(self, more: Status) -> None:
        if self._done is not None:
            kind, status, rows, changed = self._done
            self._done = None
            self._hold(tokens.done(kind, status | more, rows, changed, self._wide))

    def _hold(self, content: bytes | memoryview) -> None:
        whole = memoryview(content)
        for place in range(0, len(whole), _PIECE_BYTES):
            self._held += whole[place : place + _PIECE_BYTES]
            if len(self._held) > max(_HELD_BYTES, self._wire.packet_bytes):
                self._send_full()

    def _send_full(self) -> None:
        """All packets but the last, which must say that it is."""
        whole = max(len(self._held) - 1, 0) // self._wire.room * self._wire.room
        if whole:
            self._wire.put_full(memoryview(bytes(self._held[:whole])))
            del self._held[:whole]
