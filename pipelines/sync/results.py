"""What a pass of sync did, and what went wrong at several places for one reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.timeline import Interval
from pipelines.transfer import SliceResult


class Troubles(dict[str, list[str]]):
    """Where something went wrong, by why: a source that is away is one line, not one a slice."""

    def add(self, why: str, where: str = "") -> None:
        """One more place."""
        self.setdefault(why, []).append(where)

    def lines(self) -> list[str]:
        """For a person, in the order in which they came up."""
        return [
            why if not places[0] else f"{places[0]}: {why}" if len(places) == 1
            else f"{why} (at {len(places):,} places, first {places[0]})"
            for why, places in self.items()
        ]  # fmt: skip


@dataclass(slots=True)
class PassResult:
    """What a pass did."""

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
    let_go: int = 0
    """Old generations of settled days that were removed from the landing."""
    up_to_ns: int = 0
    """What of every group is covered contiguously up to here."""
    settled: list[tuple[str, Interval]] = field(default_factory=list)
    changed: set[tuple[str, Interval]] = field(default_factory=set)
    """Groups and spans that hold something new."""
    edited: list[tuple[str, Interval]] = field(default_factory=list)
    """Where events were found other than they had been landed, and are now as the source has them."""
    troubles: Troubles = field(default_factory=Troubles)
    unproved: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line a reason."""
        return self.troubles.lines()

    def take(self, done: SliceResult, *, again: bool = False) -> None:
        """Adds up one slice; `again`: what was there before, and was looked at once more."""
        if not again:
            self.events += done.events
            self.slices += bool(done.events)
        if done.events or not again:
            self.changed.add((done.slice.group, done.slice.span))
        self.differing += len(done.differing)
        if done.differing and done.state != "quarantined":
            self.edited.append((done.slice.group, done.slice.span))
        self.unproved.update(done.unproved)
        if done.state == "quarantined":
            self.troubles.add(f"quarantined: {done.note}", str(done.slice))
