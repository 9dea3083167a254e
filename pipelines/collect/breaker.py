"""A PLC that does not answer is asked ever more seldom, one that refuses us at once seldom: accounts are locked."""

from __future__ import annotations

from pipelines.timeline import SECOND_NS

_WAIT_FIRST_NS, _WAIT_MAX_NS = SECOND_NS, 60 * SECOND_NS
_REFUSED_NS = 600 * SECOND_NS


class Breaker:
    """Waits 1, 2, 4 … 60 s between tries of a connection that fails, 10 minutes where trying again is not enough; one
    success closes it."""

    def __init__(self) -> None:
        self.reason = ""
        self._wait_ns = 0
        self._again_ns = 0

    def open(self, now_ns: int) -> bool:
        """Whether the connection is to be left alone now."""
        return bool(self.reason) and self._again_ns - self._wait_ns <= now_ns < self._again_ns

    def failed(self, now_ns: int, reason: str, *, refused: bool = False) -> None:
        """One more try went wrong; `refused`: it will again until somebody does something."""
        self.reason = reason
        longer_ns = min(max(2 * self._wait_ns, _WAIT_FIRST_NS), _WAIT_MAX_NS)
        self._wait_ns = _REFUSED_NS if refused else longer_ns
        self._again_ns = now_ns + self._wait_ns

    def succeeded(self) -> None:
        """All is well again."""
        self.reason, self._wait_ns = "", 0
