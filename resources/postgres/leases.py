"""Leases as session locks of PostgreSQL: each has a connection of its own and ends with it, however it ends."""

from __future__ import annotations

import threading
import time
from typing import TypeVar

import psycopg

import sql
from pipelines.ports import FerryError, Retry, SliceId
from pipelines.timeline import Interval
from resources.postgres.connections import Connection, Work, transact
from resources.postgres.faults import first_line, gone

T = TypeVar("T")
_LOCKS = {name: text.encode() for name, text in sql.statements("ledger/locks.sql").items()}
_AGAIN_S = 5.0
_POLL_S = 0.1
_HOLDER_BYTES = 63
"""PostgreSQL cuts application_name there (NAMEDATALEN - 1)."""


class PostgresLease:
    """Exclusive for (source, group, window) while its connection lives.

    What it guards is committed over this same connection (`run`): a lost lease can't commit, because the server has
    ended the session that would.
    """

    def __init__(
        self, connection: Connection, source: str, group: str, window: Interval, holder: str, patience_s: float = 0.0
    ) -> None:
        """Takes the lease over a new connection, which is closed when that fails.

        Raises Retry naming the holder when somebody else has it and keeps it for `patience_s` seconds. `holder` is
        shown as the session's application_name, cut to 63 bytes.
        """
        self.source, self.group, self.window = source, group, window
        self._connection = connection
        self._lock = threading.Lock()
        self._name = {"name": "\x1f".join(("lease", source, group, str(window.start_ns), str(window.end_ns)))}
        shown = holder.encode("ascii", "replace")[:_HOLDER_BYTES].decode()
        try:
            deadline_s = time.monotonic() + patience_s
            while not self._taken(shown):
                if time.monotonic() >= deadline_s:
                    raise Retry(f"{self} is being worked on by {self._other()}", _AGAIN_S)
                time.sleep(_POLL_S)
        except psycopg.Error as error:
            connection.close()
            raise self._lost(first_line(error)) from error
        except BaseException:
            connection.close()
            raise

    def _taken(self, holder: str) -> bool:
        row = transact(
            self._connection, lambda c: c.execute(_LOCKS["take"], {**self._name, "holder": holder}).fetchone()
        )
        return bool(row and row[0])

    def __str__(self) -> str:
        return f"{self.source}/{self.group} {self.window}"

    def guards(self, slice_id: SliceId) -> bool:
        """Whether the slice lies in what is leased."""
        return (slice_id.source, slice_id.group) == (self.source, self.group) and self.window.contains(slice_id.span)

    def check(self) -> None:
        """Raises Retry if the lease is no longer ours: the connection or the server died, or a pooler shares it."""
        row = self.run(lambda connection: connection.execute(_LOCKS["held"], self._name).fetchone())
        if not (row and row[0]):
            raise self._lost("the server does not list it")

    def run(self, work: Work[T]) -> T:
        """Does `work` in one transaction of the lease's session. Raises Retry when it is lost; else like transact."""
        with self._lock:
            if self._connection.closed:
                raise self._lost("its connection is closed")
            try:
                return transact(self._connection, work)
            except psycopg.Error as error:
                if not gone(error, self._connection):
                    raise
                self._connection.close()
                raise self._lost(first_line(error)) from error

    def free(self) -> None:
        """Gives the lease back; nothing happens when it is lost already."""
        with self._lock:
            try:
                if not self._connection.closed:
                    # Explicitly, so that it is free on return: the server notices a closed connection a little later.
                    transact(self._connection, lambda c: c.execute(_LOCKS["free"], self._name))
            except (psycopg.Error, FerryError):
                pass  # a dead session holds no lock
            finally:
                self._connection.close()

    def _other(self) -> str:
        row = transact(self._connection, lambda c: c.execute(_LOCKS["holder"], self._name).fetchone())
        if row is None:
            return "somebody who has just finished"
        return f"{row[0] or 'a session of another user'} (its session began at {row[1] or 'an unknown time'})"

    def _lost(self, why: str) -> Retry:
        return Retry(f"the lease on {self} was lost: {why}", _AGAIN_S)
