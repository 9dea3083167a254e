"""pymssql: slower, and loads everywhere. FreeTDS verifies certificates only as its configuration file says."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymssql

from pipelines.ports import Stop
from resources.wonderware.login import Login, Session, environment, trusted_file
from resources.wonderware.refusals import LOGIN_REFUSED, Faltered, TooMuch, meaning

_BATCH_ROWS = 20_000
_TYPES = {
    "TagName": pa.string(), "TimeNs": pa.int64(), "Value": pa.float64(), "Text": pa.binary(), "TextBytes": pa.int32(),
    "Quality": pa.int32(), "QualityDetail": pa.int32(), "OPCQuality": pa.int32(), "Total": pa.float64(),
}  # fmt: skip
"""Columns of History: pymssql gives Python values, and a column may be all null. Others are typed by their values."""
# Numbers of DB-Library.
_NOBODY = frozenset({20002, 20009, 20017})
_DEAD = frozenset({20003, 20004, 20006, 20047})
_LIBRARY = range(20_000, 21_000)


def connect(login: Login) -> Session:
    """A connection, with TLS verified unless the login says none. Raises Stop, Faltered."""
    name = f"ferry_{hashlib.sha256(f'{login.host}:{login.port}'.encode()).hexdigest()[:12]}"
    with tempfile.TemporaryDirectory(prefix="ferry-tds-") as folder:
        file = Path(folder) / "freetds.conf"
        file.write_text(_configuration(name, login), encoding="utf-8")
        try:
            with environment("FREETDSCONF", str(file)):
                connection = pymssql.connect(
                    server=name, port=str(login.port), user=login.user, password=login.password,
                    database=login.database, login_timeout=login.connect_s, timeout=login.statement_s,
                    autocommit=True, charset="UTF-8",
                )  # fmt: skip
        except pymssql.Error as error:
            raise _connect_error(error, login) from None
    return _FreeTdsSession(connection, login)


class _FreeTdsSession:
    def __init__(self, connection: Any, login: Login) -> None:
        self._connection, self._login = connection, login

    def read(self, statement: str, values: Sequence[str | int]) -> Iterator[pa.Table]:
        began_s = time.monotonic()
        try:
            with contextlib.closing(self._connection.cursor()) as cursor:
                cursor.execute(statement.replace("?", "%s"), tuple(values))
                names = [column[0] for column in cursor.description]
                while rows := cursor.fetchmany(_BATCH_ROWS):
                    yield _table(names, rows)
        except pymssql.Error as error:
            raise _error_of(error, self._login, time.monotonic() - began_s) from None

    def close(self) -> None:
        with contextlib.suppress(pymssql.Error):
            self._connection.close()


def _configuration(name: str, login: Login) -> str:
    lines = [f"[{name}]", f"host = {login.host}", f"port = {login.port}", "tds version = 7.4", "client charset = UTF-8"]
    if login.tls:
        ca = trusted_file(login) or "system"
        lines += ["encryption = require", f"ca file = {ca}", "check certificate hostname = yes"]
    else:
        lines.append("encryption = off")
    return "\n".join(lines) + "\n"


def _table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(column, _TYPES.get(name)) for name, column in zip(names, columns, strict=True)})


def _number(error: BaseException) -> int:
    """SQL Server's number, or DB-Library's, in the first argument as a rule."""
    first = error.args[0] if error.args else 0
    while isinstance(first, tuple) and first:
        first = first[0]
    return first if isinstance(first, int) else 0


def _text(error: BaseException) -> str:
    """The server's own sentence, without what DB-Library adds."""
    parts: list[Any] = list(error.args)
    while parts and isinstance(parts[0], tuple):
        parts = list(parts[0])
    raw = next((part for part in reversed(parts) if isinstance(part, bytes | str)), "")
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return text.split("DB-Lib error message", maxsplit=1)[0].strip() or " ".join(text.split())


def _connect_error(error: BaseException, login: Login) -> Exception:
    number = _number(error)
    if number in LOGIN_REFUSED:
        return Stop(f"{login.where}: the login as {login.user} was refused ({_text(error) or number})")
    if number in _NOBODY | _DEAD:
        hint = "; or its certificate is not trusted: name the plant's CA with ca_file" if login.tls else ""
        return Faltered(f"nobody answers, or not in TDS{hint} ({_text(error)})", reached=False)
    return Stop(f"{login.where}: {_text(error)} ({number})")


def _error_of(error: BaseException, login: Login, spent_s: float) -> Exception:
    number = _number(error)
    where = f"{login.where}: {_text(error)} ({number})"
    if number in _DEAD and spent_s >= login.statement_s:
        return TooMuch(f"{login.where}: no whole answer within {login.statement_s} s", "time")
    if number in _LIBRARY or not number:
        return Faltered(where)
    return meaning(number, where, login.user)
