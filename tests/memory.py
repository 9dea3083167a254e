"""A source, a store and a ledger in memory, for tests of the domain's flow. Every call may be made to fail."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import samples
from pipelines.ledger import COUNTS
from pipelines.points import Point
from pipelines.ports import (
    ANNOTATION_SCHEMA,
    PROOF_SCHEMA,
    PULL_BYTES,
    AnnotationCounts,
    Changes,
    Exclusion,
    Known,
    Looked,
    Pulled,
    Retry,
    SliceId,
    SliceRecord,
    SourceTally,
    Split,
    Watch,
)
from pipelines.reconcile import with_silent
from pipelines.timeline import Interval, merge, subtract
from pipelines.transfer.generations import within
from tests.leases import MemoryLease, blocker

Hook = Callable[[str], None]


def quiet(_: str) -> None:
    return None


class MemorySource:
    """Holds events in a table; `gone` points are refused, `lies` changes what the count says."""

    def __init__(self, name: str, points: Sequence[Point], events: pa.Table, hook: Hook = quiet) -> None:
        self.name, self.points, self.events, self.hook = name, list(points), events, hook
        self.gone: set[str] = set()
        self.lies: dict[str, int] = {}
        self.pulls = 0

    async def discover(self) -> list[Point]:
        return self.points

    def _of(self, points: Sequence[Point], span: Interval) -> pa.Table:
        ids = pa.array([p.id for p in points if p.id not in self.gone], pa.string())
        return within(self.events.filter(pc.is_in(self.events["point"].cast(pa.string()), value_set=ids)), span)

    async def pull(
        self, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int = PULL_BYTES
    ) -> AsyncIterator[Pulled]:
        self.hook("pull")
        self.pulls += 1
        for start in range(0, len(points), 2):
            some = points[start : start + 2]
            table = self._of(some, span)
            if len(table) > max_events or samples.besides_longest(table) > max_bytes:
                raise Split("too many", samples.crowded_ns([samples.times_ns(table)]))
            failed = {p.id: "not found at the source" for p in some if p.id in self.gone}
            yield Pulled(samples.ordered(table), tuple(p.id for p in some if p.id not in self.gone), failed)

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        self.hook("tally")
        told = [p.id for p in points if p.id not in self.gone]
        table = with_silent(self._of(points, span), told)
        events = [
            row["events"] + self.lies.get(row["point"], 0) for row in table.select(["point", "events"]).to_pylist()
        ]
        said = table.select(["point"]).append_column("events", pa.array(events, pa.int64()))
        return SourceTally(said, "independent", {p.id: "not found at the source" for p in points if p.id in self.gone})

    async def close(self) -> None:
        return None


class TellingSource(MemorySource):
    """Tells what was changed: `log` has (point, stamp) of every change, and a marker is a place in it."""

    def __init__(self, name: str, points: Sequence[Point], events: pa.Table, hook: Hook = quiet) -> None:
        super().__init__(name, points, events, hook)
        self.log: list[tuple[str, int]] = []
        self.first = 0

    def forget(self) -> None:
        """No marker that was given until now is known any more."""
        self.first = len(self.log) + 1
        self.log.append(("", 0))

    async def changes(self, points: Sequence[Point], markers: Mapping[str, str]) -> Changes:
        self.hook("changes")
        known = {p.id: int(markers[p.id]) for p in points if int(markers.get(p.id, -1)) >= self.first}
        times = {each: [stamp for point, stamp in self.log[place:] if point == each] for each, place in known.items()}
        holes = frozenset(p.id for p in points) - known.keys()
        self.hook("told")
        return Changes(times, {p.id: str(len(self.log)) for p in points}, holes)


class MemoryStore:
    """Upserts by (point, time, tie, table), as IoTDB does. `forget` loses rows although they were accepted."""

    def __init__(self, hook: Hook = quiet, clock_ns: int = 1) -> None:
        self.rows: dict[tuple, dict] = {}
        self.hook, self.clock_ns = hook, clock_ns
        self.forget = 0
        self.disk: dict[tuple, dict] = {}
        """What a power cut leaves."""

    def prepare(self) -> None:
        return None

    def write(self, source: str, events: pa.Table) -> None:
        self.hook("write before")
        rows = events.cast(samples.SCHEMA).to_pylist()
        half = len(rows) // 2
        for index, row in enumerate(rows):
            if index == half:
                self.hook("write half")
            if self.forget:
                self.forget -= 1
                continue
            self.rows[self._key(source, row)] = row
        self.hook("write after")

    @staticmethod
    def _key(source: str, row: dict) -> tuple:
        return (source, row["point"], row["time"].value, row["tie"], row["value"] is not None)

    def _table(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        wanted = set(points)
        rows = [
            row for key, row in self.rows.items()
            if key[0] == source and key[1] in wanted and span.start_ns <= key[2] < span.end_ns
        ]  # fmt: skip
        return samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA)) if rows else samples.empty()

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        self.hook("store tally")
        table = samples.tally(self._table(source, points, span), number_digest=True)
        place = samples.TALLY_SCHEMA.get_field_index("digest")
        return table.set_column(place, samples.TALLY_SCHEMA.field(place), pa.nulls(len(table), pa.int64()))

    def held(self, source: str) -> pa.Table:
        keys = [key for key in self.rows if key[0] == source]
        table = pa.table(
            {
                "point": pa.array([key[1] for key in keys], pa.string()),
                "ns": pa.array([key[2] for key in keys], pa.int64()),
            }
        )
        found = table.group_by("point").aggregate([("ns", "count"), ("ns", "min"), ("ns", "max")])
        return found.rename_columns(["point", "events", "first_ns", "last_ns"])

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        self.hook("store read")
        yield self._table(source, points, span)

    def latest(self, source: str, points: Sequence[str]) -> pa.Table:
        newest = {
            key[1]: row for key, row in sorted(self.rows.items(), key=lambda each: each[0][2:4])
            if key[0] == source and key[1] in points
        }  # fmt: skip
        return samples.ordered(pa.Table.from_pylist(list(newest.values()), schema=samples.SCHEMA))

    def delete(self, source: str, events: pa.Table) -> None:
        for row in events.to_pylist():
            self.hook("delete")
            self.rows.pop(self._key(source, row), None)

    def write_points(self, source: str, points: Sequence[Point]) -> None:
        return None

    def sync(self) -> None:
        self.hook("sync")
        self.disk = dict(self.rows)
        self.hook("synced")

    def close(self) -> None:
        return None


class MemoryLedger:
    """The append-only ledger as lists."""

    def __init__(self, hook: Hook = quiet) -> None:
        self.hook = hook
        self.slices: list[SliceRecord] = []
        self.standing: list[SliceRecord] = []
        self.covering: dict[tuple[str, str], list[Interval]] = {}
        self.open: list[Exclusion] = []
        self.proof_rows: list[tuple[SliceId, pa.Table]] = []
        self.accepted: list[SliceId] = []
        self.held: list[MemoryLease] = []
        self.quiet = False
        """Whether sessions that are gone have been gone for long."""
        self.mine: list[MemoryLease] = []
        self.dead = False
        self.forgotten: list[Interval] = []
        self.claimed: tuple[str, str] | None = None
        self.looked: list[Looked] = []
        self.handed: dict[str, int] = {}
        self.watched: dict[tuple[str, str], Watch] = {}
        self.seq = 0
        self.points: list[Point] = []
        self.noted: list[tuple[SliceId, pa.Table]] = []
        self.proofs_by_seq: dict[int, pa.Table] = {}
        self.alone = threading.RLock()  # slices commit from several threads
        self.tokens = itertools.count(1)

    def restart(self) -> None:
        """Every session ends, and no process."""
        for each in self.held:
            each.lost = True

    @contextlib.contextmanager
    def lease(
        self, source: str, group: str, window: Interval, holder: str, patience_s: float = 0.0
    ) -> Iterator[MemoryLease]:
        with self.alone:
            if other := blocker(self.held, source, group, window, self.quiet):
                raise Retry(f"{source}/{group} {window} is held by {other}")
            lease = MemoryLease(self, source, group, window, next(self.tokens))
            self.held.append(lease)
            self.mine.append(lease)
        try:
            yield lease
        finally:
            self.mine.remove(lease)
            lease.free()

    def forget(self, lease: MemoryLease) -> None:
        with self.alone:
            if lease in self.held:
                self.held.remove(lease)

    def disown(self, slice_id: SliceId) -> None:
        """Withdraws what was written into without a lease."""
        with self.alone:
            for each in self.held:
                if (each.source, each.group) == (slice_id.source, slice_id.group):
                    each.fenced |= each.window.overlaps(slice_id.span)
            self.uncover(slice_id)

    def _guarding(self, slice_id: SliceId) -> MemoryLease | None:
        """Our lease on the slice, if there is one. Raises Retry when it was lost."""
        lease = next((each for each in self.mine if each.guards(slice_id)), None)
        if lease:
            lease.still()
        return lease

    clock_name, on_this_host = "the ledger", False

    def now_ns(self) -> int:
        return time.time_ns()

    def landing(self) -> tuple[str, str] | None:
        return self.claimed

    def claim_landing(self, landing: str, place: str) -> tuple[str, str]:
        self.claimed = self.claimed or (landing, place)
        return self.claimed

    def ahead(self, source: str, group: str, now_ns: int) -> Interval | None:
        covered = self.coverage(source, group)
        return Interval(now_ns, covered[-1].end_ns) if covered and covered[-1].end_ns > now_ns else None

    def revive(self, source: str, span: Interval, reason: str) -> None:
        self.forgotten = subtract(self.forgotten, [span])

    def expire(self, source: str, span: Interval, reason: str) -> None:
        self.forgotten = merge([*self.forgotten, span])

    def expired(self, source: str) -> list[Interval]:
        return self.forgotten

    def record(self, records: Sequence[SliceRecord]) -> None:
        self.hook("record")
        with self.alone:
            if records and records[0].state != "retry_at":
                self._guarding(records[0].slice)
            for record in records:
                self._append(record)
        self.hook("recorded")

    def _number(self) -> int:
        self.seq += 1
        return self.seq

    def _append(self, new: SliceRecord) -> None:
        new = replace(new, seq=self._number())
        if new.state in COUNTS and new.generation:
            self.standing = [
                r for r in self.standing
                if (r.slice.source, r.slice.group) != (new.slice.source, new.slice.group)
                or not new.slice.span.contains(r.slice.span)
            ]  # fmt: skip
        self.slices.append(new)
        self.standing.append(new)

    def history(self, source: str, group: str | None, span: Interval, *, replaced: bool = False) -> list[SliceRecord]:
        return [
            r for r in (self.slices if replaced else self.standing)
            if r.slice.source == source and group in (None, r.slice.group) and r.slice.span.overlaps(span)
        ]  # fmt: skip

    def moved(self, source: str, limit: int = 2_000) -> list[SliceRecord]:
        found = [
            r for r in self.slices if r.slice.source == source and r.state == "verified" and r.run_id and not r.note
        ]
        return found[::-1][:limit]

    def exclude(self, exclusions: Sequence[Exclusion]) -> None:
        self.open += exclusions

    def hand_over(self, source: str, at_ns: int) -> int:
        return self.handed.setdefault(source, at_ns)

    def handover(self, source: str) -> int | None:
        return self.handed.get(source)

    def watches(self, source: str) -> list[Watch]:
        return [watch for (of_source, _), watch in self.watched.items() if of_source == source]

    def save_watch(self, watch: Watch) -> None:
        self.hook("watch")
        self.watched[watch.source, watch.group] = watch

    def record_looks(self, looks: Sequence[Looked]) -> None:
        self.hook("looked")
        self.looked += [replace(each, seq=self._number()) for each in looks]

    def looks(self, source: str, span: Interval, side: str = "source") -> list[Looked]:
        return [
            each for each in self.looked if each.source == source and each.side == side and each.span.overlaps(span)
        ]

    def proofs_of(self, record: SliceRecord) -> pa.Table:
        return self.proofs_by_seq.get(record.seq, PROOF_SCHEMA.empty_table())

    def grouped(self, source: str) -> list[tuple[str, str]]:
        return [
            (point, slice_id.group)
            for slice_id, proofs in self.proof_rows if slice_id.source == source
            for point in proofs["point"].to_pylist()
        ]  # fmt: skip

    def known_points(self, source: str) -> list[Point]:
        return self.points

    def known(self, source: str, groups: int) -> Known:
        return Known(0, groups)

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
        self.hook("commit")
        with self.alone:
            s = record.slice
            lease = self._guarding(s)
            self._append(record)
            kept_rows = proofs if keep_proofs else proofs.filter(pc.equal(proofs["proof"], "none"))
            self.proof_rows.append((s, kept_rows))
            self.proofs_by_seq[self.seq] = kept_rows
            kept = []
            for each in self.open:
                if (each.source, each.group) != (s.source, s.group):
                    kept.append(each)
                    continue
                rest = subtract([each.span], [s.span])
                kept += [Exclusion(each.source, each.group, each.point, part, each.reason) for part in rest]
            self.open = [*kept, *exclusions]
            if annotations is not None:
                self.noted.append((s, annotations))
            key = (s.source, s.group)
            self.covering[key] = merge([*self.covering.get(key, []), s.span])
            if lease:
                lease.settle(s.span)
        self.hook("committed")

    def annotations(self, source: str, span: Interval) -> pa.Table:
        return pa.concat_tables([ANNOTATION_SCHEMA.empty_table(), *(table for _, table in self.noted)])

    def annotation_counts(self, source: str, span: Interval) -> AnnotationCounts:
        return AnnotationCounts(len(self.annotations(source, span)), len(self.annotations(source, span)))

    def attributes_version(self, source: str) -> int:
        return 0

    def withdraw(self, slice_id: SliceId, reason: str, run_id: str = "") -> None:
        self.hook("withdraw")
        with self.alone:
            self._guarding(slice_id)
            self.uncover(slice_id)

    def uncover(self, slice_id: SliceId) -> None:
        key = (slice_id.source, slice_id.group)
        self.covering[key] = subtract(self.covering.get(key, []), [slice_id.span])

    def coverage(self, source: str, group: str) -> list[Interval]:
        return self.covering.get((source, group), [])

    def exclusions(self, source: str, group: str | None, span: Interval) -> list[Exclusion]:
        return [e for e in self.open if e.source == source and group in (None, e.group) and e.span.overlaps(span)]

    def since_acceptance(self, slice_id: SliceId) -> list[SliceRecord]:
        if any(each.group == slice_id.group and each.span.overlaps(slice_id.span) for each in self.accepted):
            return []
        history = self.history(slice_id.source, slice_id.group, slice_id.span, replaced=True)
        return [record for record in history if record.state in COUNTS]

    def loss_accepted(self, slice_id: SliceId) -> bool:
        return any(
            (a.source, a.group) == (slice_id.source, slice_id.group) and a.span.contains(slice_id.span)
            for a in self.accepted
        )


class BesideLedger(MemoryLedger):
    """The same ledger, as another process has it: leases of its own, calls that may be made to fail, and an end."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.__dict__.update(ledger=ledger, hook=quiet, mine=[], dead=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["ledger"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            self.__dict__[name] = value
        else:
            setattr(self.__dict__["ledger"], name, value)
