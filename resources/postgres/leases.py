"""Leases as session locks of PostgreSQL: each has a connection of its own and ends with it, however it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import psycopg

from pipelines.ports import FerryError, Retry, SliceId
from pipelines.timeline import Interval
from resources.postgres import holders, identity, slices
from resources.postgres.connections import Connection, Connections, Work, transact
from resources.postgres.faults import first_line, gone
from resources.postgres.holders import LOCKS

T = TypeVar("T")
_AGAIN_S = 5.0
_POLL_S = 0.1
_HOLDER_BYTES = 63
"""PostgreSQL cuts application_name there (NAMEDATALEN - 1)."""


class PostgresLease:
    """Exclusive for what of the group overlaps the window, while its connection lives and nobody has fenced it.

    What it guards is committed over this same connection (`run`): a lost lease can't commit, because the server has
    ended the session that would. `token` numbers it among all rows of the ledger.
    """

    def __init__(
        self, connections: Connections, source: str, group: str, window: Interval, holder: str, patience_s: float = 0.0
    ) -> None:
        """Takes the lease over a new connection, which is closed when that fails.

        Raises Retry naming the holder when somebody else has it and keeps it for `patience_s` seconds. `holder` is
        shown as the session's application_name, cut to 63 bytes.
        """
        self.source, self.group, self.window = source, group, window
        self._holder = "".join(c if c.isascii() and c.isprintable() else "?" for c in holder)[:_HOLDER_BYTES]
        self._elsewhere = connections
        self._lock = threading.Lock()
        self._begun: set[SliceId] = set()
        self._unended = False
        self._unmarked: dict[SliceId, str] = {}
        self._connection = connections.open()
        try:
            self.token = self._taken(time.monotonic() + patience_s)
        except psycopg.Error as error:
            self._connection.close()
            raise self._lost(first_line(error)) from error
        except BaseException:
            self._connection.close()
            raise

    def __str__(self) -> str:
        return f"{self.source}/{self.group} {self.window}"

    def guards(self, slice_id: SliceId) -> bool:
        """Whether the slice lies in what is leased."""
        return (slice_id.source, slice_id.group) == (self.source, self.group) and self.window.contains(slice_id.span)

    def check(self) -> None:
        """Raises Retry if the lease is no longer ours: the connection or the server died, a pooler shares it, or
        somebody has fenced it."""
        self._transact(lambda connection: self._still(connection, "held"))

    @contextmanager
    def changing(self, slice_id: SliceId, run_id: str = "") -> Iterator[None]:
        """Around one change of the store inside the slice's span. Its coverage is withdrawn before the first one.

        Raises Retry when the lease was lost before: nothing may be changed then. And when it was lost meanwhile: the
        span is then withdrawn, whoever has proved it since. Where that cannot be said to the ledger any more, the lease
        stays there as one that never ended.
        """
        if slice_id in self._begun:
            self.check()
        else:
            self._unended = True  # also where it is not known whether this was committed
            self.run(lambda connection: self._begin(connection, slice_id, run_id))
            self._begun.add(slice_id)
        try:
            yield
        finally:
            try:
                self.check()
            except FerryError:
                self._unmarked[slice_id] = run_id
                with suppress(psycopg.Error, FerryError):  # once more when it is given back
                    self._leave_marks()
                raise

    def commit(self, slice_id: SliceId, work: Work[T]) -> T:
        """`run` for work that ends what was begun in the slice's span."""
        values = {**slices.slice_row(slice_id), "token": self.token}

        def settling(connection: Connection) -> T:
            result = work(connection)
            connection.execute(LOCKS["settle"], values)
            return result

        result = self.run(settling)
        self._begun.discard(slice_id)
        return result

    def run(self, work: Work[T]) -> T:
        """Does `work` in one transaction of the lease's session. Raises Retry when it is lost; else like transact."""

        def held(connection: Connection) -> T:
            self._still(connection, "held_on")
            return work(connection)

        return self._transact(held)

    def free(self) -> None:
        """Gives the lease back: no change of the store is under way any more, nor will there be one."""
        with suppress(psycopg.Error, FerryError):
            self._leave_marks()
            with self._lock:
                if not self._connection.closed:
                    # Explicitly, so that it is free on return: the server notices a closed connection a little later.
                    transact(self._connection, self._end)
                    self._unended = False
        self._connection.close()
        if self._unended and not self._unmarked:
            with suppress(psycopg.Error, FerryError):
                self._elsewhere.run(self._forget)

    def _taken(self, until_s: float) -> int:
        while True:
            token, blocker = transact(self._connection, self._take)
            if token is not None:
                return token
            if time.monotonic() >= until_s:
                raise Retry(f"{self} is being worked on by {blocker}", _AGAIN_S)
            time.sleep(_POLL_S)

    def _take(self, connection: Connection) -> tuple[int | None, str]:
        if blocker := holders.blocker(connection, self.source, self.group, self.window):
            return None, blocker
        row = {
            **slices.span_row(self.source, self.group, self.window),
            **identity.own()._asdict(),
            "holder": self._holder,
        }
        token: int = slices.one(connection, LOCKS["take"], row)
        connection.execute(LOCKS["hold"], {"token": token, "holder": self._holder})
        return token, ""

    def _begin(self, connection: Connection, slice_id: SliceId, run_id: str) -> None:
        slices.lock_group(connection, slice_id.source, slice_id.group)
        slices.withdraw(connection, slices.slice_row(slice_id), f"being written under lease {self.token}", run_id)
        connection.execute(LOCKS["begin"], {**slices.slice_row(slice_id), "token": self.token})

    def _leave_marks(self) -> None:
        reason = holders.wrote_after(self._holder, self.token)
        for slice_id, run_id in list(self._unmarked.items()):
            self._elsewhere.run(partial(holders.disown, slice_id=slice_id, reason=reason, run_id=run_id))
            self._unmarked.pop(slice_id, None)

    def _end(self, connection: Connection) -> None:
        self._forget(connection)
        connection.execute(LOCKS["free"], {"token": self.token})

    def _forget(self, connection: Connection) -> None:
        connection.execute(LOCKS["forget"], {"token": self.token})

    def _still(self, connection: Connection, held: str) -> None:
        if connection.execute(LOCKS[held], {"token": self.token}).fetchone() is None:
            raise self._lost("the server does not list it")

    def _transact(self, work: Work[T]) -> T:
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

    def _lost(self, why: str) -> Retry:
        return Retry(f"the lease on {self} was lost: {why}", _AGAIN_S)
