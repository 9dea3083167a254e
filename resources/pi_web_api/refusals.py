"""What a PI server's refusal means. The status and the kind of failure decide (facts/historians.md 1.10).

`TooMuch` and `Refused` stay inside this package unless nothing smaller can be asked: then TooMuch is a Split.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipelines.ports import FerryError, Retry, Split

OVER_LIMIT = "is greater than the maximum allowed"
_LIMIT = re.compile(re.escape(OVER_LIMIT) + r"\D{0,12}(\d+)")
_LONGEST_WAIT_S = 600.0
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class TooMuch(Split):
    """The server, or something before it, will not answer as much as was asked at once."""

    def __init__(self, message: str, reason: str, limit: int = 0) -> None:
        super().__init__(message)
        self.reason = reason  # items | url | body | time | bytes: the answer is more than is taken here
        self.limit = limit  # items that the server named as its most, 0 for none


class Refused(FerryError):
    """An answer that will be the same next time."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Denied(Refused):
    """401 or 403: of the whole login before it was seen to work (Stop then), of a point or a form of asking later."""


class Trouble(Retry):
    """The server failed; `exhausted` when it was tried until patience ended.

    `status` is the last one: 0 for a broken connection, 200 for a broken body.
    """

    def __init__(self, message: str, status: int = 0, after_s: float = 0.0, exhausted: bool = False) -> None:
        super().__init__(message, after_s)
        self.status = status
        self.exhausted = exhausted

    @property
    def personal(self) -> bool:
        """Whether one point may be to blame, and not the server as a whole."""
        return self.status in (200, 500)


def refusal(status: int, text: str, after_s: float = 0.0) -> TooMuch | Refused | Trouble:
    """The error for a status that is not a success; `text` is the server's own."""
    message = f"{status}: {text}" if text else str(status)
    if status in (401, 403):
        return Denied(message, status)
    if status in TRANSIENT:
        return Trouble(message, status, after_s)
    if status == 400 and OVER_LIMIT in text:
        named = _LIMIT.search(text)
        return TooMuch(message, "items", int(named[1]) if named else 0)
    if status in (414, 431):
        return TooMuch(message, "url")
    if status == 413:
        return TooMuch(message, "body")
    return Refused(message, status)


def seconds_of(retry_after: str | None) -> float:
    """Retry-After, in seconds or as a date, in seconds from now; 0 where it is neither, at most 10 minutes."""
    text = (retry_after or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if math.isfinite(seconds) else 0.0
