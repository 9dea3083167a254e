"""Sessions shared by threads: each is lent to one thread at a time; transport retries live here and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa

from pipelines.ports import FerryError, Retry, Stop, Unreachable
from resources.iotdb.faults import EXECUTE_STATEMENT_ERROR, READ_ONLY, Fault, Fell, complaint_of, error_of
from resources.iotdb.layout import PROBE
from resources.iotdb.session import ROWS_AT_ONCE, Answer, Disconnected, Node, Session, Tablet
from resources.iotdb.statements import delete, run_of

_Result = TypeVar("_Result")
_ASKED_ROWS = 64
"""Of an answer to a person: nobody has counted how long the texts are that it may have."""
_NOT_LOGGED_IN = 802  # the server has forgotten the session


class Lost(Unreachable):
    """The connection broke while the server was asked: nobody knows whether it did what it was told."""


class Forgotten(Lost):
    """The server no longer knows the session, and did nothing."""


class Sessions:
    """All sessions of one store. Thread-safe. Every error it raises is a class of `ports`.

    `node_urls` are host:port of nodes of one cluster; the first that answers is used. `revive` has a server of ours
    that died up again and says where it listens now; nowhere where somebody stopped it.
    """

    def __init__(
        self,
        node_urls: Sequence[str],
        user: str,
        password: str,
        database: str,
        timeout_s: float = 300.0,
        revive: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        if not node_urls:
            raise Stop("the store names no IoTDB node: set [store] iotdb to host:port")
        self.database = database
        self._nodes = [_node(url) for url in node_urls]
        self._user = user
        self._password = password
        self._timeout_s = timeout_s
        self._revive = revive
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._fell_over: set[str] = set()
        self.broken = 0
        """How many connections were lost so far: what answers after that may be another server."""

    @property
    def where(self) -> str:
        """What an error message calls this store."""
        return f"IoTDB {', '.join(map(str, self._nodes))}, database {self.database}"

    def run(self, sql: str, doing: str) -> None:
        """Executes a statement that may be said twice. Raises Unreachable, Retry, NoRoom, Stop."""
        self._again(lambda session: session.run(sql), doing)

    def run_once(self, sql: str, doing: str) -> None:
        """Executes a statement that must not be said twice: a lost answer is a Retry, and the caller decides."""
        try:
            self._try(self._awake(), lambda mine: mine.run(sql), doing)
        except Lost as error:
            self._look_for_it()
            raise Retry(str(error), error.after_s) from None

    def query(self, sql: str, doing: str) -> pa.Table:
        """The result of a query, of which little is to come. Raises Unreachable, TooMuch, Retry, Stop."""
        return self._again(lambda session: session.query(sql), doing)

    def read(self, sql: str, doing: str, rows_at_once: int = ROWS_AT_ONCE) -> pa.Table:
        """The result of a query over events, which may be any number and size. Raises like `query`.

        A server that goes away over it is not asked the same again by this process: Fell, or Unreachable where it does
        not come back.
        """
        if sql in self._fell_over:
            raise Fell(f"{self.where}: it went away when it was asked this before, {doing}")
        try:
            return self._try(self._awake(), lambda session: session.query(sql, rows_at_once), doing)
        except Forgotten:
            return self._try(self._open(self.database), lambda session: session.query(sql, rows_at_once), doing)
        except Lost as error:
            self._fell_over.add(sql)
            self._look_for_it()
            raise Fell(f"{error} It is there again, and is not asked the same again") from None

    @contextmanager
    def asking(self, sql: str) -> Iterator[Answer]:
        """The answer to a person's query, as it comes. The query is all that the server is told.

        Raises Unreachable, Stop for what is wrong with the query, NoRoom where the server has not the memory for it.
        """
        session = self._awake()
        try:
            with session.reading(sql, _ASKED_ROWS) as answer:
                yield answer
        except Disconnected as lost:
            self._forget(session)
            raise Lost(self._broke("reading", lost), after_s=5.0) from None
        except Fault as fault:
            self._give_back(session)
            raise complaint_of(fault, self.where) from None
        except BaseException:
            session.close()
            raise
        self._give_back(session)

    def insert(self, tablet: Tablet, doing: str) -> None:
        """Upserts a tablet; saying it twice changes nothing. Raises Unreachable, Retry, NoRoom, Stop."""
        self._again(lambda session: session.insert(tablet), doing)

    def administer(self, action: Callable[[Session], _Result], doing: str) -> _Result:
        """Runs `action` in a session of its own that has no database yet."""
        session = self._open(None)
        try:
            return action(session)
        except Disconnected as lost:
            raise Lost(self._broke(doing, lost), after_s=5.0) from None
        except Fault as fault:
            raise error_of(fault, self.where, doing) from None
        finally:
            session.close()

    def close(self) -> None:
        """Closes what is idle; what is lent out closes when its thread is done with it."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _again(self, action: Callable[[Session], _Result], doing: str) -> _Result:
        try:
            return self._try(self._take(), action, doing)
        except Lost:
            pass
        return self._try(self._open(self.database), action, doing)

    def _try(self, session: Session, action: Callable[[Session], _Result], doing: str) -> _Result:
        try:
            result = action(session)
        except Disconnected as lost:
            self._forget(session)
            raise Lost(self._broke(doing, lost), after_s=5.0) from None
        except Fault as fault:
            if fault.code == _NOT_LOGGED_IN:
                self._forget(session)
                raise Forgotten(self._broke(doing, fault), after_s=5.0) from None
            error = self._error(session, fault, doing)
            self._give_back(session)
            raise error from None
        except BaseException:
            session.close()
            raise
        self._give_back(session)
        return result

    def _error(self, session: Session, fault: Fault, doing: str) -> FerryError:
        """The error of a fault. A refused tablet has one code for every reason, so then a write is tried that tells."""
        if fault.code == EXECUTE_STATEMENT_ERROR:
            nothing = run_of({"source": "nobody", "point": "", "tie": ""}, 0, 0)
            try:
                session.run(delete(self.database, PROBE, [nothing]))
            except Disconnected:
                pass
            except Fault as second:
                if second.code == READ_ONLY:
                    fault = second
        return error_of(fault, self.where, doing)

    def _take(self) -> Session:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._open(self.database)

    def _awake(self) -> Session:
        """A session that was seen to be connected just now."""
        session = self._take()
        try:
            session.ping()
        except Disconnected:
            self._forget(session)
            return self._open(self.database)
        return session

    def _give_back(self, session: Session) -> None:
        if session.open:
            with self._lock:
                self._idle.append(session)

    def _forget(self, session: Session) -> None:
        """Drops a session that was cut, and the idle ones: whatever cut it has cut them as well."""
        session.close()
        self.broken += 1
        self.close()

    def _look_for_it(self) -> None:
        """Raises Unreachable unless the server that a connection was lost to can be had again."""
        self._give_back(self._open(self.database))

    def _open(self, database: str | None) -> Session:
        refused: list[str] = []
        for node in self._addresses(refused):
            try:
                return Session(node, self._user, self._password, database, self._timeout_s)
            except Disconnected as lost:
                refused.append(f"{node}: {lost}")
            except Fault as fault:
                raise error_of(fault, self.where, "opening a session") from None
        raise Unreachable(
            f"{self.where}: no node answers ({'; '.join(refused)}). Start it (`ferry up` for the embedded one) "
            "or correct [store] iotdb",
            after_s=10.0,
        )

    def _addresses(self, refused: Sequence[str]) -> Iterator[Node]:
        """Where to try, one after another; when all have `refused`, where a server of ours was started again."""
        yield from self._nodes
        if refused and (urls := self._revive()):
            self._nodes = [_node(url) for url in urls]
            self.broken += 1
            yield from self._nodes

    def _broke(self, doing: str, cause: Exception) -> str:
        return f"{self.where}: the connection broke while {doing} ({cause}). Is IoTDB still up?"


def _node(url: str) -> Node:
    host, colon, port = url.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise Stop(f"{url!r} is not an IoTDB node: expected host:port, such as plant-db:6667")
    return Node(host.removeprefix("[").removesuffix("]"), int(port))
