"""What the domain asks of the outside: sources, stores and the ledger's store, and the error classes.

The class of an error decides what happens, never its text (design.md, rule 5):

- `Retry`    transient; the client has given up for now; the slice is tried again later
- `Split`    too much was asked at once; ask for less
- `Skip`     one point is bad; report it, hold nobody else back
- `Stop`     credentials or configuration; a person must act; nothing is retried
- `Unreachable` (a Retry) nobody answers; `NoRoom` (a Stop) disk or memory is full
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point
from pipelines.timeline import Interval

Origin = Literal["independent", "re-read", "spool", "none"]
"""Where the source's side of a proof came from."""
Proof = Literal["counted", "deep", "none"]
State = Literal["planned", "pulled", "landed", "written", "verified", "settled", "retry_at", "quarantined"]


class FerryError(Exception):
    """The root of every error that the product raises on purpose; its text is for a person."""


class Retry(FerryError):
    """Transient; `after_s` seconds is the earliest that another try makes sense."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Unreachable(Retry):
    """Nobody answers at the address."""


class Split(FerryError):
    """Too much was asked at once: fewer points, or a shorter time."""


class Skip(FerryError):
    """One point cannot be had; `point` is its id."""

    def __init__(self, point: str, message: str) -> None:
        super().__init__(message)
        self.point = point


class Stop(FerryError):
    """Credentials or configuration: trying again changes nothing."""


class NoRoom(Stop):
    """Disk or memory is full."""


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

    `table` has `point` and `events` and may have `origin` (a row's own, where they differ) and `total` (sum of the
    finite values that are not bad); when everything was read again, it has all of TALLY_SCHEMA. Points with no events
    are rows of 0.
    """

    table: pa.Table
    origin: Origin
    failed: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Source(Protocol):
    """A plant's historian. Nothing here writes to it. All spans are half-open UTC."""

    name: str

    async def discover(self) -> list[Point]:
        """Every point that this source lets us see and the plant file selects. Raises Stop, Retry."""
        ...

    def pull(self, points: Sequence[Point], span: Interval, max_events: int) -> AsyncIterator[Pulled]:
        """All events of the points in the span, some points at a time, each point whole and in one `Pulled` only.

        Raises Split when one batch would hold more than `max_events` (memory is bounded by a setting), Retry, Stop.
        """
        ...

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        """What the source holds, asked by another question than `pull` where it has one. Raises Retry, Stop."""
        ...

    async def close(self) -> None:
        """Closes connections; may be called twice."""
        ...


@runtime_checkable
class Store(Protocol):
    """IoTDB, or what stands for it. Thread-safe; all calls block."""

    clock_ns: int
    """Resolution of its timestamps, nanoseconds."""

    def prepare(self) -> None:
        """Database and tables exist afterwards, and the writer is probed. Raises Unreachable, Stop."""
        ...

    def write(self, source: str, samples: pa.Table) -> None:
        """Upserts ordered events in SCHEMA; durable on return (LOADed or FLUSHed). Raises Retry, NoRoom, Stop."""
        ...

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        """What it holds per point, by its own aggregates: TALLY_SCHEMA, `magnitude` 0 and `digest` null.

        Points with no events have no row.
        """
        ...

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        """Every event it holds, ordered, in SCHEMA; each point whole in one table."""
        ...

    def delete(self, source: str, events: pa.Table) -> None:
        """Deletes exactly the rows of `events` (SCHEMA: point, time, tie, and which table by `value`). Durable."""
        ...

    def write_points(self, source: str, points: Sequence[Point]) -> None:
        """Upserts the `points` table: names, units, types, limits."""
        ...

    def write_aggregates(
        self,
        source: str,
        interval: str,
        rows: pa.Table,
        replace: Interval | None = None,
        points: Sequence[str] | None = None,
    ) -> None:
        """Upserts `agg_<interval>` rows: point string, time timestamp[ns, UTC] (start), DOUBLE and INT64 columns.

        With `replace`, stored rows of `points` in that span that `rows` lacks are deleted once the new are durable.
        """
        ...

    def close(self) -> None:
        """Closes sessions; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class SliceId:
    """A slice: one point group of one source over one sub-window."""

    source: str
    group: str
    span: Interval

    def __str__(self) -> str:
        return f"{self.source}/{self.group} {self.span}"


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """One row of the append-only slice history."""

    slice: SliceId
    state: State
    generation: str = ""
    run_id: str = ""
    events: int = 0
    points: int = 0
    rounded: int = 0
    note: str = ""
    retry_at_ns: int = 0
    seq: int = 0
    recorded_ns: int = 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A point exception: coverage of its group does not hold for this point here until it is mended."""

    source: str
    group: str
    point: str
    span: Interval
    reason: str


class Lease(Protocol):
    """Held while a group and window is being changed; lost leases are noticed before anything is committed."""

    def check(self) -> None:
        """Raises Retry if the lease is no longer ours."""
        ...


@runtime_checkable
class LedgerStore(Protocol):
    """The append-only ledger, in Postgres. Thread-safe; all calls block; each call is one transaction."""

    def migrate(self) -> None:
        """Brings the schema to this version; safe when two do it at once."""
        ...

    def save_points(self, source: str, points: Sequence[Point]) -> int:
        """Records new, changed and vanished points as catalogue versions; returns how many changed."""
        ...

    def load_points(self, source: str) -> list[Point]:
        """The newest version of every point that was not found vanished."""
        ...

    def known_points(self, source: str) -> list[Point]:
        """Like load_points, with the vanished ones: ids are never given twice."""
        ...

    def lease(self, source: str, group: str, window: Interval, holder: str) -> AbstractContextManager[Lease]:
        """Exclusive for (source, group, window) while the context lasts; freed when its process dies.

        Raises Retry when somebody else holds it.
        """
        ...

    def record(self, records: Sequence[SliceRecord]) -> None:
        """Appends to the slice history."""
        ...

    def history(self, source: str, group: str | None, span: Interval) -> list[SliceRecord]:
        """Slice history that overlaps the span, oldest first."""
        ...

    def commit(
        self,
        record: SliceRecord,
        proofs: pa.Table,
        exclusions: Sequence[Exclusion] = (),
    ) -> None:
        """In one transaction: appends `record` and its proofs (PROOF_SCHEMA), closes inside its span the exclusions of
        points that it proves or names, opens `exclusions`, and covers the span when the state is `verified`."""
        ...

    def withdraw(self, slice_id: SliceId, reason: str, run_id: str = "") -> None:
        """Appends a withdrawal of coverage over the slice's span."""
        ...

    def coverage(self, source: str, group: str) -> list[Interval]:
        """Merged intervals covered and not withdrawn since."""
        ...

    def exclude(self, exclusions: Sequence[Exclusion]) -> None:
        """Opens point exceptions outside of a slice's commit: points that were found after their group was covered."""
        ...

    def exclusions(self, source: str, group: str | None, span: Interval) -> list[Exclusion]:
        """Open point exceptions that overlap the span."""
        ...

    def proofs(self, source: str, span: Interval, group: str | None = None) -> pa.Table:
        """Newest proof per point and slice that lies wholly inside the span.

        PROOF_SCHEMA plus group, start_ns, end_ns, generation.
        """
        ...

    def expire(self, source: str, span: Interval, reason: str) -> None:
        """Records that the store has forgotten the span by its TTL: it is no longer written, recounted or restated."""
        ...

    def expired(self, source: str) -> list[Interval]:
        """Merged intervals that the store has forgotten."""
        ...

    def accept_loss(self, source: str, group: str, span: Interval, by: str) -> None:
        """Records that a person accepts that the source now holds less over the span."""
        ...

    def loss_accepted(self, slice_id: SliceId) -> bool:
        """Whether an acceptance covers the slice and is newer than its last verification."""
        ...

    def close(self) -> None:
        """Closes connections; may be called twice."""
        ...


PROOF_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string(), nullable=False),
        pa.field("proof", pa.string(), nullable=False),  # counted | deep | none
        pa.field("origin", pa.string(), nullable=False),
        pa.field("source_events", pa.int64()),  # null: the source was not asked or could not tell
        pa.field("events", pa.int64(), nullable=False),  # landed
        pa.field("stored_events", pa.int64()),
        pa.field("good", pa.int64(), nullable=False),
        pa.field("first_ns", pa.int64(), nullable=False),
        pa.field("last_ns", pa.int64(), nullable=False),
        pa.field("total", pa.float64(), nullable=False),
        pa.field("digest", pa.int64()),
    ]
)
