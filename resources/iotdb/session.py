"""One session with one IoTDB node: statements, queries as Arrow, tablets. Not thread-safe; see `sessions`.

It speaks through the generated RPC classes of apache-iotdb, not through its Session: that one sends a statement a
second time on its own (a LOAD of the same path again loses rows, facts/iotdb.md trap 2), decodes a result by rows,
and has no deadline.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from iotdb.thrift.rpc import ttypes
from iotdb.thrift.rpc.IClientRPCService import Client
from thrift import Thrift  # type: ignore[import-untyped]
from thrift.protocol import TBinaryProtocol  # type: ignore[import-untyped]
from thrift.transport import TSocket, TTransport  # type: ignore[import-untyped]

from pipelines.ports import Stop
from resources.iotdb.blocks import ARROW_TYPES, read_block
from resources.iotdb.faults import FRAME_OVERSIZE, Fault, fault_of
from resources.silence import SAY_AFTER_S, Hangs, Silence

CONNECT_TIMEOUT_S = 10.0
_FIRST_FETCH_ROWS = 500
_FETCH_BYTES = 8 << 20
ROWS_AT_ONCE = 200_000
CLOCKS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
"""Nanoseconds of one step of a clock, by the server's timestamp_precision."""
_RESULT_BYTES = 128 << 20
_FRAME_BYTES = 256 << 20  # more than one answer at once: somebody stored very long texts

# Thrift logs every refused connection by itself, to stderr where no logging is set up; our errors say it better.
logging.getLogger("thrift").addHandler(logging.NullHandler())


class Disconnected(Exception):
    """The connection failed; whether the server did what was asked is not known."""


@dataclass(frozen=True, slots=True)
class Tablet:
    """Rows of one table as the server takes them: columns one after the other, big-endian, no null bitmaps."""

    table: str
    columns: tuple[str, ...]
    types: tuple[int, ...]
    categories: tuple[int, ...]
    rows: int
    times: bytes
    values: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query answers: names and IoTDB types of its columns, and its rows as they come from the server.

    Strings are dictionaries, times are int64 in the server's clock.
    """

    names: list[str]
    types: list[str]
    parts: Iterator[list[pa.Array]]
    """The columns of some rows at a time, about _FETCH_BYTES of them in memory at once."""
    clock_ns: int | None
    """Nanoseconds of one step of its times; None where the server does not tell."""

    def table(self) -> pa.Table:
        """All of it."""
        chunks = list(self.parts)
        arrays = [
            pa.chunked_array([chunk[index] for chunk in chunks], ARROW_TYPES[type_name])
            for index, type_name in enumerate(self.types)
        ]
        return pa.table(arrays, names=self.names)


class _Socket(TSocket.TSocket):  # type: ignore[misc]
    """Does not wait for ever: a server that is stopped keeps its connections, and answers nothing."""

    def __init__(self, node: Node, ping: Callable[[], object]) -> None:
        super().__init__(node.host, node.port)
        self._who, self._ping = f"IoTDB at {node}", ping

    def read(self, size: int) -> bytes:
        """Like the parent's. Raises TTransportException, also when the server answers nobody any more."""
        silence, end_s = Silence(self._who, self._ping), time.monotonic() + self._timeout
        while not self._came(min(SAY_AFTER_S, end_s - time.monotonic())):
            if time.monotonic() >= end_s:
                raise TTransport.TTransportException(TTransport.TTransportException.TIMED_OUT, "read timeout")
            try:
                silence.goes_on()
            except Hangs as error:
                raise TTransport.TTransportException(TTransport.TTransportException.TIMED_OUT, str(error)) from error
        answer: bytes = super().read(size)
        return answer

    def _came(self, within_s: float) -> bool:
        """Whether there is something to read, be it the end."""
        self.handle.settimeout(max(within_s, 0.001))
        try:
            self.handle.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except OSError:
            pass  # whoever reads is told
        finally:
            self.handle.settimeout(self._timeout)
        return True


class Session:
    """A logged-in session in the table model, time zone UTC; `open` until its connection breaks.

    Raises Disconnected, and Fault for what the server refuses.
    """

    def __init__(self, node: Node, user: str, password: str, database: str | None, timeout_s: float) -> None:
        self.node = node
        self.open = True
        self.precision = ""
        """The server's timestamp_precision: ns, us or ms; '' if it does not say."""
        self._database = database
        self._timeout_ms = int(timeout_s * 1_000)
        wire = _Socket(node, lambda: Session(node, user, password, None, CONNECT_TIMEOUT_S).close())
        wire.setTimeout(CONNECT_TIMEOUT_S * 1_000)
        self._transport = TTransport.TFramedTransport(wire, max_frame_size=_FRAME_BYTES)
        self._client = Client(
            TBinaryProtocol.TBinaryProtocolAccelerated(self._transport, string_length_limit=_FRAME_BYTES)
        )
        try:
            self._open(user, password)
        except BaseException:
            self._transport.close()
            raise
        wire.setTimeout(self._timeout_ms)

    def ping(self) -> None:
        """Raises Disconnected if the server is not there any more."""
        self._call(self._client.requestStatementId, self._id)

    def run(self, sql: str) -> None:
        """Executes a statement without a result, once."""
        request = ttypes.TSExecuteStatementReq(self._id, sql, self._statement, timeout=self._timeout_ms)
        _check(self._call(self._client.executeUpdateStatementV2, request).status)

    def insert(self, tablet: Tablet) -> None:
        """Writes a tablet, once."""
        request = ttypes.TSInsertTabletReq(
            self._id,
            tablet.table,
            list(tablet.columns),
            tablet.values,
            tablet.times,
            list(tablet.types),
            tablet.rows,
            False,
            True,  # the table model
            list(tablet.categories),
        )
        _check(self._call(self._client.insertTablet, request))

    def query(self, sql: str, rows_at_once: int = ROWS_AT_ONCE) -> pa.Table:
        """The whole result; strings are dictionaries, times are int64 in the server's clock.

        The server makes one answer of as many rows as it is asked for, whatever they weigh: who asks for texts says how
        many `rows_at_once` can be. Raises Fault for a result of more than _RESULT_BYTES.
        """
        with self.reading(sql, rows_at_once, _RESULT_BYTES) as answer:
            return answer.table()

    @contextlib.contextmanager
    def reading(self, sql: str, rows_at_once: int = ROWS_AT_ONCE, most_bytes: int = 2**62) -> Iterator[Answer]:
        """The result as it comes; what of it was not read by the end of the body is never sent.

        Raises Stop for a type of column that is not known here.
        """
        first = min(_FIRST_FETCH_ROWS, rows_at_once)
        request = ttypes.TSExecuteStatementReq(self._id, sql, self._statement, first, self._timeout_ms)
        answer = self._call(self._client.executeQueryStatementV2, request)
        _check(answer.status)
        try:
            yield _answer(
                answer, self._blocks(sql, answer, first, rows_at_once, most_bytes), CLOCKS_NS.get(self.precision)
            )
        except BaseException as error:
            if not isinstance(error, Fault):
                self._break_off()  # an answer may be half read
            raise
        finally:
            if self.open:
                close = ttypes.TSCloseOperationReq(self._id, answer.queryId, self._statement)
                self._call(self._client.closeOperation, close)

    def close(self) -> None:
        """Says good-bye; never raises."""
        if not self.open:
            return
        self.open = False
        try:
            self._client.closeSession(ttypes.TSCloseSessionReq(self._id))
        except (Thrift.TException, OSError):
            pass  # it is gone already, which is what we want
        finally:
            self._transport.close()

    def _open(self, user: str, password: str) -> None:
        self._call(lambda _: self._transport.open(), None)
        request = ttypes.TSOpenSessionReq(
            client_protocol=ttypes.TSProtocolVersion.IOTDB_SERVICE_PROTOCOL_V3,
            zoneId="UTC",
            username=user,
            password=password,
            configuration={"version": "V_1_0", "sql_dialect": "table"}
            | ({"db": self._database} if self._database else {}),
        )
        answer = self._call(self._client.openSession, request)
        _check(answer.status)
        self.precision = str((answer.configuration or {}).get("timestamp_precision", "")).lower()
        self._id = answer.sessionId
        self._statement = self._call(self._client.requestStatementId, self._id)

    def _blocks(self, sql: str, answer: Any, rows: int, most_rows: int, most_bytes: int) -> Iterator[bytes]:
        blocks, more = list(answer.queryResult or ()), bool(answer.moreData)
        size = 0
        while True:
            size += sum(map(len, blocks))
            if size > most_bytes:
                raise Fault(FRAME_OVERSIZE, f"the result is more than {most_bytes >> 20} MiB")
            yield from blocks
            if not more:
                return
            rows = min(most_rows, _next_rows(rows, sum(map(len, blocks))))
            request = ttypes.TSFetchResultsReq(
                self._id, sql, rows, answer.queryId, True, self._timeout_ms, self._statement
            )
            fetched = self._call(self._client.fetchResultsV2, request)
            _check(fetched.status)
            blocks = list(fetched.queryResult or ()) if fetched.hasResultSet else []
            more = bool(fetched.moreData) and bool(blocks)

    def _break_off(self) -> None:
        self._transport.close()
        self.open = False

    def _call(self, function: Any, request: Any) -> Any:
        try:
            return function(request)
        except (Thrift.TException, OSError, EOFError) as error:
            self._break_off()
            if getattr(error, "type", None) == TTransport.TTransportException.SIZE_LIMIT:
                raise Fault(FRAME_OVERSIZE, str(error)) from None
            raise Disconnected(f"{type(error).__name__}: {error}") from error


def _check(status: Any) -> None:
    parts = [(part.code, part.message) for part in status.subStatus or ()]
    fault = fault_of(status.code, status.message, parts)
    if fault is not None:
        raise fault


def _answer(answer: Any, blocks: Iterator[bytes], clock_ns: int | None) -> Answer:
    """The columns that an answer announces, taken from where they stand in its blocks."""
    names, types = list(answer.columns or ()), list(answer.dataTypeList or ())
    given = answer.columnIndex2TsBlockColumnIndexList  # not sent where it would be 0, 1, 2, …
    positions = list(given) if given is not None else list(range(len(names)))
    if not answer.ignoreTimeStamp:
        names, types, positions = ["time", *names], ["INT64", *types], [-1, *positions]
    for name, type_name in zip(names, types, strict=True):
        if type_name not in ARROW_TYPES:
            raise Stop(f"column {name!r} is of IoTDB's type {type_name}, which is not read here: leave it out")
    return Answer(names, types, (read_block(block, types, positions) for block in blocks), clock_ns)


def _next_rows(rows: int, size: int) -> int:
    """Rows to ask for next, so that one answer stays near _FETCH_BYTES whatever the rows weigh."""
    if not size:
        return rows
    return max(1, min(ROWS_AT_ONCE, rows * 8, rows * _FETCH_BYTES // size))
