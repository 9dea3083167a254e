"""What a Historian's refusal means to this package; the drivers decide it from number, SQLSTATE or kind of failure."""

from __future__ import annotations

from pipelines.ports import FerryError, Split


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


class DriverMissing(FerryError):
    """The driver is installed, and cannot be loaded on this machine."""
