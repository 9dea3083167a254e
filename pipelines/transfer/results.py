"""What bounds the work on a slice, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.planning import can_halve
from pipelines.ports import SliceId, State
from pipelines.timeline import Interval


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings of the plant file's [limits]."""

    slice_events: int = 400_000
    slice_bytes: int = 8 << 20
    """Of texts."""
    believe_shrink: float = 0.01
    deep_share: float = 0.01
    believe_change: float = 0.5

    @property
    def most_events(self) -> int:
        """What a slice may hold at most: plants are not as dense everywhere as they were before."""
        return 2 * self.slice_events

    def most_bytes(self, span: Interval) -> int:
        """Of texts in a slice, besides the longest one, which nothing can cut; twice as many where the span cannot be
        cut either: many points may have theirs at one moment."""
        return (2 if can_halve(span) else 4) * self.slice_bytes

    def weight(self, events: int, text_bytes: int) -> int:
        """What a slice holds, as events: of long texts fewer events make a slice."""
        return max(events, -(-text_bytes * self.slice_events // self.slice_bytes))


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What became of a slice. `seconds` is wall-clock; `stages` splits it."""

    slice: SliceId
    state: State
    events: int = 0
    points: int = 0
    rounded: int = 0
    unproved: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    differing: frozenset[str] = frozenset()
    """Points that were found other than they had been landed."""
    text_bytes: int = 0
