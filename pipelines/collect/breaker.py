"""A PLC that does not answer is asked ever more seldom."""

from __future__ import annotations

from pipelines.timeline import SECOND_NS

_WAIT_FIRST_NS, _WAIT_MAX_NS = SECOND_NS, 60 * SECOND_NS


class Breaker:
    """Waits 1, 2, 4 … 60 s between tries of a connection that fails; one success closes it."""

    def __init__(self) -> None:
        self.reason = ""
        self._wait_ns = 0
        self._again_ns = 0

    def open(self, now_ns: int) -> bool:
        """Whether the connection is to be left alone now."""
        return bool(self.reason) and self._again_ns - _WAIT_MAX_NS <= now_ns < self._again_ns

    def failed(self, now_ns: int, reason: str) -> None:
        """One more try went wrong."""
        self.reason = reason
        self._wait_ns = min(max(2 * self._wait_ns, _WAIT_FIRST_NS), _WAIT_MAX_NS)
        self._again_ns = now_ns + self._wait_ns

    def succeeded(self) -> None:
        """All is well again."""
        self.reason, self._wait_ns = "", 0
