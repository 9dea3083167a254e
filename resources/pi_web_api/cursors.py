"""Paging through one stream by time, right with any number of events at one stamp.

PI gives no cursor: a page is `[from, to]`, both ends included, cut at maxCount. A full page may end amid ties, so its
last stamp is dropped and read again, inclusively, from the very text that the server wrote (facts/historians.md 1.6).
A page that is full of one stamp is asked for again with a bigger maxCount, up to the server's most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.points import Point
from pipelines.samples import Size
from pipelines.timeline import SECOND_NS, TICK_NS, Interval, iso

Int64s = npt.NDArray[np.int64]


@dataclass(slots=True)
class Cursor:
    """How far one point was read. Times are ns on whole ticks; `reach_ns` and `last_ns` are included."""

    number: int  # the point's place in the pull
    point: Point
    start_ns: int
    last_ns: int
    reach_ns: int
    start_text: str
    need: int = 0  # maxCount must be at least this
    tries: int = 0  # of this very question
    shrunk: int = 0  # how often in a row it was made smaller
    most: int = 2**62  # maxCount should be no more than this
    slim: bool = True
    events: int = 0
    size: Size = field(default_factory=Size)  # of `parts`
    parts: list[pa.Table] = field(default_factory=list)

    def query(self, count: int) -> tuple[tuple[str, str], ...]:
        """The recorded events of the next page."""
        return recorded_query(self.start_text, pi_time(self.reach_ns), count)

    def expected_rest(self, begin_ns: int) -> float | None:
        """Events still to come, as dense as those read so far since `begin_ns`; None while nothing is known."""
        done_ns = self.start_ns - begin_ns
        return self.events / done_ns * (self.last_ns - self.start_ns) if done_ns > 0 else None

    def within(self, most_ns: int) -> None:
        """Asks for no longer a time than this."""
        self.reach_ns = min(self.reach_ns, self.start_ns + max(most_ns, 0) // TICK_NS * TICK_NS)

    def shrink(self, parts: int, count: int = 0) -> bool:
        """Asks for one of so many parts of the time next, and of `count` events where that is given; False where it
        is an instant."""
        span_ns = self.reach_ns - self.start_ns
        if span_ns < TICK_NS:
            return False
        self.most = max(1, count // parts) if count else self.most
        self.reach_ns = self.start_ns + span_ns // parts // TICK_NS * TICK_NS
        self.shrunk += 1
        return True


@dataclass(frozen=True, slots=True)
class Step:
    """What one page means: keep rows [0, keep); then `done`, `stuck` with a reason, or ask on. `stray` rows at its end
    are later than what was asked for."""

    keep: int
    stray: int = 0
    done: bool = False
    stuck: str = ""


def cursor(number: int, point: Point, span: Interval) -> Cursor | None:
    """At the beginning of a half-open span, or None where no whole tick lies in it."""
    start_ns = -(-span.start_ns // TICK_NS) * TICK_NS
    last_ns = -(-span.end_ns // TICK_NS) * TICK_NS - TICK_NS
    if last_ns < start_ns:
        return None
    return Cursor(number, point, start_ns, last_ns, last_ns, pi_time(start_ns))


def advance(at: Cursor, times: Int64s, last_text: str, asked: int, most: int) -> Step:
    """Moves the cursor over a page of rising `times` (ns), of at most `asked` events, and says what it means.

    `last_text` is the last event's time as the server wrote it; `most` the greatest maxCount that it takes.
    """
    rows = len(times)
    within = int(np.searchsorted(times, at.reach_ns, side="right"))
    if rows < asked or within < rows:  # all that was asked is here
        return _short_page(at, within, rows - within)
    first, last = int(times[0]), int(times[-1])
    if first == last:
        if asked >= most:
            return Step(0, stuck=f"more events at {iso(last)} than one answer may hold ({most})")
        at.need = min(max(asked * 2, 2), most)
        _restart(at, last, last_text)
        return Step(0)
    at.need = 0
    _restart(at, last, last_text)
    keep = int(np.searchsorted(times, last, side="left"))
    at.events += keep
    return Step(keep)


def pi_time(time_ns: int) -> str:
    """ISO 8601 with Z and seven digits, as PI ticks need; `time_ns` is on a whole tick."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{iso(seconds * SECOND_NS)[:-1]}.{rest // TICK_NS:07d}Z"


def recorded_query(start: str, end: str, count: int) -> tuple[tuple[str, str], ...]:
    """Recorded events from `start` to `end`, both included, at most `count` a stream."""
    return (("startTime", start), ("endTime", end), ("boundaryType", "Inside"), ("maxCount", str(count)))


def _short_page(at: Cursor, keep: int, stray: int) -> Step:
    at.events += keep
    at.need = 0
    if at.reach_ns >= at.last_ns:
        return Step(keep, stray, done=True)
    stride_ns = at.reach_ns - at.start_ns
    _restart(at, at.reach_ns + TICK_NS, pi_time(at.reach_ns + TICK_NS))
    at.reach_ns = min(at.last_ns, at.start_ns + 2 * stride_ns + TICK_NS)
    return Step(keep, stray)


def _restart(at: Cursor, start_ns: int, text: str) -> None:
    at.start_ns, at.start_text = start_ns, text
    at.tries = at.shrunk = 0
    at.most = min(2 * at.most, 2**62)
