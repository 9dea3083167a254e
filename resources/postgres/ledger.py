"""`PostgresLedger`: ports.LedgerStore in PostgreSQL. Rows are only ever added; the schema is in sql/ledger.

Order. Rows of all tables are numbered by one sequence, and whoever changes the coverage of a group holds a
transaction lock on it: so a lower number was also committed before, and "later" means one thing everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import (
    Absence,
    AnnotationCounts,
    AttributeKind,
    Exclusion,
    Known,
    Lease,
    Looked,
    Side,
    SliceId,
    SliceRecord,
    Watch,
)
from pipelines.timeline import Interval
from resources.postgres import annotations as noted
from resources.postgres import (
    attributes,
    catalogue,
    clocks,
    expiries,
    journal,
    landings,
    migrations,
    proofs,
    recounts,
    slices,
    stores,
    watches,
)
from resources.postgres.connections import Connection, Connections, Work
from resources.postgres.exclusions import add, exclusions_open
from resources.postgres.leases import PostgresLease
from resources.postgres.stores import Bound, OpeningState
from resources.postgres.texts import legible

T = TypeVar("T")


class PostgresLedger:
    """The append-only ledger. Thread-safe; every call blocks and is one transaction.

    `dsn` is a libpq URL or keyword string (its search_path decides the schema). Nothing is connected before the
    first call. All calls raise Unreachable, Retry, NoRoom and Stop; a server that was restarted is met again once.
    """

    def __init__(self, dsn: str) -> None:
        self._connections = Connections(dsn)
        self._leases: list[PostgresLease] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"PostgresLedger({self._connections.address})"

    @property
    def clock_name(self) -> str:
        """What a message calls its clock."""
        return f"the ledger's PostgreSQL at {self._connections.address}"

    @property
    def on_this_host(self) -> bool:
        """Whether its clock is this host's: it listens on the loopback or on a local socket."""
        return self._connections.on_this_host

    def now_ns(self) -> int:
        """The server's clock, ns UTC."""
        return self._connections.run(clocks.now_ns)

    def migrate(self) -> None:
        """Brings the schema to this version; two at once are safe. Raises Stop: newer schema, changed migration."""
        self._connections.run(lambda connection: migrations.migrate(connection, migrations.packaged()))

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
        """Records new, changed, vanished, missing and returned points as versions; returns how many rows that made.

        A point that is new, back or of another kind is excepted where its group, one of `groups`, was covered without.
        Raises ValueError when an id stands there twice.
        """
        save = partial(
            catalogue.save, source=source, points=points, groups=groups,
            missing=missing, unselected=unselected, accepted_by=accepted_by, selection=selection,
        )  # fmt: skip
        return self._connections.run(save)

    def load_points(self, source: str) -> list[Point]:
        """The newest version of every point that was not found vanished, ordered by id."""
        return self._connections.run(lambda connection: catalogue.load(connection, source, False))

    def known_points(self, source: str) -> list[Point]:
        """Like load_points, with the vanished ones."""
        return self._connections.run(lambda connection: catalogue.load(connection, source, True))

    def absences(self, source: str) -> list[Absence]:
        """The points that the source no longer lists, and since when, ordered by id."""
        return self._connections.run(lambda connection: catalogue.absences(connection, source))

    def unselected(self, source: str) -> list[Point]:
        """The points that the plant file did not select when the source was last asked, ordered by id."""
        return self._connections.run(lambda connection: catalogue.unselected(connection, source))

    def points_known(self, source: str) -> int:
        """How many points the source ever had, as far as the plant file asked for them."""
        return self._connections.run(lambda connection: catalogue.known(connection, source))

    def selection(self, source: str) -> str | None:
        """What the plant file selected when the source was last asked for its points; None before that."""
        return self._connections.run(lambda connection: catalogue.selection(connection, source))

    def gone_unasked(self, source: str) -> int:
        """How many points were believed gone since a person was last asked."""
        return self._connections.run(lambda connection: catalogue.gone_unasked(connection, source))

    def known(self, source: str, groups: int) -> Known:
        """The catalogue as it is now, its points in so many groups."""
        return Known(self._connections.run(lambda connection: catalogue.version(connection, source)), groups)

    def grouped(self, source: str) -> list[tuple[str, str]]:
        """Some points, and the label of the group that each was proved in by the newest backfills."""
        return self._connections.run(lambda connection: catalogue.grouped(connection, source))

    def catalogue_age_s(self, source: str) -> float | None:
        """Seconds since the source was last asked for its points; None before the first time."""
        return self._connections.run(lambda connection: catalogue.age_s(connection, source))

    @contextmanager
    def lease(self, source: str, group: str, window: Interval, holder: str, patience_s: float = 0.0) -> Iterator[Lease]:
        """Exclusive for what of (source, group) overlaps the window while the context lasts.

        Commits, withdrawals and what is told of slices inside the window then go over the lease's own session and fail
        with Retry when it is lost. Raises Retry naming the holder when it is taken, also by this same process, for
        `patience_s` seconds. All changes of the store that it guards have returned when the context ends.
        """
        lease = PostgresLease(self._connections, source, group, window, holder, patience_s)
        with self._lock:
            self._leases.append(lease)
        try:
            yield lease
        finally:
            with self._lock:
                self._leases.remove(lease)
            lease.free()

    def record(self, records: Sequence[SliceRecord]) -> None:
        """Appends to the slice history; `seq` and `recorded_ns` of the records are ignored: the ledger gives them.

        Under the lease that guards the first of them, but for what is put off: who lost a lease may say so.
        """

        def work(connection: Connection) -> None:
            rows = [slices.record_row(record, False) for record in records]
            connection.cursor().executemany(slices.STATEMENTS["append"], rows)

        if records and records[0].state == "retry_at":
            self._connections.run(work)
        elif records:
            self._run_in(records[0].slice, work)

    def history(self, source: str, group: str | None, span: Interval, *, replaced: bool = False) -> list[SliceRecord]:
        """Slice history that overlaps the span, oldest first; of all groups when `group` is None.

        Rows that a later verified slice holds as a whole only if also what was `replaced` is asked for.
        """
        statement = slices.STATEMENTS["history" if replaced else "standing"]
        values = slices.span_row(source, group, span)
        return self._connections.run(lambda c: [slices.record(row) for row in c.execute(statement, values)])

    def moved(self, source: str, limit: int = 2_000) -> list[SliceRecord]:
        """The newest `limit` slices of the source that runs have moved and proved for good, newest first."""
        values = {"source": source, "limit": limit}
        return self._connections.run(
            lambda c: [slices.record(row) for row in c.execute(slices.STATEMENTS["moved"], values)]
        )

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
        """Appends `record`, its proofs (PROOF_SCHEMA) and point exceptions in one transaction.

        A `verified` one also appends coverage of its span, ends the older proofs there, and closes the exceptions
        inside its span of the points it proved (a proof other than `none`); one of a point that it neither proved
        nor names stays. Without `keep_proofs` the proofs do all that and are not kept. `exclusions` replace what they
        overlap; what of an old one reaches beyond stays open. Points that were discovered after the `known` catalogue
        and that nothing here speaks of are excepted. `annotations` (ANNOTATION_SCHEMA) of all its events stand in the
        place of those in its span before; None: what stands, stands. Raises ValueError for another schema of either and
        exceptions of another group.
        """
        table = slices.checked(record, proofs, exclusions)
        told = {*table["point"].to_pylist(), *(each.point for each in exclusions)}

        def work(connection: Connection) -> None:
            slices.lock_group(connection, record.slice.source, record.slice.group)
            late = catalogue.late_for(connection, record.slice, known, told) if known else []
            seq = slices.commit(connection, record, table, [*exclusions, *late], keep_proofs)
            if annotations is not None:
                noted.replace(connection, seq, record.slice, annotations)

        lease = self._guarding(record.slice)
        if lease:
            lease.commit(record.slice, work)
        else:
            self._connections.run(work)

    def withdraw(self, slice_id: SliceId, reason: str, run_id: str = "") -> None:
        """Appends a withdrawal of coverage over the slice's span; every proof that touches it ends."""

        def work(connection: Connection) -> None:
            slices.lock_group(connection, slice_id.source, slice_id.group)
            slices.withdraw(connection, slices.slice_row(slice_id), reason, run_id)

        self._run_in(slice_id, work)

    def coverage(self, source: str, group: str) -> list[Interval]:
        """Merged intervals covered and not withdrawn since."""
        return self._connections.run(lambda connection: slices.covered(connection, source, group))

    def ahead(self, source: str, group: str, now_ns: int) -> Interval | None:
        """What coverage says of time after `now_ns`, and all that was covered since it may have been wrong."""
        return self._connections.run(lambda connection: clocks.ahead(connection, source, group, now_ns))

    def exclude(self, exclusions: Sequence[Exclusion]) -> None:
        """Opens point exceptions outside of a commit, where their point has none yet: twice is once."""
        by_group: dict[tuple[str, str], list[Exclusion]] = {}
        for each in exclusions:
            by_group.setdefault((each.source, each.group), []).append(each)

        def work(connection: Connection) -> None:
            for (source, group), given in sorted(by_group.items()):  # everybody locks groups in this order
                slices.lock_group(connection, source, group)
                add(connection, source, group, given)

        if by_group:
            self._connections.run(work)

    def exclusions(self, source: str, group: str | None, span: Interval) -> list[Exclusion]:
        """Open point exceptions that overlap the span, whole, oldest first."""
        return self._connections.run(lambda c: exclusions_open(c, source, group, span))

    def proofs(self, source: str, span: Interval, group: str | None = None) -> pa.Table:
        """The proofs that still stand, of slices wholly inside the span, oldest slice first.

        PROOF_SCHEMA plus group, start_ns, end_ns, generation. No instant of a point is counted twice: a proof ends
        as a whole when a withdrawal, or a later verification of its point, touches any of its slice's span. What
        coverage holds and no proof here is to be recounted before it is called proved.
        """
        return self._connections.run(lambda connection: proofs.current(connection, source, group, span))

    def proofs_of(self, record: SliceRecord) -> pa.Table:
        """The proofs that were committed with a slice of the history, also where they stand no longer: PROOF_SCHEMA."""
        return self._connections.run(lambda connection: proofs.of_slice(connection, record.seq))

    def accept_loss(self, source: str, group: str, span: Interval, by: str) -> None:
        """Records that a person accepts that the source now holds less over the span."""
        row = {**slices.span_row(source, group, span), "by": legible(by)}
        self._connections.run(lambda connection: connection.execute(slices.STATEMENTS["accept"], row))

    def loss_accepted(self, slice_id: SliceId) -> bool:
        """Whether acceptances newer than the last verification that overlaps the slice cover all of it."""
        return bool(
            self._connections.run(lambda c: slices.one(c, slices.STATEMENTS["accepted"], slices.slice_row(slice_id)))
        )

    def since_acceptance(self, slice_id: SliceId) -> list[SliceRecord]:
        """What was verified over any of the slice since a loss was last accepted there, oldest first."""
        values = slices.slice_row(slice_id)

        def work(connection: Connection) -> list[SliceRecord]:
            return [slices.record(row) for row in connection.execute(slices.STATEMENTS["since_acceptance"], values)]

        return self._connections.run(work)

    def hand_over(self, source: str, at_ns: int) -> int:
        """Sets from when on sync looks after the source, once; returns the instant that counts."""
        return self._connections.run(lambda connection: recounts.hand_over(connection, source, at_ns))

    def handover(self, source: str) -> int | None:
        """From when on sync looks after the source, None before anybody asked it for its points."""
        return self._connections.run(lambda connection: recounts.handover(connection, source))

    def record_looks(self, looks: Sequence[Looked]) -> None:
        """Records that covered spans were asked about again."""
        if looks:
            self._connections.run(lambda connection: recounts.append(connection, looks))

    def looks(self, source: str, span: Interval, side: Side = "source") -> list[Looked]:
        """Of every (group, span) that overlaps `span` the newest look of either kind at the side, oldest first."""
        return self._connections.run(lambda connection: recounts.newest(connection, source, span, side))

    def watches(self, source: str) -> list[Watch]:
        """How far the change feed of each group was read."""
        return self._connections.run(lambda connection: watches.load(connection, source))

    def save_watch(self, watch: Watch) -> None:
        """Takes the place of the group's watch before."""
        self._connections.run(lambda connection: watches.save(connection, watch))

    def expire(self, source: str, span: Interval, reason: str) -> None:
        """Records that the store has forgotten the span by its TTL: it is no longer recounted."""
        self._connections.run(lambda connection: expiries.append(connection, source, span, reason, revokes=False))

    def revive(self, source: str, span: Interval, reason: str) -> None:
        """Takes back what was recorded as expired in the span: the store keeps it after all."""
        self._connections.run(lambda connection: expiries.append(connection, source, span, reason, revokes=True))

    def expired(self, source: str) -> list[Interval]:
        """Merged intervals that the store has forgotten."""
        return self._connections.run(lambda connection: expiries.standing(connection, source))

    def claim_landing(self, landing: str, place: str) -> tuple[str, str]:
        """The landing that this ledger is about, and where it was last: the given one, where it had none yet."""
        return self._connections.run(lambda connection: landings.claim(connection, landing, place))

    def landing(self) -> tuple[str, str] | None:
        """The landing that this ledger is about, and where it was last; None before anything was landed."""
        return self._connections.run(landings.newest)

    def bound(self) -> Bound:
        """Which store the proofs are about."""
        return self._connections.run(stores.bound)

    def record_opening(self, state: OpeningState, token: str | None, note: str = "") -> None:
        """Records that the store gets a token, has it (`open`), or that what answered is not our store (`refused`):
        nothing counts as covered then, until ours is open again."""
        self._connections.run(lambda connection: stores.append(connection, state, token, note))

    def opened_at(self, token: str) -> str | None:
        """When the store was given the token, ISO 8601; None for one that was never given."""
        return self._connections.run(lambda connection: stores.seen(connection, token))

    def covers_events(self) -> bool:
        """Whether something is proved of which a store must hold events."""
        return self._connections.run(stores.covers_events)

    def withdraw_all(self, reason: str) -> None:
        """Withdraws all coverage of all sources, in one transaction."""
        self._connections.run(lambda connection: stores.withdraw_all(connection, reason))

    def withdrawn(self, source: str, group: str, reason: str) -> list[Interval]:
        """What was withdrawn for that reason, and neither covered nor withdrawn for another one since."""
        return self._connections.run(lambda connection: stores.withdrawn(connection, source, group, reason))

    def annotations(self, source: str, span: Interval) -> pa.Table:
        """The annotations of the span's events, ANNOTATION_SCHEMA, by point and time."""
        return self._connections.run(lambda connection: noted.load(connection, source, span))

    def annotation_counts(self, source: str, span: Interval) -> AnnotationCounts:
        """How many events of the span are annotated, and what of that is lacking."""
        return self._connections.run(lambda connection: noted.count(connection, source, span))

    def save_attributes(
        self, source: str, kind: AttributeKind, table: pa.Table, kept: Collection[str] | None = None
    ) -> int:
        """Adds a version of each subject (ATTRIBUTE_SCHEMA) of which something changed; how many these are. With `kept`
        the table is of all there is, and what is neither in it nor in `kept` is gone."""
        return self._connections.run(lambda connection: attributes.save(connection, source, kind, table, kept))

    def attributes_version(self, source: str) -> int:
        """The number of the newest version of any attributes of the source, 0 where there is none."""
        return self._connections.run(lambda connection: attributes.newest(connection, source))

    def attributes_known(self, source: str, kind: AttributeKind) -> int:
        """Of how many points, or digital sets, attributes are known."""
        return self._connections.run(lambda connection: attributes.count(connection, source, kind))

    def attribute_values(self, source: str, kind: AttributeKind, take: Callable[[Iterator[pa.RecordBatch]], T]) -> T:
        """What `take` makes of all values, ATTRIBUTE_VALUE_SCHEMA, that come some rows at a time; it may be called
        twice."""
        return self._connections.run(lambda connection: take(attributes.values(connection, source, kind)))

    def attribute_changes(self, source: str) -> pa.Table:
        """What changed of attributes since they were first read, ATTRIBUTE_CHANGE_SCHEMA, oldest first."""
        return self._connections.run(lambda connection: attributes.changes(connection, source))

    def attribute_changes_since(
        self, source: str, version: int, limit: int
    ) -> list[tuple[str, str, str, str | None, str | None]]:
        """The first changes after a version: kind, subject, attribute, before, after."""
        return self._connections.run(lambda c: attributes.changes_since(c, source, version, limit))

    def save_journal(self, source: str, entries: pa.Table) -> int:
        """Adds what is new of the entries (JOURNAL_SCHEMA); how many of them now stand here as they were told."""
        return self._connections.run(lambda connection: journal.save(connection, source, entries))

    def compare_journal(self, source: str, span: Interval, counted: int, entries: int) -> None:
        """Records what the source counted of a span and what stands here of it, once all is done with it."""
        self._connections.run(lambda connection: journal.compare(connection, source, span, counted, entries))

    def journal(self, source: str, span: Interval) -> pa.Table:
        """The newest version of every journal entry in the span, JOURNAL_SCHEMA, by time."""
        return self._connections.run(lambda connection: journal.load(connection, source, span))

    def journal_entries(self, source: str, span: Interval) -> int:
        """How many journal entries there are in the span."""
        return self._connections.run(lambda connection: journal.number(connection, source, span))

    def alarms(self, source: str, span: Interval) -> pa.Table:
        """Alarms that began in the span, ALARM_SCHEMA, by their start."""
        return self._connections.run(lambda connection: journal.alarms(connection, source, span))

    def journal_closed(self, source: str, span: Interval, settled_ns: int) -> bool:
        """Whether all of the span was read after `settled_ns`, with as many entries as the source counted."""
        return self._connections.run(lambda connection: journal.is_closed(connection, source, span, settled_ns))

    def close(self) -> None:
        """Closes connections; leases end with their contexts. May be called twice."""
        self._connections.close()

    def _run_in(self, slice_id: SliceId, work: Work[T]) -> T:
        """Over the session of our lease that guards the slice, if there is one."""
        lease = self._guarding(slice_id)
        return lease.run(work) if lease else self._connections.run(work)

    def _guarding(self, slice_id: SliceId) -> PostgresLease | None:
        """The oldest: of two that overlap it is the one that was lost, and its holder may be the one who asks."""
        with self._lock:
            return next((each for each in self._leases if each.guards(slice_id)), None)
