"""Progress of long work: a moving bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from cli.screen import Screen

if TYPE_CHECKING:
    from rich.progress import Progress

_PLAIN_EVERY_S = 5.0
_RATE_OVER_S = 30.0
_SHARE_MIN = 0.02
"""Before so much is through, a time left would be a guess."""


class Downloads:
    """What servers still have to fetch. `update` may be called from any thread."""

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen, self._clock = screen, clock
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._said_s = -_PLAIN_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def update(self, done_bytes: int, total_bytes: int, what: str) -> None:
        """Bytes there, bytes in all, and what has just come."""
        with self._lock:
            if self._screen.live:
                self._move(done_bytes, total_bytes, what)
            elif done_bytes >= total_bytes or self._clock() - self._said_s >= _PLAIN_EVERY_S:
                self._said_s = self._clock()
                share = 100 * done_bytes // max(total_bytes, 1)
                self._screen.note(f"downloading servers: {done_bytes >> 20} of {total_bytes >> 20} MiB ({share} %)")

    def _move(self, done_bytes: int, total_bytes: int, what: str) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (
                TextColumn("downloading servers"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                TextColumn("{task.description}", style="dim"),
            )  # fmt: skip
            self._bar = self._stack.enter_context(Progress(*columns, console=self._screen.aside, transient=True))
            self._bar.add_task(what, total=total_bytes)
        self._bar.update(self._bar.task_ids[0], completed=done_bytes, description=what)
        if done_bytes >= total_bytes:
            self._stack.close()


class Moving:
    """A backfill on its way. The time left comes from the share of the gaps' time that is through."""

    def __init__(self, screen: Screen, gap_ns: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen, self._gap_ns, self._clock = screen, max(gap_ns, 1), clock
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._began_s = self._said_s = clock()
        self._recent: list[tuple[float, int]] = []
        self._group = ""
        self._waited_for: list[str] = []
        self.events = 0
        self.done_ns = 0

    def __enter__(self) -> Self:
        if self._screen.live:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.fields[group]}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
                TextColumn("{task.fields[events]} events", style="cyan"), TextColumn("{task.fields[rate]}/s"),
                TimeElapsedColumn(), TextColumn("{task.fields[left]}", style="dim"),
            )  # fmt: skip
            self._bar = self._stack.enter_context(Progress(*columns, console=self._screen.aside, transient=True))
            self._bar.add_task("backfill", total=self._gap_ns, group="", events="0", rate="0", left="starting")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def share(self) -> float:
        """What is through of the gaps' time, 0 to 1."""
        return min(self.done_ns / self._gap_ns, 1.0)

    @property
    def events_per_s(self) -> float:
        """The rate of the last half minute."""
        since_s = self._recent[0][0] if len(self._recent) > 1 else self._began_s
        moved = sum(events for at_s, events in self._recent if at_s > since_s)
        return moved / max(self._clock() - since_s, 0.001)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far; None as long as nobody can tell."""
        return (self._clock() - self._began_s) * (1 / self.share - 1) if self.share >= _SHARE_MIN else None

    def take(self, event: dict[str, Any]) -> None:
        """One event of assets_defs.backfill."""
        if event["kind"] == "slice":
            self._slice(event)
        elif event["kind"] == "pair":
            self._pair(event)
        elif event["kind"] == "waiting" and event["holders"] != self._waited_for:
            self._waited_for = event["holders"]
            self._screen.note(
                f"waiting for {', '.join(event['holders'])}, which works on this source: one run at a time. Ctrl-C "
                "ends the waiting",
                style="yellow",
            )
        elif event["kind"] == "stopping":
            self._screen.note("stopping… what is being moved is brought to an end or left for the next time")

    def _slice(self, event: dict[str, Any]) -> None:
        now_s = self._clock()
        if not self.done_ns:  # the start of the run's process says nothing about its pace
            self._began_s = now_s - event["seconds"]
        self.events += event["events"]
        self.done_ns += event["end_ns"] - event["start_ns"]
        self._group = event["group"]
        self._recent = [each for each in self._recent if now_s - each[0] < _RATE_OVER_S]
        self._recent.append((now_s, event["events"]))
        if event["state"] == "quarantined":
            self._screen.note(f"{event['group']}: quarantined: {event['note']}", style="yellow")
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=min(self.done_ns, self._gap_ns), group=self._group,
                events=f"{self.events:,}", rate=f"{self.events_per_s:,.0f}", left=self._left(),
            )  # fmt: skip
        elif now_s - self._said_s >= _PLAIN_EVERY_S:
            self._line(self._group)

    def _pair(self, event: dict[str, Any]) -> None:
        for problem in event["problems"]:
            self._screen.note(f"{event['group']} {event['window']}: {problem}", style="yellow")
        if self._bar is None:
            unproved = f", {len(event['unproved'])} points unproved" if event["unproved"] else ""
            self._line(f"{event['group']} {event['window']} through: {event['events']:,} events{unproved}")

    def _line(self, what: str) -> None:
        self._said_s = self._clock()
        self._screen.note(
            f"{self.share:4.0%}  {self.events:,} events  {self.events_per_s:,.0f}/s  {self._left()}  {what}", style=None
        )

    def _left(self) -> str:
        return "" if self.left_s is None else f"{duration(self.left_s)} left"


def percent(share: float) -> str:
    """A share in percent, rounded down: 100 % is said of the whole only."""
    return f"{math.floor(share * 1000) / 10:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"
