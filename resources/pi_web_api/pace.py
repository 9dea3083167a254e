"""How much one request asks for: shrinks at once when the server refuses, grows slowly while it serves.

Two numbers move: `items`, events that one answer may hold, and `width`, points asked for together. A limit that the
server names itself is never crossed again. Whether PI counts MaxReturnedItemsPerCall per stream or per call is not
documented, so width × maxCount stays below it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.ports import Retry
from resources.pi_web_api.refusals import TooMuch

_NEVER = 1 << 62
PARTS = 8
"""What is too much for one point is asked for an eighth of the time."""
_HOLD = 8
"""So many answers come before more is asked again than what timed out: each try costs what somebody waits for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where asking starts and ends."""

    items: int = 150_000  # PI's default MaxReturnedItemsPerCall (facts 1.6)
    expected: int = 50_000  # events that an answer should hold: big enough to be cheap, small enough to be quick
    first_count: int = 2_000  # maxCount a stream while nothing is known of the density
    url_bytes: int = 8_000
    batch: int = 250
    stalls: int = 8  # timeouts in a row, each for less and with nothing served between, before it counts as hung


class Pace:
    """What the next request may ask; one a source, shared by its tasks."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.most = self.bounds.items
        self.items = float(self.most)
        self.width = 1e6
        self.batch = float(self.bounds.batch)
        self.url_bytes = self.bounds.url_bytes
        self.stalls = 0
        self.span_ns = _NEVER
        """The longest time to ask about in one question; it is bounded only where longer ones timed out."""
        self.lessons = 0
        """How often it was learned that less must be asked; what was asked before tells nothing new."""
        self._hold = self._span_hold = 0
        self._proved_count = 0  # the greatest maxCount that was answered
        self._density: float | None = None  # events a point and second

    def expected(self, span_s: float) -> float | None:
        """Events that a point is thought to have in a span, None before the first answer."""
        return None if self._density is None else self._density * span_s

    def shape(self, span_s: float, items: int) -> tuple[int, int]:
        """(points together, maxCount of each) for a span; no more than `items` events in one answer."""
        items = max(1, min(items, int(self.items), self.most))
        each = self.expected(span_s)
        if each is None:
            width = items // min(items, self.bounds.first_count)
        else:
            width = int(min(self.bounds.expected, items) / max(each * 1.3, 0.5))
        width = max(1, min(width, int(self.width), items))
        return width, max(1, items // width)

    def served(self, points: int, events: int, span_s: float, count: int = 0) -> None:
        """A request was answered: `events` of `points` over a span (0 seconds: it says nothing of the density), at most
        `count` of each."""
        self.stalls = 0
        self._proved_count = max(self._proved_count, count)
        if self._hold:
            self._hold -= 1
        else:
            self.items = min(self.most, self.items * 1.25 + 1)
            self.width = min(1e6, self.width * 1.25 + 1)
            self.batch = min(self.bounds.batch, self.batch * 1.25 + 1)
        if self._span_hold:
            self._span_hold -= 1
        else:
            self.span_ns = min(_NEVER, self.span_ns * 5 // 4 + 1)
        if points and span_s > 0:
            seen = events / points / span_s
            self._density = seen if self._density is None else 0.5 * (self._density + seen)

    def fewer(self, points: int, parts: int = 2) -> None:
        """A request for so many points failed: fewer next, whatever the reason, so that it always ends with one."""
        if points > 1:
            self._hold = _HOLD
            self.width = max(1.0, min(self.width, points / parts))
            self.batch = max(1.0, min(self.batch, points / parts))

    def refused(self, error: TooMuch, points: int, count: int, learned: int | None = None, span_ns: int = 0) -> None:
        """A request for `points` × `count` events was too much; `count` 0 stands for a question that returns none.

        `learned` are the lessons of when it was asked; `span_ns` is the time that it was about, where that is to be
        shorter from now on. Raises Retry when the server seems to hang.
        """
        if learned is not None and learned < self.lessons:
            return
        self.lessons += 1
        self.fewer(points, 2 << min(self.stalls, 3))
        if error.reason == "url":
            self.url_bytes = max(512, self.url_bytes // 2)
            return
        if error.reason == "body":
            return
        if error.reason == "span":
            return
        if error.reason == "time":
            self._hold = _HOLD
            self.stalls += 1
            if self.stalls >= self.bounds.stalls:
                self.stalls = 0
                raise Retry(f"{error}; {self.bounds.stalls} times in a row, also for less", after_s=60.0)
        if 0 < error.limit < self.most:
            self.most = error.limit
        if error.reason == "time" and points == 1 and span_ns and count <= self._proved_count:
            # As many events were had before: it is the time that is too long, and for the others, too.
            parts = PARTS if self.span_ns == _NEVER else 2
            self.span_ns = min(self.span_ns, max(span_ns // parts, 1))
            self._span_hold = 2 * _HOLD
            return
        if not count:
            return
        asked = points * count
        if error.reason == "items" and points == 1 and not error.limit:
            self.most = max(1, min(self.most, count // 2))
        self.items = max(1.0, min(self.items, error.limit or asked / 2, asked / 2 if asked > 1 else 1))
