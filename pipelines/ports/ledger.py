"""The ledger's rows, and its store as the domain asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point
from pipelines.timeline import Interval

Proof = Literal["counted", "deep", "none"]
Side = Literal["source", "store"]
State = Literal["planned", "pulled", "landed", "written", "verified", "settled", "retry_at", "quarantined"]


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


NEWCOMER = "new, back or of another type since its group was covered; it is yet to be pulled here"
"""The reason of such an exception."""


@dataclass(frozen=True, slots=True)
class Known:
    """The catalogue that a transfer works from: its version, and the number of groups that its points are in."""

    version: int
    groups: int


@dataclass(frozen=True, slots=True)
class Absence:
    """A point that the source no longer lists, since `since_ns` (the ledger's clock).

    `believed`: it is gone, and its history is only here. Not believed: it counts as there, and a person is asked.
    """

    point: Point
    since_ns: int
    believed: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """A side was asked again about a covered span at `asked_ns` (the plant's clock), and how many points differed.

    `deep`: every event was read again, not just counted. `points`: ids of the first that differed, where no exception
    names them. `seq` is the ledger's, like a slice record's.
    """

    source: str
    group: str
    span: Interval
    asked_ns: int
    deep: bool = False
    differing: int = 0
    side: Side = "source"
    points: tuple[str, ...] = ()
    seq: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Watch:
    """How far a group's change feed was read: what it told until `read_ns` stands in the ledger as exceptions.

    It told of all points of the group, without a hole, since `since_ns`; both by the plant's clock. `markers`: where to
    read on, by point.
    """

    source: str
    group: str
    since_ns: int
    read_ns: int
    markers: Mapping[str, str]


class Lease(Protocol):
    """Held while a group and window is being changed; lost leases are noticed before anything is committed.

    `token` is its place in the order of all that the ledger holds (docs/decisions/0014-fencing.md).
    """

    token: int

    def check(self) -> None:
        """Raises Retry if the lease is no longer ours."""
        ...

    def changing(self, slice_id: SliceId, run_id: str = "") -> AbstractContextManager[None]:
        """Around one change of the store inside the slice's span. Its coverage is withdrawn before the first one.

        Raises Retry when the lease was lost before: nothing may be changed then; and when it was lost meanwhile, which
        withdraws the span from whoever has proved it since. What was begun ends with a commit, or with the lease.
        """
        ...


@runtime_checkable
class LedgerStore(Protocol):
    """The append-only ledger, in Postgres. Thread-safe; all calls block; each call is one transaction."""

    @property
    def clock_name(self) -> str:
        """What a message calls its clock."""
        ...

    @property
    def on_this_host(self) -> bool:
        """Whether it runs on this host, so that its clock is this host's."""
        ...

    def now_ns(self) -> int:
        """Its clock now, ns UTC."""
        ...

    def migrate(self) -> None:
        """Brings the schema to this version; safe when two do it at once."""
        ...

    def save_points(
        self,
        source: str,
        points: Sequence[Point],
        groups: int,
        *,
        missing: Sequence[Point] = (),
        unselected: Sequence[Point] = (),
        accepted_by: str = "",
        selection: str | None = None,
    ) -> int:
        """Records new, changed and vanished points as catalogue versions; returns how many changed.

        A point that is new, back or of another kind is excepted where its group, one of `groups`, was covered without.
        Of those that are not in `points`, the `missing` ones count as there, the `unselected` ones were not asked for,
        and all others are gone; `accepted_by` says who was asked about these. `selection` is what the plant file chose
        them by; None where that did not change.
        """
        ...

    def load_points(self, source: str) -> list[Point]:
        """The newest version of every point that was not found vanished."""
        ...

    def known_points(self, source: str) -> list[Point]:
        """Like load_points, with the vanished ones: ids are never given twice."""
        ...

    def absences(self, source: str) -> list[Absence]:
        """The points that are missing or gone; not those that the plant file no longer selects."""
        ...

    def unselected(self, source: str) -> list[Point]:
        """The points that the plant file did not select when the source was last asked for them."""
        ...

    def points_known(self, source: str) -> int:
        """How many points the source ever had, as far as the plant file asked for them."""
        ...

    def selection(self, source: str) -> str | None:
        """What the plant file selected when the source was last asked for its points; None before that."""
        ...

    def gone_unasked(self, source: str) -> int:
        """How many points were believed gone since a person was last asked about that."""
        ...

    def known(self, source: str, groups: int) -> Known:
        """The catalogue as it is now; to be asked for before the points are loaded."""
        ...

    def lease(
        self, source: str, group: str, window: Interval, holder: str, patience_s: float = 0.0
    ) -> AbstractContextManager[Lease]:
        """Exclusive for what of the group overlaps the window while the context lasts; freed when its process dies.

        Raises Retry when somebody else holds it and does not give it back within `patience_s` seconds, or has lost it
        while it was changing the store and may live. All changes of the store have returned when the context ends.
        """
        ...

    def record(self, records: Sequence[SliceRecord]) -> None:
        """Appends to the slice history. Raises Retry when the lease on it was lost, but for what is put off."""
        ...

    def history(self, source: str, group: str | None, span: Interval, *, replaced: bool = False) -> list[SliceRecord]:
        """Slice history that overlaps the span, oldest first: what still says something.

        Rows that a later verified slice holds as a whole are only sure to be there with `replaced`: they change nothing
        about what is current, newest, resumable or quarantined (pipelines.ledger), and become many.
        """
        ...

    def moved(self, source: str, limit: int = 2_000) -> list[SliceRecord]:
        """The newest `limit` slices of the source that runs have moved and proved for good, newest first.

        Not those of passes that follow the source: they wait for it most of the time.
        """
        ...

    def commit(
        self,
        record: SliceRecord,
        proofs: pa.Table,
        exclusions: Sequence[Exclusion] = (),
        *,
        keep_proofs: bool = True,
        known: Known | None = None,
        annotations: pa.Table | None = None,
    ) -> None:
        """In one transaction: appends `record` and its proofs (PROOF_SCHEMA), closes inside its span the exclusions of
        points that it proves or names, opens `exclusions`, and covers the span when the state is `verified`.

        `annotations` (ANNOTATION_SCHEMA) of all its events stand from then on, in the place of what stood in its span;
        None: what stands, stands. Of an event whose annotation is lacking, what was told before stays.
        Points that were discovered after the `known` catalogue and that nothing here speaks of are excepted.
        Without `keep_proofs` the proofs count, but only those of points that failed are kept (docs/decisions/0007).
        """
        ...

    def withdraw(self, slice_id: SliceId, reason: str, run_id: str = "") -> None:
        """Appends a withdrawal of coverage over the slice's span."""
        ...

    def coverage(self, source: str, group: str) -> list[Interval]:
        """Merged intervals covered and not withdrawn since."""
        ...

    def ahead(self, source: str, group: str, now_ns: int) -> Interval | None:
        """What coverage says of time after `now_ns`, and all that was covered since it may have been wrong."""
        ...

    def exclude(self, exclusions: Sequence[Exclusion]) -> None:
        """Opens point exceptions outside of a slice's commit."""
        ...

    def exclusions(self, source: str, group: str | None, span: Interval) -> list[Exclusion]:
        """Open point exceptions that overlap the span."""
        ...

    def proofs(self, source: str, span: Interval, group: str | None = None) -> pa.Table:
        """Newest proof per point and slice that lies wholly inside the span.

        PROOF_SCHEMA plus group, start_ns, end_ns, generation.
        """
        ...

    def proofs_of(self, record: SliceRecord) -> pa.Table:
        """The proofs that were committed with a slice of the history, also where they stand no longer: PROOF_SCHEMA."""
        ...

    def hand_over(self, source: str, at_ns: int) -> int:
        """The instant from which on sync looks after the source: `at_ns` the first time, for ever after the same."""
        ...

    def handover(self, source: str) -> int | None:
        """That instant, None before it was set."""
        ...

    def record_looks(self, looks: Sequence[Looked]) -> None:
        """Records that covered spans were asked about again."""
        ...

    def looks(self, source: str, span: Interval, side: Side = "source") -> list[Looked]:
        """What overlaps the span, oldest first: of every (group, span) the newest look at that side, and the newest
        deep one."""
        ...

    def watches(self, source: str) -> list[Watch]:
        """How far the change feed of each group was read."""
        ...

    def save_watch(self, watch: Watch) -> None:
        """Takes the place of the group's watch before."""
        ...

    def expire(self, source: str, span: Interval, reason: str) -> None:
        """Records that the store has forgotten the span by its TTL: it is no longer written, recounted or restated."""
        ...

    def revive(self, source: str, span: Interval, reason: str) -> None:
        """Takes back what was recorded as expired in the span: the store keeps it after all."""
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

    def since_acceptance(self, slice_id: SliceId) -> list[SliceRecord]:
        """What was verified over any of the slice since a person last accepted a loss there, oldest first; also what
        later rows replace."""
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
