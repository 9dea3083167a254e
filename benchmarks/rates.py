"""What was measured, and how it is measured: so many events in so many seconds, at what cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.costs import FERRY, Costs, spent_between


@dataclass(frozen=True, slots=True)
class Rate:
    """`seconds` and `cpu_s` are medians over the `runs`; `peak_bytes` is their greatest, 0 where it means nothing."""

    name: str
    events: int
    seconds: float
    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    runs: int = 1

    @property
    def events_per_s(self) -> float:
        return self.events / max(self.seconds, 1e-9)

    @property
    def ferry_us(self) -> float:
        """Processor time of our own processes, microseconds an event."""
        return self.cpu_s.get(FERRY, 0.0) / max(self.events, 1) * 1e6

    @property
    def servers_us(self) -> float:
        """Processor time of all servers together, microseconds an event."""
        return (sum(self.cpu_s.values()) - self.cpu_s.get(FERRY, 0.0)) / max(self.events, 1) * 1e6

    def as_json(self, plain: Rate) -> dict[str, Any]:
        """For machines; `plain` is the reference."""
        return {
            "name": self.name,
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "events_per_s": round(self.events_per_s),
            "times_reference": round(self.events_per_s / plain.events_per_s, 2),
            "cpu_s": {name: round(spent, 3) for name, spent in self.cpu_s.items()},
            "peak_bytes": self.peak_bytes,
            "runs": self.runs,
        }


def timed(costs: Costs, name: str, work: Callable[[], int]) -> Rate:
    """One run of `work`, which returns how many events it handled."""
    before, began = costs.cpu_s(), time.monotonic()
    events = work()
    seconds = time.monotonic() - began
    return Rate(name, events, seconds, spent_between(before, costs.cpu_s()))


def median(runs: Sequence[Rate]) -> Rate:
    """The median of runs of the same work."""
    first = runs[0]
    cpu_s = {name: statistics.median(run.cpu_s.get(name, 0.0) for run in runs) for name in first.cpu_s}
    seconds = statistics.median(run.seconds for run in runs)
    return Rate(first.name, first.events, seconds, cpu_s, max(run.peak_bytes for run in runs), len(runs))
