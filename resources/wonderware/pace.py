"""How many tags one statement asks for: fewer when the server refuses or is slow, by and by more while it serves."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.ports import Retry
from resources.wonderware.refusals import TooMuch


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where asking starts and ends."""

    rows: int = 100_000  # that an answer should hold
    first_names: int = 20  # while nothing is known of the density: long lists slow the provider (facts 2.10)
    names: int = 500  # SQL Server takes 2,100 parameters
    slow_s: float = 20.0
    stalls: int = 8  # timeouts in a row, with nothing served between, before the server counts as hung


class Pace:
    """What the next statement may ask; one a source, shared by its tasks."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._names = float(self.bounds.names)
        self._stalls = 0
        self._density: float | None = None  # rows a tag and second

    def names(self, span_s: float, most_rows: int) -> int:
        """Tags together over a span."""
        if self._density is None:
            wanted = float(self.bounds.first_names)
        else:
            wanted = min(self.bounds.rows, most_rows) / max(self._density * span_s * 1.3, 0.5)
        return max(1, int(min(wanted, self._names, self.bounds.names)))

    @property
    def counted_names(self) -> int:
        """Tags together in a count, whose answer is a row for each."""
        return max(1, int(self._names))

    def served(self, names: int, rows: int, span_s: float, spent_s: float) -> None:
        """A statement was answered."""
        self._stalls = 0
        if names and span_s > 0:
            seen = rows / names / span_s
            self._density = seen if self._density is None else 0.5 * (self._density + seen)
        if spent_s > self.bounds.slow_s and names > 1:
            self._names = max(1.0, names * self.bounds.slow_s / spent_s)
        else:
            self._names = min(self.bounds.names, self._names * 1.25 + 1)

    def refused(self, error: TooMuch, names: int) -> None:
        """A statement over so many tags was too much. Raises Retry when the server seems to hang."""
        if names > 1 and error.reason != "rows":
            self._names = max(1.0, min(self._names, names / 2))
        if error.reason == "time":
            self._stalls += 1
            if self._stalls >= self.bounds.stalls:
                self._stalls = 0
                raise Retry(f"{error}; {self.bounds.stalls} times in a row, also for less", after_s=60.0)
