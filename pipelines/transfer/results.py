"""What bounds the work on a slice, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.ports import SliceId, State


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings of the plant file's [limits]."""

    slice_events: int = 400_000
    believe_shrink: float = 0.01
    deep_share: float = 0.01
    believe_change: float = 0.5


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
