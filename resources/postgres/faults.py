"""Errors of PostgreSQL → the domain's classes, by SQLSTATE and never by text where there is a code.

Codes: PostgreSQL manual, appendix A "PostgreSQL Error Codes".
"""

from __future__ import annotations

import psycopg

from pipelines.ports import FerryError, NoRoom, Retry, Stop

NO_ROOM = frozenset({"53000", "53100", "53200"})
GONE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
_RETRY = frozenset({"53300", "53400", "55P03", "57014", "40001", "40P01"})
_STOP = {
    "42501": "lacks a right in PostgreSQL",
    "25006": "is connected to a read-only PostgreSQL (a standby?)",
    "42P01": "has no tables yet, or not all of them; migrate it first",
    "42883": "has not all of its functions; migrate it first",
    "3F000": "has no schema to work in: check search_path in the DSN",
}
_REFUSED = ("does not exist", "pg_hba.conf", "not permitted to log in", "SSL", "certificate")


def gone(error: psycopg.Error, connection: psycopg.Connection) -> bool:
    """Whether the connection is lost, so that another one may do better."""
    return connection.closed or connection.broken or error.sqlstate in GONE


def domain_error(error: psycopg.Error) -> FerryError | None:
    """The domain's error for one that came over a living connection; None for a fault in our own statements."""
    code, text = error.sqlstate or "", first_line(error)
    if code in NO_ROOM:
        return NoRoom(f"PostgreSQL has no room: {text}")
    if code in _STOP:
        return Stop(f"the ledger {_STOP[code]}: {text}")
    if code in _RETRY or isinstance(error, psycopg.OperationalError):
        return Retry(f"PostgreSQL could not do it now: {text}", after_s=1.0)
    return None


def refused(error: psycopg.OperationalError) -> bool:
    """Whether a server answered and turned us away for good: a password, a role, a database.

    libpq gives no SQLSTATE for a connection that never was, hence the text; an unknown one counts as transient.
    """
    attempt = error.pgconn
    if attempt is not None and (attempt.used_password or attempt.needs_password):
        return True
    return any(part in str(error) for part in _REFUSED)


def first_line(error: psycopg.Error) -> str:
    """What the server says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
