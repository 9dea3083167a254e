"""What a PI server's refusal means: its status, a code of PI's and the kind decide (facts/historians.md 1.10).

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
_BUSY = "[-10735]"  # PINET: Session Manager Transaction List Full
_TIMED_OUT = "[-10722]"  # PINET: Timeout on PI RPC or System Call
_COLLECTED = "[-11091]"  # Event collection exceeded the maximum allowed: ArcMaxCollect
_TIME_OUT = re.compile(r"time[ds]?[\s-]*out", re.IGNORECASE)
_TIME_OUTS = frozenset({408, 504, 522, 524, 598, 599})  # from 522 on: of gateways
_TRANSIENT = frozenset({425, 429})
_LIMITS = {413: "body", 414: "url", 431: "url"}
_FINAL = frozenset({401, 403, 404, 405, 409, 410, 501})


class TooMuch(Split):
    """The server, or something before it, will not answer as much as was asked at once."""

    def __init__(self, message: str, reason: str, limit: int = 0) -> None:
        super().__init__(message)
        # items | url | body | time | span (too many events in it) | bytes (the answer is more than is taken here)
        self.reason = reason
        self.limit = limit  # items that the server named as its most, 0 for none


class Refused(FerryError):
    """An answer that will be the same next time."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def final(self) -> bool:
        """Whether it is said of whatever is asked. Another may be of how much is asked, in words that nobody knows."""
        return self.status in _FINAL


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


class TimedOut(Trouble):
    """The server, or something before it, gave up waiting for its own answer: said twice, it is too much."""


def refusal(status: int, text: str, after_s: float = 0.0) -> TooMuch | Refused | Trouble:
    """The error for a status that is not a success, or for an error within one that is; `text` is the server's own."""
    message = f"{status}: {text}" if text and status != 200 else text or str(status)
    found: TooMuch | Refused | Trouble | None = _by_text(status, text, message, after_s)
    if found is None and status in (401, 403):
        found = Denied(message, status)
    if found is None and status in _LIMITS:
        found = TooMuch(message, _LIMITS[status])
    if found is None and (status == 200 or status in _TRANSIENT or (status >= 500 and status not in _FINAL)):
        found = Trouble(message, status, after_s)
    return found or Refused(message, status)


def _by_text(status: int, text: str, message: str, after_s: float) -> TooMuch | Trouble | None:
    """What codes and words say that are the same at whatever status; None for a text that says nothing of the kind."""
    if _BUSY in text:
        return Trouble(message, 429, after_s)
    if _COLLECTED in text:
        return TooMuch(message, "span")
    if OVER_LIMIT in text:
        named = _LIMIT.search(text)
        return TooMuch(message, "items", int(named[1]) if named else 0)
    if status in _TIME_OUTS or _TIMED_OUT in text or (status >= 500 and _TIME_OUT.search(text)):
        return TimedOut(message, status, after_s)
    return None


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
