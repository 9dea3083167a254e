"""What a plant's server may be asked for: requests a second, pauses that it wishes for, and quiet hours.

One budget a source, shared by all of its tasks and threads; two processes each have their own (a shared one would
take the place of `Budget` in `Transport`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from pipelines.plant import quiet_span
from pipelines.ports import Retry

_DAY_S = 86_400


class Budget:
    """A token bucket that gives out the instants at which requests may start.

    `clock` gives UTC seconds since 1970 (for quiet hours), `ticks` monotonic seconds.
    """

    def __init__(
        self,
        requests_per_s: float,
        quiet_hours: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step_s = 1.0 / requests_per_s
        # A quarter of a second's worth may come at once: bursts are what a server's own limiter punishes.
        self._burst_s = max(self._step_s, 0.25)
        self._quiet = [quiet_span(text) for text in quiet_hours]
        self._clock = clock
        self._ticks = ticks
        self._next_s = 0.0
        self._not_before_s = 0.0
        self._lock = threading.Lock()

    async def admit(self) -> None:
        """Waits for this request's turn. Raises Retry in quiet hours, `after_s` until their end."""
        self.check_quiet()
        wait_s = self.reserve()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
            self.check_quiet()

    def reserve(self) -> float:
        """Takes a turn and returns the seconds until it."""
        with self._lock:
            now_s = self._ticks()
            turn_s = max(self._next_s, now_s - self._burst_s + self._step_s, self._not_before_s)
            self._next_s = turn_s + self._step_s
            return max(0.0, turn_s - now_s)

    def pause(self, seconds: float) -> None:
        """No request starts before `seconds` from now: the server asked for it, or is in trouble."""
        with self._lock:
            self._not_before_s = max(self._not_before_s, self._ticks() + seconds)

    def check_quiet(self) -> None:
        """Raises Retry in quiet hours."""
        left_s = self.quiet_left_s()
        if left_s > 0:
            raise Retry(f"quiet hours of the source; they end in {left_s:.0f} s", after_s=left_s)

    def quiet_left_s(self) -> float:
        """Seconds until the end of the quiet hours, 0 outside of them; spans that touch count as one."""
        now_s = self._clock()
        left_s = 0.0
        for _ in self._quiet:
            of_day_s = (now_s + left_s) % _DAY_S
            left_s += max((_left_in(span, of_day_s) for span in self._quiet), default=0.0)
        return min(left_s, _DAY_S)


def _left_in(span: tuple[int, int], of_day_s: float) -> float:
    """Seconds until the span of the day ends, 0 outside of it; it may pass midnight."""
    begin_s, end_s = span
    if begin_s == end_s:
        return 0.0
    length_s = (end_s - begin_s) % _DAY_S
    into_s = (of_day_s - begin_s) % _DAY_S
    return length_s - into_s if into_s < length_s else 0.0
