"""The error classes. The class of an error decides what happens, never its text (design.md, rule 5).

- `Retry`    transient; the client has given up for now; the slice is tried again later
- `Split`    too much was asked at once; ask for less
- `Skip`     one point is bad; report it, hold nobody else back
- `Stop`     credentials or configuration; a person must act; nothing is retried
- `Unreachable` (a Retry) nobody answers; `NoRoom` (a Stop) disk or memory is full
"""

from __future__ import annotations

from pipelines.ports.secrecy import without_secrets
from pipelines.timeline import TICK_NS, Interval


class FerryError(Exception):
    """The root of every error that the product raises on purpose; its text is for a person, and without secrets."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class Retry(FerryError):
    """Transient; `after_s` seconds is the earliest that another try makes sense."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Unreachable(Retry):
    """Nobody answers at the address."""


class Split(FerryError):
    """Too much was asked at once: fewer points, or a shorter time.

    `crowded_ns` is the stamp that most of the events have, where one has: halves of the time would close in on it for
    forty questions.
    """

    def __init__(self, message: str, crowded_ns: int | None = None) -> None:
        super().__init__(message)
        self.crowded_ns = crowded_ns

    def parts(self, span: Interval) -> tuple[Interval, Interval]:
        """The span cut before the crowded stamp, or after it where it begins with it; else its halves. Raises
        ValueError where it is too short to cut."""
        if self.crowded_ns is not None:
            before_ns = self.crowded_ns // TICK_NS * TICK_NS
            for cut_ns in (before_ns, before_ns + TICK_NS):
                if span.start_ns < cut_ns < span.end_ns:
                    return Interval(span.start_ns, cut_ns), Interval(cut_ns, span.end_ns)
        return span.halves()


class Skip(FerryError):
    """One point cannot be had; `point` is its id."""

    def __init__(self, point: str, message: str) -> None:
        super().__init__(message)
        self.point = point


class Stop(FerryError):
    """Credentials or configuration: trying again changes nothing."""


class NoRoom(Stop):
    """Disk or memory is full."""
