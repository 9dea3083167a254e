"""Connections to one PostgreSQL: opened with limits, kept while idle, replaced once when the server was restarted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.ports import Stop, Unreachable
from resources.postgres.faults import domain_error, first_line, gone, refused
from resources.silence import Hangs, Silence

T = TypeVar("T")
_IDLE_MAX = 4
_LOOPBACK = frozenset({"", "127.0.0.1", "::1", "localhost"})
"""Hosts in a DSN that are this one; '' where it is the folder of a socket."""
_RESTART_S = 10.0
"""How long a server that we have known may take to come back before it counts as unreachable."""
_RESTART_POLL_S = 0.25
_CONNECT: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "client_encoding": "UTF8",
    "application_name": "historian-ferry",
}
_STATEMENT_S = 300
SESSION_S = _STATEMENT_S + 60.0
"""A session that says nothing for so long is stopped by itself: the server would have ended its statement before."""
_SESSION = {
    "statement_timeout": f"{_STATEMENT_S}s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "extra_float_digits": "1",  # shortest text that reads back as the same double
    # The server's side of a host that lost its power: its leases are free after about a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_SETTINGS = ("SELECT " + ", ".join(f"set_config('{k}', '{v}', false)" for k, v in _SESSION.items())).encode()


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever: a server that is stopped keeps its connections, and answers nothing."""

    address, limit_s = "", SESSION_S
    ping: Callable[[], object] = staticmethod(lambda: None)

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Like psycopg's. Raises Unreachable, and is closed then, when the server answers nobody any more."""
        return super().wait(self._listened(gen), interval, timeout)

    def _listened(self, gen: PQGen[T]) -> PQGen[T]:
        silence = None
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    silence = None
                else:
                    silence = silence or Silence(f"PostgreSQL at {self.address}", self.ping, self.limit_s)
                    silence.goes_on()
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        except Hangs as error:
            self.pgconn.finish()  # nothing is said on it any more: who waits for its ROLLBACK waits for ever
            raise Unreachable(f"PostgreSQL at {self.address} does not answer: {error}", 10.0) from error


Work = Callable[[Connection], T]


class Connections:
    """Lends connections to threads, one each. `dsn` is a libpq URL or keyword string; it appears in no message."""

    def __init__(self, dsn: str) -> None:
        try:
            given = conninfo_to_dict(dsn)
        except psycopg.Error:
            # libpq quotes the piece that it could not read, which may be the password: no cause.
            raise Stop("the ledger's DSN cannot be read: expected postgresql://user@host:port/database") from None
        self.address = f"{given.get('host') or given.get('hostaddr') or 'local socket'}:{given.get('port') or 5432}"
        self.on_this_host = str(given.get("host") or given.get("hostaddr") or "/").partition("/")[0] in _LOOPBACK
        self._dsn = make_conninfo(dsn, **{key: value for key, value in _CONNECT.items() if key not in given})
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._known = False
        self._closed = False

    def __repr__(self) -> str:
        return f"Connections({self.address})"

    def open(self) -> Connection:
        """A new connection, the caller's to close; waits some seconds for a server that it has met before.

        Raises Unreachable, Stop (refused: credentials, no such database).
        """
        deadline = time.monotonic() + (_RESTART_S if self._known else 0)
        while True:
            try:
                return self._connect()
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_RESTART_POLL_S)

    def run(self, work: Work[T]) -> T:
        """Does `work` in one transaction; once more on a new connection when the one at hand turned out dead.

        Nothing is tried again once COMMIT was sent: whether it was kept is then unknown, and the caller, whose
        steps bear being done twice, decides. Raises Unreachable, Retry, NoRoom, Stop, and what `work` raises.
        """
        connection = self._take()
        try:
            result = transact(connection, work)
        except psycopg.Error as error:
            if not gone(error, connection):
                self._give(connection)
                raise
            connection.close()
            self._drop_idle()
            connection = self.open()
            try:
                result = self._again(connection, work)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            connection.close()
            raise
        self._give(connection)
        return result

    def close(self) -> None:
        """Closes what is idle, and what is lent when it comes back."""
        self._closed = True
        self._drop_idle()

    def _again(self, connection: Connection, work: Work[T]) -> T:
        try:
            return transact(connection, work)
        except psycopg.OperationalError as error:
            raise Unreachable(f"PostgreSQL at {self.address} went away twice: {first_line(error)}", 5.0) from error

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.open()

    def _connect(self) -> Connection:
        if self._closed:
            raise Stop(f"the ledger's connections to {self.address} are closed")
        try:
            connection = Connection.connect(self._dsn)
            connection.address, connection.ping = self.address, self._ping
            connection.execute(_SETTINGS)
            connection.commit()
        except psycopg.OperationalError as error:
            if refused(error):
                raise Stop(f"PostgreSQL at {self.address} turns us away: {first_line(error)}") from error
            raise Unreachable(f"PostgreSQL at {self.address} does not answer: {first_line(error)}", 5.0) from error
        self._known = True
        return connection

    def _ping(self) -> None:
        psycopg.connect(self._dsn, connect_timeout=10).close()

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed and not connection.closed and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def transact(connection: Connection, work: Work[T]) -> T:
    """Does `work` and commits, or rolls back.

    Raises psycopg's error when the connection is gone before COMMIT was sent, or a statement of ours is at fault;
    Unreachable when it went with COMMIT; else the domain's.
    """
    try:
        result = work(connection)
    except psycopg.Error as error:
        if gone(error, connection):
            raise
        connection.rollback()
        known = domain_error(error)
        if known is None:
            raise
        raise known from error
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    try:
        connection.commit()
    except psycopg.Error as error:
        if not gone(error, connection):
            raise domain_error(error) or error from error
        raise Unreachable(
            f"PostgreSQL went away during a commit; whether it was kept is unknown: {first_line(error)}", 5.0
        ) from error
    return result
