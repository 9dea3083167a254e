"""Gaps → slices → run rectangles. Decides what would run; runs nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.ledger import COUNTS
from pipelines.points import group_label
from pipelines.ports import SliceRecord
from pipelines.timeline import MINUTE_NS, TICK_NS, Interval

FIRST_SLICE_SHARE = 24
"""An unknown density is felt out with one slice of this fraction of the gap."""
GROWTH_MAX = 8.0
"""A slice is at most so many times longer than the longest that was tried: density is not the same everywhere."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """What one run does: consecutive groups × consecutive windows of one source."""

    source: str
    groups: tuple[str, ...]
    windows: tuple[Interval, ...]

    @property
    def pairs(self) -> Iterator[tuple[str, Interval]]:
        """Every (group, window), windows outermost: the plant's days arrive one after the other."""
        return ((group, window) for window in self.windows for group in self.groups)


@dataclass(slots=True)
class Density:
    """Events per point and nanosecond of one source, learned from finished slices. Thread-safe."""

    events: float = 0.0
    point_ns: float = 0.0
    longest_ns: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, history: Iterable[SliceRecord]) -> Density:
        """What the ledger knows of this source already."""
        density = cls()
        for record in history:
            if record.state in COUNTS and record.points:
                density.learn(record.events, record.points, record.slice.span.length_ns)
        return density

    def learn(self, events: int, points: int, length_ns: int) -> None:
        """Takes one finished slice into account; older ones fade, so that a change of the plant is followed."""
        with self._lock:
            self.events = self.events * 0.9 + events
            self.point_ns = self.point_ns * 0.9 + float(points) * length_ns
            self.longest_ns = max(self.longest_ns, length_ns)

    @property
    def known(self) -> bool:
        return self.point_ns > 0

    def slice_ns(self, points: int, gap_ns: int, target_events: int) -> int:
        """How long a slice of so many points should be to hold about `target_events`; whole minutes."""
        if not self.known:
            wanted = gap_ns / FIRST_SLICE_SHARE
        else:
            rate = self.events / self.point_ns * max(points, 1)
            wanted = min(target_events / rate if rate > 0 else gap_ns, self.longest_ns * GROWTH_MAX)
        if wanted >= gap_ns * 0.75:  # a short rest would cost a request of its own
            return gap_ns
        return max(int(wanted) // MINUTE_NS, 1) * MINUTE_NS


def next_slice(gap: Interval, points: int, density: Density, target_events: int) -> tuple[Interval, Interval | None]:
    """Cuts one slice off the start of a gap: (slice, rest or None)."""
    length = density.slice_ns(points, gap.length_ns, target_events)
    cut = (gap.start_ns + length) // MINUTE_NS * MINUTE_NS
    if cut <= gap.start_ns or cut >= gap.end_ns:
        return gap, None
    return Interval(gap.start_ns, cut), Interval(cut, gap.end_ns)


def can_halve(span: Interval) -> bool:
    """Whether a slice can still be cut in two."""
    return span.length_ns >= 2 * TICK_NS


def rectangles(
    source: str,
    groups: int,
    windows: Sequence[Interval],
    wanted: Iterable[tuple[str, Interval]],
    windows_per_run: int,
) -> list[Rectangle]:
    """Run rectangles that hold all `wanted` pairs and little else, at most `windows_per_run` windows each.

    Groups and windows of a rectangle are consecutive, as Dagster's range tags need.
    """
    order = {window: index for index, window in enumerate(windows)}
    by_window: dict[int, set[str]] = {}
    for group, window in wanted:
        by_window.setdefault(order[window], set()).add(group)
    labels = [group_label(index) for index in range(groups)]
    runs: list[Rectangle] = []
    for chunk in _consecutive(sorted(by_window), windows_per_run):
        needed = set().union(*(by_window[index] for index in chunk))
        for span in _consecutive([i for i, label in enumerate(labels) if label in needed], groups):
            runs.append(Rectangle(source, tuple(labels[i] for i in span), tuple(windows[i] for i in chunk)))
    return runs


def _consecutive(numbers: Sequence[int], longest: int) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) >= longest):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
