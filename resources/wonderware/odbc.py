"""mssql-python over its own ODBC driver in Rust: TDS straight into Arrow, the driver of choice.

Of the two drivers that mssql-python can load, this one needs no more of the system than OpenSSL; Microsoft's other one,
msodbcsql18, also needs libltdl. MSSQL_PYTHON_NATIVE_PROVIDER in the environment chooses otherwise.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mssql_python
import pyarrow as pa

from pipelines.ports import Stop
from resources.wonderware.login import Login, Session, environment, trusted_file
from resources.wonderware.refusals import DriverMissing, Faltered, TooMuch, meaning

if not os.environ.get("MSSQL_PYTHON_NATIVE_PROVIDER"):
    mssql_python.native_provider = "mssql-odbc"  # type: ignore[attr-defined]

_BATCH_ROWS = 16_384  # of 4,000 characters each, as Wonderware has them at most, 128 MB
_UNLOADED = "the ODBC driver of mssql-python does not load"
_NOT_LOADED = "Failed to load the driver"
# The driver tells no number of SQL Server's, but a fixed sentence for each SQLSTATE (mssql_python.exceptions).
_LOGIN_REFUSED = frozenset({"Invalid authorization specification"})  # 28000
_NO_CONNECTION = frozenset({"Client unable to establish connection", "Server rejected the connection"})  # 08001, 08004
_BROKEN = frozenset(
    {
        "Connection not open",  # 08003
        "Connection failure during transaction",  # 08007
        "Communication link failure",  # 08S01
        "Transaction is rolled back",  # 25S03
        "Serialization failure",  # 40001: 1205, the victim of a deadlock
        "Statement completion unknown",  # 40003
    }
)
_SERVER = "[SQL Server]"
"""Who speaks, by ODBC's convention: [vendor][component], and then what the server itself said."""
_TLS = ("TLS handshake failed", "does not support encryption", "SSL Provider", "Encryption not supported")
_LATE = frozenset({"Timeout expired", "Connection timeout expired"})  # HYT00, HYT01


def connect(login: Login) -> Session:
    """A connection, with TLS verified unless the login says none. Raises Stop, Faltered, DriverMissing."""
    words = {
        "Server": f"{login.host},{login.port}", "Database": login.database, "UID": login.user, "PWD": login.password,
        "Encrypt": "yes" if login.tls else "no", "ApplicationIntent": "ReadOnly",
    }  # fmt: skip
    text = ";".join(f"{key}={_braced(word)}" for key, word in words.items())
    # The driver has no other way to be told of an authority on Linux.
    file = trusted_file(login)
    trusting = environment("SSL_CERT_FILE", file) if file else contextlib.nullcontext()
    try:
        with trusting:
            connection = mssql_python.connect(text, autocommit=True, timeout=login.connect_s)
    except mssql_python.Error as error:
        raise _connect_error(error, login) from None
    except ImportError as error:
        raise DriverMissing(f"{_UNLOADED} ({error})") from None
    connection.timeout = login.statement_s
    return _OdbcSession(connection, login)


def load_fault() -> str:
    """Why the driver does not load here; '' when it does. Asks a port of this machine where nobody listens."""
    try:
        mssql_python.connect("Server=127.0.0.1,9;UID=nobody;PWD=none;Encrypt=no", timeout=1)
    except mssql_python.Error as error:
        return _UNLOADED if _NOT_LOADED in str(error) else ""
    except ImportError as error:
        return f"{_UNLOADED} ({error})"
    return ""


class _OdbcSession:
    def __init__(self, connection: Any, login: Login) -> None:
        self._connection, self._login = connection, login

    def read(self, statement: str, values: Sequence[str | int]) -> Iterator[pa.Table]:
        try:
            cursor = self._connection.cursor()
            try:
                cursor.execute(statement, *([list(values)] if values else []))
                for batch in cursor.arrow_reader(_BATCH_ROWS):
                    yield pa.Table.from_batches([batch])
            except mssql_python.Error as error:
                raise _error_of(error, self._login, self._number) from None
            finally:
                cursor.close()
        except mssql_python.Error as error:
            raise _error_of(error, self._login) from None

    def _number(self) -> int:
        """SQL Server's number of the error that was the last thing here; 0 where it does not tell."""
        with contextlib.suppress(mssql_python.Error), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute("SELECT @@ERROR")
            return int(cursor.fetchone()[0])
        return 0

    def close(self) -> None:
        try:
            self._connection.close()
        except mssql_python.Error:  # it was dead
            return


def _braced(word: str) -> str:
    """A value of a connection string, whatever is in it."""
    return "{" + word.replace("}", "}}") + "}"


def _connect_error(error: Any, login: Login) -> Exception:
    state, text = _said(error)
    if _NOT_LOADED in text:
        return DriverMissing(_UNLOADED)
    if state in _LOGIN_REFUSED:
        return Stop(f"{login.where}: the login as {login.user} was refused ({text})")
    if any(words in text for words in _TLS):
        advice = "name the plant's CA with ca_file, or mend the certificate (tls = false encrypts nothing)"
        return Stop(f"{login.where}: TLS failed ({text}); {advice}")
    if state in _NO_CONNECTION | _LATE | _BROKEN:
        return Faltered(f"nobody answers: {text}", reached=False)
    return Stop(f"{login.where}: {text}")


def _error_of(error: Any, login: Login, number: Callable[[], int] = lambda: 0) -> Exception:
    """`number` asks for SQL Server's number: the driver tells none."""
    state, text = _said(error)
    where = f"{login.where}: {text}"
    if state in _LATE:
        return TooMuch(f"{where} ({login.statement_s} s)", "time")
    if state in _BROKEN or _SERVER not in text:
        return Faltered(text)
    return Stop(where) if state in _LOGIN_REFUSED else meaning(number(), where, login.user)


def _said(error: Any) -> tuple[str, str]:
    """The driver's sentence for the SQLSTATE, and the server's own words."""
    return str(getattr(error, "driver_error", "")), str(getattr(error, "ddbc_error", error)).strip()
