"""A plant's historian, as the domain asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point
from pipelines.timeline import Interval

Origin = Literal["independent", "re-read", "spool", "none"]
"""Where the source's side of a proof came from."""


PULL_BYTES = 32 << 20
"""Of texts in one batch, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """Complete events of some points over the asked span.

    `samples` is in samples.SCHEMA, ordered in time within a point, ties numbered; a point of `points` without rows
    has no events there. `failed` names the points that could not be had, and why; they are not in `points`.
    """

    samples: pa.Table
    points: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceTally:
    """What the source says it holds, per point over a span: columns of samples.TALLY_SCHEMA that it can tell.

    `table` has `point` and `events` and may have `origin` (a row's own, where they differ), `total` (sum of the finite
    values that are not bad), `coded` (whether the numbers of states are in it, too) and `bits` (samples.SINGLE or HALF,
    where that is the precision of what was added up, null elsewhere); when everything was read again, it has all of
    TALLY_SCHEMA. Points with no events are rows of 0.
    """

    table: pa.Table
    origin: Origin
    failed: Mapping[str, str] = field(default_factory=dict)
    flagged: pa.Table | None = None
    """The columns `point`, `time`, `tie`, `annotated` of the events that are annotated, where all were read again."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change feed told since the markers that it was asked with.

    `times`: by point the stamps (ns UTC) of events that were added, changed or removed; `markers`: where to read on, by
    point; `holes`: points about which it could not tell what happened until their new marker.
    """

    times: Mapping[str, Sequence[int]]
    markers: Mapping[str, str]
    holes: frozenset[str]


@runtime_checkable
class ChangeFeed(Protocol):
    """A source that also tells what was changed in its history, whenever that happened."""

    async def changes(self, points: Sequence[Point], markers: Mapping[str, str]) -> Changes:
        """What happened to the points since their markers, and new markers for all that can have one.

        A point without a marker, or whose marker the source no longer knows, is registered anew and is a hole. Where
        the source has no feed after all, every point is one. Raises Retry, Stop.
        """
        ...


@runtime_checkable
class Clocked(Protocol):
    """A source that tells what time it has."""

    async def time_ns(self) -> int | None:
        """Its clock now, ns UTC; None where it does not tell after all. Raises Retry, Stop."""
        ...


@runtime_checkable
class Choosy(Protocol):
    """A source that has points which nobody reads."""

    left_out: Mapping[str, Sequence[str]]
    """After `discover`: the names of points that the plant file selects and that are not read, by why."""


@runtime_checkable
class Kept(Protocol):
    """A source of our own keeping, which knows where it begins: nobody has to backfill it."""

    async def first_ns(self) -> int | None:
        """The earliest time that it holds, ns UTC; None where it is empty."""
        ...

    async def spare(self, before_ns: int) -> Interval | None:
        """What of it could be let go that is older; None where that is nothing."""
        ...

    async def let_go(self, before_ns: int) -> None:
        """Makes room: what is older was landed and proved in the store. Raises OSError on a disk that is full."""
        ...


@runtime_checkable
class Source(Protocol):
    """A plant's historian. Nothing here writes to it. All spans are half-open UTC."""

    name: str

    async def discover(self) -> list[Point]:
        """Every point that this source lets us see and the plant file selects. Raises Stop, Retry."""
        ...

    def pull(
        self, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int = PULL_BYTES
    ) -> AsyncIterator[Pulled]:
        """All events of the points in the span, some points at a time, each point whole and in one `Pulled` only.

        Raises Split when one batch would hold more than `max_events`, or more than `max_bytes` of texts besides its
        longest (memory is bounded by settings), Retry, Stop.
        """
        ...

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        """What the source holds, asked by another question than `pull` where it has one. Raises Retry, Stop."""
        ...

    async def close(self) -> None:
        """Closes connections; may be called twice."""
        ...
