"""What is said on one connection: login, batches, calls, transactions, cancels."""

from __future__ import annotations

import itertools
import ssl
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from simulators.tds import login, prelogin, tokens
from simulators.tds.database import FATAL_LEVEL, Database, HangUp, Result, SqlError
from simulators.tds.packets import Message, Packet, Wire
from simulators.tds.parameters import Call, Cursor, Parameter, declared_names, read_calls
from simulators.tds.reply import Reply
from simulators.tds.rows import Block
from simulators.tds.stream import Gone
from simulators.tds.tokens import Change, Done, Status

SERVER_NAME = "FERRYSIM"
_MOST_BYTES = 64 << 20
_LOGIN_S = 30.0
_SETTINGS = ("SET ", "USE ", "BEGIN TRAN", "COMMIT", "ROLLBACK", "IF @@TRANCOUNT", "SAVE TRAN")
"""How statements begin that only set a session up; every client sends some of its own."""
_BEGIN, _COMMIT, _ROLLBACK = 5, 7, 8  # requests of the transaction manager (2.2.6.9)
_NO_PROCEDURE, _NO_HANDLE, _TOO_OLD = 2812, 8179, 17_809


class Cancelled(Exception):
    """The client wants no more of this reply."""


class Conversation:
    """One client's. Runs in a thread of its own."""

    def __init__(self, wire: Wire, database: Database, policy: prelogin.Policy, tls: ssl.SSLContext | None) -> None:
        self._wire, self._database = wire, database
        self._policy, self._tls = policy, tls
        self._session: Any = None
        self._wide = True
        self._prepared: dict[int, tuple[str, list[str]]] = {}
        self._handles = itertools.count(1)
        self._transactions = itertools.count(1)
        self._transaction = b""

    def run(self) -> None:
        """Until the client goes, or is sent away."""
        try:
            self._wire.stream.wait_at_most(_LOGIN_S)
            if self._log_in():
                self._wire.stream.wait_at_most(None)
                while True:
                    self._answer(self._wire.read(_MOST_BYTES))
        except (Gone, HangUp, ValueError, struct.error):
            pass  # it has left, is to be cut off, or speaks no TDS: nobody else is concerned
        finally:
            self._wire.stream.close()

    def _log_in(self) -> bool:
        message = self._wire.read(_MOST_BYTES)
        encryption: prelogin.Encryption = "none"
        if message.kind == Packet.PRELOGIN:
            answer, encryption = prelogin.answer(prelogin.options(message.content), self._policy, SERVER_NAME)
            self._say(answer)
            if encryption != "none":
                assert self._tls is not None
                self._wire.stream.secure(self._tls)
            message = self._wire.read(_MOST_BYTES)
        if message.kind != Packet.LOGIN:
            return False
        if encryption == "login":
            self._wire.stream.bare()
        asking = login.parse(message.content)
        version = asking.agreed_version
        self._wide = version >= login.TDS_72
        try:
            if not version:
                raise SqlError(_TOO_OLD, "TDS 7.1 is the oldest version that is spoken here.", FATAL_LEVEL)
            self._session = self._database.login(asking.user, asking.password, asking.database)
        except SqlError as error:
            self._say(self._error(error) + self._done(Done.STATEMENT, Status.ERROR))
            return False
        self._welcome(asking, version)
        return True

    def _welcome(self, asking: login.Login, version: int) -> None:
        database, size = asking.database or "master", asking.packet_bytes
        said = [
            tokens.text_change(Change.DATABASE, database, "master"),
            tokens.info(5701, f"Changed database context to '{database}'.", 2, SERVER_NAME, self._wide),
            tokens.text_change(Change.LANGUAGE, "us_english", ""),
            tokens.info(5703, "Changed language setting to us_english.", 1, SERVER_NAME, self._wide),
            tokens.collation_change(),
            tokens.text_change(Change.PACKET_SIZE, str(size), str(self._wire.packet_bytes)),
            tokens.login_ack(version),
            tokens.features({}) if asking.features else b"",
            self._done(Done.STATEMENT, Status.FINAL),
        ]
        self._say(b"".join(said))
        self._wire.packet_bytes = size

    def _answer(self, message: Message) -> None:
        reply = Reply(self._wire)
        try:
            self._request(reply, message)
        except Cancelled:
            reply.add(self._done(Done.STATEMENT, Status.ATTENTION))
        except SqlError as error:
            reply.add(self._error(error) + self._done(Done.STATEMENT, Status.ERROR))
            if error.level >= FATAL_LEVEL:
                reply.end()
                raise Gone(error.message) from None
        reply.end()

    def _request(self, reply: Reply, message: Message) -> None:
        match message.kind:
            case Packet.BATCH:
                self._run(reply, self._statement(message.content), {}, Done.STATEMENT)
            case Packet.RPC:
                for call in read_calls(message.content, has_headers=self._wide):
                    self._call(reply, call)
            case Packet.TRANSACTION:
                self._transact(reply, message.content)
            case Packet.ATTENTION:  # it came after the answer had left
                reply.add(self._done(Done.STATEMENT, Status.ATTENTION))
            case kind:
                raise Gone(f"a message of type 0x{kind:02x}")

    def _statement(self, content: bytes) -> str:
        at = Cursor(content)
        if self._wide:
            at.skip_headers()
        return at.rest().decode("utf-16-le")

    def _call(self, reply: Reply, call: Call) -> None:
        match call.procedure, list(call.parameters):
            case "sp_executesql", [statement, *rest]:
                named = _named(declared_names(rest[0].value) if rest else [], rest[1:])
                self._run(reply, str(statement.value), named, Done.IN_PROCEDURE)
                self._finish(reply)
            case "sp_prepare", [_, declaration, statement, *_]:
                self._finish(reply, self._keep(declaration, statement))
            case "sp_prepexec", [_, declaration, statement, *rest]:
                number = self._keep(declaration, statement)
                sql, names = self._prepared[number]
                self._run(reply, sql, _named(names, rest), Done.IN_PROCEDURE)
                self._finish(reply, number)
            case "sp_execute", [handle, *rest]:
                sql, names = self._known(handle.value)
                self._run(reply, sql, _named(names, rest), Done.IN_PROCEDURE)
                self._finish(reply)
            case "sp_unprepare", [handle]:
                self._prepared.pop(handle.value if isinstance(handle.value, int) else 0, None)
                self._finish(reply)
            case "sp_reset_connection", _:
                self._finish(reply)
            case name, _:
                raise SqlError(_NO_PROCEDURE, f"Could not find stored procedure '{name}'.", 16, 62)

    def _keep(self, declaration: Parameter, statement: Parameter) -> int:
        number = next(self._handles)
        self._prepared[number] = (str(statement.value), declared_names(declaration.value))
        return number

    def _known(self, handle: object) -> tuple[str, list[str]]:
        known = self._prepared.get(handle) if isinstance(handle, int) else None
        if known is None:
            raise SqlError(_NO_HANDLE, f"Could not find prepared statement with handle {handle}.")
        return known

    def _finish(self, reply: Reply, handle: int | None = None) -> None:
        """The end of a procedure."""
        reply.add(tokens.return_status(0))
        if handle is not None:
            reply.add(tokens.return_int(0, "", handle, self._wide))
        reply.add(self._done(Done.PROCEDURE, Status.FINAL))

    def _run(self, reply: Reply, sql: str, parameters: Mapping[str, object], kind: Done) -> None:
        """Results with their rows. In a batch the last DONE has no MORE bit; in a procedure DONEPROC follows."""
        last = Status.MORE if kind == Done.IN_PROCEDURE else Status.FINAL
        if _only_settings(sql):
            reply.add(self._done(kind, last))
            return
        done = self._done(kind, last)  # of the result before: only the next one tells whether more come
        more = b""
        for result in self._database.execute(self._session, sql, parameters):
            reply.add(more)
            rows = self._rows(reply, result) if result.columns else result.affected
            done, more = self._done(kind, last, rows), self._done(kind, Status.MORE, rows)
        reply.add(done)

    def _rows(self, reply: Reply, result: Result) -> int | None:
        reply.add(tokens.column_metadata(result.columns, self._wide))
        sent: int | None = 0
        for block in result.blocks:
            if self._wire.attention():
                raise Cancelled
            if isinstance(block, Block):
                sent = None if sent is None else sent + block.rows
                reply.add(block.data)
            elif block:
                sent = None
                reply.add(block)
        return sent if result.rows is None else result.rows

    def _transact(self, reply: Reply, content: bytes) -> None:
        at = Cursor(content)
        at.skip_headers()
        asked = at.number("<H")
        begins = asked == _BEGIN
        if asked in (_COMMIT, _ROLLBACK):
            kind = Change.COMMIT if asked == _COMMIT else Change.ROLLBACK
            reply.add(tokens.bytes_change(kind, b"", self._transaction))
            self._transaction = b""
            at.text(at.number("<B"))
            begins = bool(at and at.number("<B") & 1)
        if begins:
            self._transaction = struct.pack("<Q", next(self._transactions))
            reply.add(tokens.bytes_change(Change.BEGIN, self._transaction, b""))
        reply.add(self._done(Done.STATEMENT, Status.FINAL))

    def _say(self, content: bytes) -> None:
        reply = Reply(self._wire)
        reply.add(content)
        reply.end()

    def _error(self, error: SqlError) -> bytes:
        return tokens.error(error.number, error.message, error.level, error.state, SERVER_NAME, self._wide)

    def _done(self, kind: Done, status: Status, rows: int | None = None) -> bytes:
        return tokens.done(kind, status, rows, self._wide)


def _named(declared: Sequence[str], given: Sequence[Parameter]) -> dict[str, object]:
    """Values by name; those without one by their place in the declaration."""
    return {
        each.name or (declared[place] if place < len(declared) else f"@P{place + 1}"): each.value
        for place, each in enumerate(given)
    }


def _only_settings(sql: str) -> bool:
    """Whether a batch only sets the session up."""
    lines = (line.strip().upper() for part in sql.split(";") for line in part.splitlines())
    return all(line.startswith(_SETTINGS) for line in lines if line)
