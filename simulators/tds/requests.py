"""Requests after the login: batches, calls, transactions, cancels."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Generator, Mapping, Sequence
from enum import IntEnum

import pyarrow as pa

from simulators.tds import tokens
from simulators.tds.columns import Column
from simulators.tds.database import FATAL_LEVEL, Database, HangUp, Result, SqlError
from simulators.tds.login import TDS_72, TDS_73
from simulators.tds.packets import Message, Packet, Wire
from simulators.tds.parameters import Call, Cursor, Parameter, declared_names, read_calls
from simulators.tds.reply import Reply
from simulators.tds.rows import Block, encode
from simulators.tds.session import SERVER_NAME, Session
from simulators.tds.statements import leading
from simulators.tds.stream import Gone
from simulators.tds.tokens import Done, Status

_NO_PROCEDURE, _TOO_OLD, _NO_REQUEST, _BROKEN = 2812, 17_809, 8509, 50_000
_LAST_ERROR = re.compile(r"SELECT\s+@@ERROR\s*;?\s*", re.IGNORECASE)
_log = logging.getLogger(__name__)


class Transact(IntEnum):
    """Requests of the transaction manager (2.2.6.9)."""

    BEGIN = 5
    COMMIT = 7
    ROLLBACK = 8
    SAVE = 9


class Cancelled(Exception):
    """The client wants no more of this reply."""


class Requests:
    """Answers the requests of one session."""

    def __init__(self, wire: Wire, database: Database, session: Session) -> None:
        self._wire, self._database, self._session = wire, database, session

    def answer(self, message: Message) -> None:
        """One reply. Raises Gone, HangUp, and ValueError or struct.error for what is no request."""
        reply = Reply(self._wire, self._session.wide)
        if message.reset:
            reply.add(self._session.reset(message.keep_transaction))
        fatal = False
        try:
            self._request(reply, message)
        except Cancelled:
            reply.cancel()
        except SqlError as error:
            fatal = self._failed(reply, error, Done.STATEMENT)
        reply.end()
        if fatal:
            raise Gone("a fatal error was told")

    def _request(self, reply: Reply, message: Message) -> None:
        match message.kind:
            case Packet.BATCH:
                self._run(reply, self._statement(message.content), {}, Done.STATEMENT)
            case Packet.RPC:
                for call in read_calls(message.content, has_headers=self._session.wide):
                    self._call(reply, call)
            case Packet.TRANSACTION:
                self._transact(reply, message.content)
            case Packet.ATTENTION:  # it came after the answer had left
                reply.cancel()
            case kind:
                raise Gone(f"a message of type 0x{kind:02x}")

    def _statement(self, content: bytes) -> str:
        at = Cursor(content)
        if self._session.wide:
            at.skip_headers()
        return at.rest().decode("utf-16-le")

    def _call(self, reply: Reply, call: Call) -> None:
        """One procedure: its results, its status, what it gives back, its end (2.2.7.18, 2.2.7.19, 2.2.7.8)."""
        status, handle = 0, None
        try:
            match call.procedure, list(call.parameters):
                case "sp_executesql", [statement, *rest]:
                    names = declared_names(rest[0].value) if rest else []
                    self._run(reply, str(statement.value), _named(names, rest[1:]), Done.IN_PROCEDURE)
                case "sp_prepare", [_, declaration, statement, *_]:
                    handle = self._keep(declaration, statement)
                case "sp_prepexec", [_, declaration, statement, *rest]:
                    handle = self._keep(declaration, statement)
                    self._execute(reply, handle, rest)
                case "sp_execute", [known, *rest]:
                    self._execute(reply, known.value, rest)
                case "sp_unprepare", [known]:
                    self._session.unprepare(known.value)
                case "sp_reset_connection", _:
                    reply.add(self._session.reset())
                case name, _:
                    raise SqlError(_NO_PROCEDURE, f"Could not find stored procedure '{name}'.", 16, 62)
        except SqlError as error:
            if error.level >= FATAL_LEVEL:
                raise
            self._failed(reply, error, Done.IN_PROCEDURE)
            status = error.number
        reply.add(tokens.return_status(status))
        if handle is not None:
            reply.add(tokens.return_int(0, "", handle, self._session.wide))
        reply.done(Done.PROCEDURE, Status.ERROR if status else Status.FINAL)

    def _keep(self, declaration: Parameter, statement: Parameter) -> int:
        return self._session.prepare(str(statement.value), declared_names(declaration.value))

    def _execute(self, reply: Reply, handle: object, given: Sequence[Parameter]) -> None:
        sql, names = self._session.prepared(handle)
        self._run(reply, sql, _named(names, given), Done.IN_PROCEDURE)

    def _run(self, reply: Reply, sql: str, parameters: Mapping[str, object], kind: Done) -> None:
        """Set-up statements here, the rest of the batch by the database."""
        setups, rest = leading(sql)
        for setup in setups:
            reply.add(self._session.set_up(setup))
            reply.done(kind)
        if not rest:
            if not setups:
                reply.done(kind)
            return
        reply.add(self._session.begin_implicitly())
        some = False
        told, self._session.error = self._session.error, 0
        asked = _LAST_ERROR.fullmatch(rest)
        results_of = _last_error(told) if asked else self._results(rest, parameters)
        with contextlib.closing(results_of) as results:
            for result in results:
                some = True
                self._check()
                rows = self._rows(reply, result) if result.columns else result.affected
                reply.done(kind, rows=None if self._session.no_count else rows, changed=not result.columns)
        if not some:
            reply.done(kind)

    def _results(self, sql: str, parameters: Mapping[str, object]) -> Generator[Result, None, None]:
        """What the database answers; its own mistakes become an error that the client sees and the log explains."""
        try:
            yield from self._database.execute(self._session.opaque, sql, parameters)
        except (SqlError, HangUp):
            raise
        except Exception as error:  # whatever it is, the client is told
            raise _broken(error) from error

    def _rows(self, reply: Reply, result: Result) -> int | None:
        """Sends a rowset; how many rows it had, where that is known."""
        self._accept(result.columns)
        reply.add(tokens.column_metadata(result.columns, self._session.wide))
        if self._session.format_only:
            return 0
        sent: int | None = 0
        with contextlib.closing(_blocks(result)) as blocks:
            for block in blocks:
                self._check()
                if isinstance(block, Block):
                    sent = None if sent is None else sent + block.rows
                    reply.add(block.data)
                elif block:
                    sent = None
                    reply.add(block)
        self._check()
        return sent if result.rows is None else result.rows

    def _accept(self, columns: Sequence[Column]) -> None:
        """Raises SqlError for what the client's version has no words for; a real server would send it as text."""
        for column in columns:
            new = column.kind == "datetime2" and self._session.version < TDS_73
            large = column.kind in ("nvarchar", "varbinary") and not column.size and self._session.version < TDS_72
            if new or large:
                raise SqlError(_TOO_OLD, f"Column '{column.name}' needs a newer version of TDS than the client's.")

    def _check(self) -> None:
        if self._wire.attention():
            raise Cancelled

    def _transact(self, reply: Reply, content: bytes) -> None:
        at = Cursor(content)
        at.skip_headers()
        asked = at.number("<H")
        match asked:
            case Transact.BEGIN:
                reply.add(self._session.begin())
            case Transact.COMMIT | Transact.ROLLBACK:
                reply.add(self._session.commit() if asked == Transact.COMMIT else self._session.rollback())
                at.take(at.number("<B"))  # the transaction's name
                if at and at.number("<B") & 1:  # and begin the next one
                    reply.add(self._session.begin())
            case Transact.SAVE:
                pass
            case _:
                raise SqlError(_NO_REQUEST, f"There is no distributed transaction coordinator for request {asked}.")
        reply.done(Done.STATEMENT)

    def _failed(self, reply: Reply, error: SqlError, kind: Done) -> bool:
        """Tells of an error; whether it ends the connection."""
        wide = self._session.wide
        self._session.error = error.number
        reply.add(tokens.error(error.number, error.message, error.level, error.state, SERVER_NAME, wide))
        reply.done(kind, Status.ERROR)
        return error.level >= FATAL_LEVEL


def _last_error(number: int) -> Generator[Result, None, None]:
    columns = (Column("", "int"),)
    yield Result(columns, encode(columns, pa.table({"": pa.array([number], pa.int32())})).blocks())


def _blocks(result: Result) -> Generator[bytes | memoryview | Block, None, None]:
    try:
        yield from result.blocks
    except (SqlError, HangUp):
        raise
    except Exception as error:  # whatever it is, the client is told
        raise _broken(error) from error


def _broken(error: Exception) -> SqlError:
    _log.error("the database has failed", exc_info=error)
    return SqlError(_BROKEN, f"The stand-in has failed: {type(error).__name__}: {error}", FATAL_LEVEL)


def _named(declared: Sequence[str], given: Sequence[Parameter]) -> dict[str, object]:
    """Values by name; those without one by their place in the declaration."""
    return {
        each.name or (declared[place] if place < len(declared) else f"@P{place + 1}"): each.value
        for place, each in enumerate(given)
    }
