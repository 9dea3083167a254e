"""What a session remembers between requests, and the ENVCHANGEs that tell the client of it (MS-TDS 2.2.7.9)."""

from __future__ import annotations

import itertools
import struct

from simulators.tds import tokens
from simulators.tds.database import SqlError
from simulators.tds.statements import Setup
from simulators.tds.tokens import Change

SERVER_NAME = "FERRYSIM"
_NO_COMMIT, _NO_ROLLBACK, _NO_HANDLE = 3902, 3903, 8179
_IMPLICIT = frozenset(("IMPLICIT_TRANSACTIONS", "ANSI_DEFAULTS"))


class Session:
    """One login's. `opaque` is what the database's login gave."""

    def __init__(self, opaque: object, version: int, database: str, wide: bool) -> None:
        self.opaque, self.version, self.wide = opaque, version, wide
        self._first_database = database
        self._handles = itertools.count(1)
        self._transactions = itertools.count(1)
        self._depth, self._transaction = 0, b""
        self.error = 0  # @@ERROR
        self._fresh()

    def _fresh(self) -> None:
        self.database = self._first_database
        self.no_count = self.format_only = self._implicit = False
        self._prepared: dict[int, tuple[str, list[str]]] = {}

    def reset(self, keep_transaction: bool = False) -> bytes:
        """As just after the login (RESETCONNECTION)."""
        self._fresh()
        if not keep_transaction:
            self._depth, self._transaction = 0, b""
        return tokens.bytes_change(Change.RESET, b"", b"")

    def set_up(self, statement: Setup) -> bytes:
        """Does what a statement says; the tokens that tell so. Raises SqlError 3902, 3903."""
        match statement.kind:
            case "set":
                return self._set(statement)
            case "use":
                return self.use(statement.database)
            case "begin":
                return self.begin()
            case "commit" if self._depth or not statement.only_within:
                return self.commit()
            case "rollback" if self._depth or not statement.only_within:
                return self.rollback()
        return b""

    def use(self, database: str) -> bytes:
        """Another database, which is taken to exist: the Database protocol has no question for it."""
        before, self.database = self.database, database
        text = f"Changed database context to '{database}'."
        change = tokens.text_change(Change.DATABASE, database, before)
        return change + tokens.info(5701, text, 2, SERVER_NAME, self.wide)

    def begin(self) -> bytes:
        """One level deeper; only the first begins a transaction."""
        self._depth += 1
        if self._depth > 1:
            return b""
        self._transaction = struct.pack("<Q", next(self._transactions))
        return tokens.bytes_change(Change.BEGIN, self._transaction, b"")

    def begin_implicitly(self) -> bytes:
        """Before a query, where IMPLICIT_TRANSACTIONS is on."""
        return self.begin() if self._implicit and not self._depth else b""

    def commit(self) -> bytes:
        """One level up. Raises SqlError 3902 outside a transaction."""
        if not self._depth:
            raise SqlError(_NO_COMMIT, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self._depth -= 1
        return b"" if self._depth else self._ended(Change.COMMIT)

    def rollback(self) -> bytes:
        """Out of all levels. Raises SqlError 3903 outside a transaction."""
        if not self._depth:
            raise SqlError(_NO_ROLLBACK, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self._depth = 0
        return self._ended(Change.ROLLBACK)

    def prepare(self, sql: str, names: list[str]) -> int:
        """The handle of a statement with parameters of these names."""
        handle = next(self._handles)
        self._prepared[handle] = (sql, names)
        return handle

    def prepared(self, handle: object) -> tuple[str, list[str]]:
        """Raises SqlError 8179."""
        known = self._prepared.get(handle) if isinstance(handle, int) else None
        if known is None:
            raise SqlError(_NO_HANDLE, f"Could not find prepared statement with handle {handle}.")
        return known

    def unprepare(self, handle: object) -> None:
        """Forgets a statement. Raises SqlError 8179."""
        self.prepared(handle)
        assert isinstance(handle, int)
        del self._prepared[handle]

    def _set(self, statement: Setup) -> bytes:
        if statement.options & _IMPLICIT:
            self._implicit = statement.on
        if "NOCOUNT" in statement.options:
            self.no_count = statement.on
        if "FMTONLY" in statement.options:
            self.format_only = statement.on
        return b""

    def _ended(self, change: Change) -> bytes:
        ended, self._transaction = self._transaction, b""
        return tokens.bytes_change(change, b"", ended)
