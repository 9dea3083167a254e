"""The choice of a SQL Server driver: the fastest that loads here."""

from __future__ import annotations

import logging
from collections.abc import Callable

from resources.wonderware import freetds, odbc
from resources.wonderware.login import Login, Session
from resources.wonderware.refusals import DriverMissing

_log = logging.getLogger(__name__)
_ADVICE = "OpenSSL 3 (libssl.so.3 of your system) lets the faster driver mssql-python load"

Connect = Callable[[Login], Session]
DRIVERS: dict[str, Connect] = {"mssql-python": odbc.connect, "pymssql": freetds.connect}


def chosen(login: Login) -> tuple[str, Connect]:
    """The fastest driver that loads here, and its name. Connects once. Raises Stop, Faltered."""
    try:
        odbc.connect(login).close()
    except DriverMissing as error:
        _log.warning("%s: %s; pymssql is used. %s", login.where, error, _ADVICE)
        return "pymssql", freetds.connect
    return "mssql-python", odbc.connect


def missing_driver() -> str:
    """What keeps the faster driver from loading, and what to install; '' when it loads."""
    fault = odbc.load_fault()
    return f"{fault}: {_ADVICE}" if fault else ""
