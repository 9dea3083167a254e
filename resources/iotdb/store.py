"""IoTDB as the domain's Store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.plant import Retention, expiry_ns
from pipelines.points import Point
from pipelines.timeline import Interval
from resources.iotdb.aggregates import aggregate_rows, vanished
from resources.iotdb.catalogue import point_rows
from resources.iotdb.deletions import delete_rows
from resources.iotdb.disk import Disk
from resources.iotdb.identity import Identity, holds_events, read_identity, write_identity
from resources.iotdb.latest import latest_events
from resources.iotdb.layout import IDENTITY, POINTS, SAMPLES, STATES, Table, aggregate_table, database_name
from resources.iotdb.preparation import (
    Writer,
    create_database,
    create_table,
    keep_for,
    probed_writer,
    read_clock,
    read_kept,
    read_now,
)
from resources.iotdb.rows import rows_of
from resources.iotdb.scans import stored_events
from resources.iotdb.sessions import Sessions
from resources.iotdb.tablets import TabletWriter
from resources.iotdb.tallies import held_points, stored_tally


class IoTDBStore:
    """Events, points and aggregates of one plant in one IoTDB database. Thread-safe; all calls block.

    `node_urls` are host:port of one cluster's nodes; `staging_dir` is a folder that this host and the server both
    see, or None. `disk` is what it writes to, where that is ours, and `revive` starts it again (see Sessions). `vouch`
    is asked whether it is still the same store once a connection broke. `prepare` comes before anything else.
    """

    def __init__(
        self,
        node_urls: Sequence[str],
        user: str,
        password: str,
        database: str,
        staging_dir: Path | None = None,
        allow_coarse_clock: bool = False,
        retention: Retention | None = None,
        disk: Disk | None = None,
        vouch: Callable[[], None] = lambda: None,
        revive: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.clock_ns = 1
        """Resolution of its timestamps, nanoseconds; the server's own after `prepare`."""
        self.writer_name = ""
        """`load` or `tablets`, after `prepare`; `writer_reason` says why."""
        self.writer_reason = ""
        self._sessions = Sessions(node_urls, user, password, database_name(database), revive=revive)
        self._staging = staging_dir
        self._disk = disk
        self._vouch = vouch
        self._vouched = 0
        self._allow_coarse_clock = allow_coarse_clock
        keep = retention or Retention()
        self._keep_ns = {SAMPLES.name: keep.raw, STATES.name: keep.raw, "agg_1m": keep.minutes}
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._aggregates: set[str] = set()

    def prepare(self) -> None:
        """Database and tables exist afterwards, and a writer was seen to work.

        Raises Unreachable, NoRoom, and Stop: log-in, a coarse clock that is not allowed, tables that are not ours.
        """
        with self._lock:
            if self._writer is not None:
                return
            self.clock_ns = read_clock(self._sessions, self._allow_coarse_clock)
            create_database(self._sessions)
            for table in (SAMPLES, STATES, POINTS, IDENTITY):
                create_table(self._sessions, table)
                keep_for(self._sessions, table, self._keep_ns.get(table.name))
            writer, self.writer_reason = probed_writer(self._sessions, self._staging)
            self.writer_name = writer.name
            self._writer = writer

    @property
    def where(self) -> str:
        """What a message calls it: its nodes and its database."""
        return self._sessions.where

    def identity(self) -> Identity | None:
        """Which store it is, None where nobody has said yet. Needs no `prepare`, and changes nothing."""
        return read_identity(self._sessions)

    def holds_events(self) -> bool:
        """Whether there is an event of any source. Needs no `prepare`, and changes nothing."""
        return holds_events(self._sessions)

    def identify(self, identity: Identity) -> None:
        """Makes it that store, once for all who read it; outlives a power cut where its disk is ours."""
        self._prepared()
        write_identity(self._sessions, identity)
        if self._disk is not None:
            self._disk.sync()

    def now_ns(self) -> int | None:
        """Its own clock, ns UTC, in whole milliseconds; None where it does not tell. Raises Retry."""
        return read_now(self._sessions)

    def keeps_ns(self) -> int | None:
        """How long it keeps events, by its tables' own TTL; None for ever, or not the same for all. Raises Retry."""
        kept = {read_kept(self._sessions).get(table.name) for table in (SAMPLES, STATES)}
        return kept.pop() if len(kept) == 1 else None

    def write(self, source: str, samples: pa.Table) -> None:
        """Upserts ordered events in SCHEMA; they survive kill -9 on return.

        Raises Retry (what was sent may be stored all the same: replace the window), NoRoom, Stop; ValueError for
        events that break SCHEMA's rules.
        """
        writer = self._prepared()
        for table, rows in rows_of(source, samples, self.clock_ns):
            writer.write(table, rows)
        writer.settle()

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        """What it holds per point, by IoTDB's own aggregates: see ports.Store. Raises Skip, Retry, Stop."""
        return stored_tally(self._sessions, source, points, span, self.clock_ns)

    def held(self, source: str) -> pa.Table:
        """All points that it holds events of, whoever wrote them: point string, events, first_ns, last_ns int64.

        Raises Retry, Stop.
        """
        return held_points(self._sessions, source, self.clock_ns)

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        """Every event it holds, ordered, in SCHEMA; each point whole in one table.

        Raises Skip for a point that cannot be read, Retry, Stop.
        """
        return stored_events(self._sessions, source, points, span, self.clock_ns)

    def latest(self, source: str, points: Sequence[str]) -> pa.Table:
        """The newest event of each point, of ties the last, in SCHEMA; points without events have no row.

        Raises Retry, Stop.
        """
        return latest_events(self._sessions, source, points, self.clock_ns)

    def delete(self, source: str, events: pa.Table) -> None:
        """Deletes exactly the rows of `events` (SCHEMA: point, time, tie, and which table by `value`). Durable.

        Raises Retry when the rows are still there, Stop.
        """
        for table, rows in rows_of(source, events, self.clock_ns):
            delete_rows(self._sessions, table, rows, self.clock_ns)

    def sync(self) -> None:
        """What was written and deleted before outlives a power cut, where its disk is ours. Raises NoRoom, Retry; and
        Stop when connections broke and it is another store that answers since."""
        if self._sessions.broken != self._vouched:
            broken = self._sessions.broken
            self._vouch()
            self._vouched = broken
        if self._disk is not None:
            self._disk.sync()

    def write_points(self, source: str, points: Sequence[Point]) -> None:
        """Upserts the `points` table: names, units, types, limits (NaN for a limit that is not known).

        Always by tablets: a few thousand rows, and names are not ASCII.
        """
        self._prepared()
        writer = TabletWriter(self._sessions)
        writer.write(POINTS, point_rows(source, points))
        writer.settle()

    def write_aggregates(
        self,
        source: str,
        interval: str,
        rows: pa.Table,
        replace: Interval | None = None,
        points: Sequence[str] | None = None,
    ) -> None:
        """Upserts `agg_<interval>` rows: point string, time timestamp[ns, UTC] (start), DOUBLE and INT64 columns.

        With `replace`, stored aggregates of `points` (None: of the whole source) in that span that `rows` lacks are
        deleted, after the new ones are durable. Null doubles become NaN. Raises Retry, NoRoom, Stop.
        """
        writer = self._prepared()
        table = aggregate_table(interval, rows.schema)
        with self._lock:
            if table.name not in self._aggregates:
                create_table(self._sessions, table)
                keep_for(self._sessions, table, self._keep_ns.get(table.name))
                self._aggregates.add(table.name)
        rows, replace = self._remembered(table, rows, replace)
        made = aggregate_rows(source, table, rows, self.clock_ns)
        if len(made):
            writer.write(table, made)
            writer.settle()
        if replace is not None:
            gone = vanished(self._sessions, source, table, made, replace, points, self.clock_ns)
            delete_rows(self._sessions, table, gone, self.clock_ns)

    def close(self) -> None:
        """Closes sessions; may be called twice."""
        self._sessions.close()
        if self._disk is not None:
            self._disk.close()

    def _remembered(self, table: Table, rows: pa.Table, replace: Interval | None) -> tuple[pa.Table, Interval | None]:
        """What of the rows and of the span the table's retention keeps: older ones would be refused, or lost."""
        keep_ns = self._keep_ns.get(table.name)
        if keep_ns is None:
            return rows, replace
        edge_ns = expiry_ns(time.time_ns(), keep_ns)
        rows = rows.filter(pc.greater_equal(rows["time"].cast(pa.int64()), edge_ns))
        return rows, replace and replace.intersect(Interval(edge_ns, 2**63 - 1))

    def _prepared(self) -> Writer:
        if self._writer is None:
            self.prepare()
        assert self._writer is not None
        return self._writer
