"""The steady clock of a scan: cycles at whole multiples of the interval since 1970; a restart keeps the beat."""

from __future__ import annotations

from collections.abc import Sequence

AHEAD_CYCLES = 2
"""A next cycle that is farther away than this means that the wall clock was put back."""
MISSED_AT_ONCE = 10_000
"""A host that slept for weeks tells of its missed cycles in pieces, so that they never fill its memory."""


class Cadence:
    """When cycles are due, by the wall clock (ns UTC). A cycle that is over when it is asked for was missed."""

    def __init__(self, interval_ns: int, after_ns: int) -> None:
        self.interval_ns = interval_ns
        self.next_ns = self._first(after_ns)

    def take(self, now_ns: int) -> tuple[int | None, Sequence[int]]:
        """The cycle to do now, None before its time; and those before it that nobody did, if many the first of them
        alone: then there is no cycle to do yet."""
        if self.next_ns - now_ns > AHEAD_CYCLES * self.interval_ns:
            self.next_ns = self._first(now_ns)
        if now_ns < self.next_ns:
            return None, ()
        due_ns = now_ns // self.interval_ns * self.interval_ns
        missed = range(self.next_ns, due_ns, self.interval_ns)
        if len(missed) > MISSED_AT_ONCE:
            self.next_ns = missed[MISSED_AT_ONCE]
            return None, missed[:MISSED_AT_ONCE]
        self.next_ns = due_ns + self.interval_ns
        return due_ns, missed

    def _first(self, after_ns: int) -> int:
        return (after_ns // self.interval_ns + 1) * self.interval_ns
