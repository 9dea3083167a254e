"""What a pass of sync did."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.timeline import Interval
from pipelines.transfer import SliceResult


@dataclass(slots=True)
class PassResult:
    """What a pass did. `behind_ns` is how far the coverage of the slowest group ends before the pass's own end."""

    seconds: float = 0.0
    events: int = 0
    slices: int = 0
    looks: int = 0
    differing: int = 0
    """Points that were found other than they had been landed, over all looks."""
    told: int = 0
    """Hours of points that the change feed told of, where they were covered already."""
    waiting: int = 0
    """Slices that are landed and wait for IoTDB."""
    left: int = 0
    """Gaps and looks that the pass's time did not reach."""
    up_to_ns: int = 0
    """What of every group is covered contiguously up to here."""
    settled: list[tuple[str, Interval]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)

    def take(self, done: SliceResult) -> None:
        """Adds up one slice."""
        self.events += done.events
        self.slices += bool(done.events)
        self.differing += len(done.differing)
        self.unproved.update(done.unproved)
        if done.state == "quarantined":
            self.problems.append(f"{done.slice} is quarantined: {done.note}")
