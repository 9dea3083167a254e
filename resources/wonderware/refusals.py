"""What a Historian's refusal means to this package; the drivers decide it from number, SQLSTATE or kind of failure."""

from __future__ import annotations

from pipelines.ports import FerryError, Split, Stop

# Numbers of SQL Server (sys.messages).
LOGIN_REFUSED = frozenset({4060, 18450, 18452, 18456, 18470, 18486, 18487, 18488})
_NOT_ALLOWED = frozenset({229, 230, 916})
_NOT_THERE = frozenset({207, 208})
_TRANSIENT = frozenset({701, 1204, 1205, 1222, 8645, 40197, 40501, 40613, 49918})
_TOO_LONG = frozenset({102, 103, 191, 8003, 8623, 8631, 8632})


class TooMuch(Split):
    """The server will not answer as much at once: more rows than wanted, too long a statement, too long a wait."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason  # rows | statement | time | unknown: whose fault it is does not follow from the answer


BLAMED = frozenset({"statement", "unknown"})
"""Reasons that are one tag's where it was asked for alone: less of its time changes nothing."""


class Faltered(Exception):
    """One try failed in a way that another, on a new connection, may not; `reached`: somebody had answered."""

    def __init__(self, message: str, *, reached: bool = True) -> None:
        super().__init__(message)
        self.reached = reached


def meaning(number: int, said: str, user: str) -> Exception:
    """What an error of a statement means; `said` is the server's own text with where it was said."""
    if number in LOGIN_REFUSED | _NOT_ALLOWED:
        return Stop(f"{said}. The login as {user} may not read this")
    if number in _NOT_THERE:
        return Stop(f"{said}. Is it the Runtime database of a Historian? The plant file's `database` names another")
    if number in _TRANSIENT:
        return Faltered(said)
    return TooMuch(said, "statement" if number in _TOO_LONG else "unknown")


class DriverMissing(FerryError):
    """The driver is installed, and cannot be loaded on this machine."""
