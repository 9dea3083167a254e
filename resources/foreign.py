"""Errors of libraries that mean something to us: no room, or a server that does not answer.

By their class, errno and SQLSTATE, never by their text. Dagster keeps its log by SQLAlchemy and psycopg2, and wraps
what they raise; whatever an error was made of is looked at, too.
"""

from __future__ import annotations

import errno
import sqlite3
import sys
from collections.abc import Iterator

from pipelines.ports import FerryError, NoRoom, Unreachable
from resources.postgres.faults import GONE, NO_ROOM

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM})
_MEMORY = "out of memory: lower slice_events or slices_at_once under [limits] in the plant file"
_LOST = (
    ("psycopg", "OperationalError"), ("psycopg", "InterfaceError"),
    ("psycopg2", "OperationalError"), ("psycopg2", "InterfaceError"),
    ("sqlalchemy.exc", "DisconnectionError"), ("sqlalchemy.exc", "TimeoutError"),
)  # fmt: skip
"""Without a SQLSTATE: no server was there to give one."""


def meaning_of(error: BaseException) -> FerryError | None:
    """The error of ours that an error is, or is made of; None where it means none of these."""
    for each in _behind(error):
        if isinstance(each, FerryError):
            return each
        if (found := _meaning(each)) is not None:
            return found
    return None


def _meaning(error: BaseException) -> FerryError | None:
    if isinstance(error, MemoryError):
        return NoRoom(_MEMORY)
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, sqlite3.Error):
        full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        return NoRoom(f"{_line(error)}: free some space and run the same command again") if full else None
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if code in NO_ROOM:
        return NoRoom(f"PostgreSQL has no room: {_line(error)}. Free some space and run the same command again")
    if code in GONE or (code is None and isinstance(error, _loaded(_LOST))):
        return Unreachable(f"PostgreSQL, where Dagster and the ledger keep their log, does not answer: {_line(error)}")
    return None


def _of_the_system(error: OSError) -> FerryError | None:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return NoRoom(f"{where}{error.strerror}: free some space and run the same command again")
    if isinstance(error, ConnectionError):
        return Unreachable(f"a connection broke, or nobody listens: {error.strerror or _line(error)}")
    return None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was made of."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        within = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        driver = getattr(each, "orig", None)  # SQLAlchemy's
        waiting += [each.__cause__, *within, driver if isinstance(driver, BaseException) else None]


def _loaded(names: tuple[tuple[str, str], ...]) -> tuple[type[BaseException], ...]:
    """The classes whose modules were loaded: no error can be of another."""
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
