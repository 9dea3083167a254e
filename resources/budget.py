"""What a plant's server may be asked for: requests a second, pauses that it wishes for, and quiet hours.

One budget a source: of all tasks and threads of a process, and with a file of all processes on this machine. There the
urgent ones (sync, which people look at) go first: a backfill beside them gives way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.plant import quiet_span
from pipelines.ports import Retry
from resources.turns import OwnTurns, SharedTurns

_DAY_S = 86_400
_WINDOW_S = 1.02
"""In any such span at most `requests_per_s` start; a little over a second, as the way to the server is not even."""
_COUNTED_PER_S = 5_000
"""A budget above it is none: its turns are not counted."""
_URGENT_S = 1.0
"""So long after an urgent request others wait for the next one."""
_GIVE_WAY_S = 5.0
"""At most so long a request gives way: a backfill beside a sync that never rests still ends."""


class Budget:
    """Gives out the instants at which requests may start: never more than `requests_per_s` in a second.

    `clock` gives UTC seconds since 1970 (for quiet hours), `ticks` monotonic seconds (of a budget without a file).
    """

    def __init__(
        self,
        requests_per_s: float,
        quiet_hours: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        shared: Path | None = None,
        urgent: bool = False,
    ) -> None:
        self._step_s = 1.0 / requests_per_s
        # A quarter of a second's worth may come at once: bursts are what a server's own limiter punishes.
        self._burst_s = max(self._step_s, 0.25)
        self._per_window = max(1, int(requests_per_s)) if requests_per_s <= _COUNTED_PER_S else 0
        self._quiet = [quiet_span(text) for text in quiet_hours]
        self._clock = clock
        self._turns = OwnTurns(ticks) if shared is None else SharedTurns(shared)
        self._urgent = urgent
        self.asked = 0
        """Turns that were taken here, not those of other processes."""

    async def admit(self) -> None:
        """Waits for this request's turn. Raises Retry in quiet hours, `after_s` until their end."""
        self.check_quiet()
        await self._give_way()
        wait_s = self.reserve()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
            self.check_quiet()

    def reserve(self) -> float:
        """Takes a turn and returns the seconds until it."""
        with self._turns.held() as turns:
            self.asked += 1
            now_s = self._turns.ticks()
            full = 0 < self._per_window <= len(turns.given)
            turn_s = max(
                turns.next_s,
                now_s - self._burst_s + self._step_s,
                turns.not_before_s,
                turns.given[-self._per_window] + _WINDOW_S if full else 0.0,
            )
            turns.next_s = turn_s + self._step_s
            starts_s = max(turn_s, now_s)
            turns.given = [*turns.given, starts_s][-self._per_window :] if self._per_window else []
            if self._urgent:
                turns.urgent_until_s = starts_s + _URGENT_S
            return starts_s - now_s

    def pause(self, seconds: float) -> None:
        """No request starts before `seconds` from now: the server asked for it, or is in trouble."""
        with self._turns.held() as turns:
            turns.not_before_s = max(turns.not_before_s, self._turns.ticks() + seconds)

    async def _give_way(self) -> None:
        """Waits while others that are urgent ask, for some seconds at most."""
        if self._urgent:
            return
        gave_s = 0.0
        while gave_s < _GIVE_WAY_S:
            with self._turns.held() as turns:
                left_s = turns.urgent_until_s - self._turns.ticks()
            if left_s <= 0:
                return
            left_s = min(left_s, _GIVE_WAY_S - gave_s, 0.25)
            await asyncio.sleep(left_s)
            gave_s += left_s

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


def used_share(shared: Path, requests_per_s: float) -> float | None:
    """How fast the newest requests of a shared budget came, beside what it allows; None before the first one."""
    if not shared.exists():
        return None
    turns = SharedTurns(shared)
    with turns.held() as held:
        given, now_s = list(held.given), turns.ticks()
    if not given:
        return None
    return min(1.0, len(given) / max(now_s - given[0], _WINDOW_S) / requests_per_s)


def _left_in(span: tuple[int, int], of_day_s: float) -> float:
    """Seconds until the span of the day ends, 0 outside of it; it may pass midnight."""
    begin_s, end_s = span
    if begin_s == end_s:
        return 0.0
    length_s = (end_s - begin_s) % _DAY_S
    into_s = (of_day_s - begin_s) % _DAY_S
    return length_s - into_s if into_s < length_s else 0.0
