"""Forecast: what a backfill would do. Asks the ledger, and the source for counts; changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc

from assets_defs.line import Line
from pipelines.planning import Density
from pipelines.plant import SourceSettings
from pipelines.points import Point, in_group, merge_catalogue, selected
from pipelines.ports import SliceRecord, Source
from pipelines.timeline import SECOND_NS, Interval, missing

ASSUMED_EVENTS_PER_S = 100_000.0
"""Until a backfill of this source has shown its own rate."""
_MOVING = frozenset({"landed", "written", "verified"})
_PAUSE_NS = 120 * SECOND_NS
"""A longer silence in the ledger separates two runs."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the newest stretch of work went: verified events, slice time and seconds; `last_ns` is its end."""

    events: int
    slice_ns: int
    seconds: float
    last_ns: int

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of one group and window that is still to be moved. `events` is None where nobody could tell."""

    group: str
    window: Interval
    span: Interval
    events: int | None = None
    slices: int = 1


@dataclass(slots=True)
class Forecast:
    """What would run. `events_from` is where the events come from: the source, the ledger's density, or nowhere."""

    points: int
    gaps: list[Gap] = field(default_factory=list)
    events_from: str = "source"
    events_per_s: float = ASSUMED_EVENTS_PER_S
    rate_from: str = "assumed"
    silent: dict[str, str] = field(default_factory=dict)
    mends: int = 0
    """Points that are unproved where their group is covered, and that the source still has."""

    @property
    def events(self) -> int | None:
        """Events to move, None where nobody could tell."""
        known = [gap.events for gap in self.gaps if gap.events is not None]
        return sum(known) if len(known) == len(self.gaps) else None

    @property
    def slices(self) -> int:
        return sum(gap.slices for gap in self.gaps)

    @property
    def minutes(self) -> float | None:
        return None if self.events is None else self.events / self.events_per_s / 60


def pace_of(history: Iterable[SliceRecord]) -> Pace | None:
    """The newest stretch of work in the ledger without a long pause; None when there is none to learn from."""
    moving = (each for each in history if each.recorded_ns and each.state in _MOVING)
    records = sorted(moving, key=lambda each: each.recorded_ns, reverse=True)
    stretch: list[SliceRecord] = []
    for record in records:
        if stretch and stretch[-1].recorded_ns - record.recorded_ns > _PAUSE_NS:
            break
        stretch.append(record)
    done = [record for record in stretch if record.state == "verified"]
    seconds = (stretch[0].recorded_ns - stretch[-1].recorded_ns) / SECOND_NS if stretch else 0.0
    if not done or seconds < 0.5:
        return None
    return Pace(
        sum(each.events for each in done), sum(each.slice.span.length_ns for each in done), seconds,
        stretch[0].recorded_ns,
    )  # fmt: skip


def forecast(line: Line, settings: SourceSettings, span: Interval, globs: Sequence[str], offline: bool) -> Forecast:
    """What a backfill of the span would do. Raises Unreachable, unless `offline`."""
    name = settings.name
    history = line.ledger.history(name, None, Interval(settings.start, max(span.end_ns, settings.start + 1)))
    points = selected(line.catalogue(settings), globs or ("*",))
    found = Forecast(len(points))
    if (pace := pace_of(line.ledger.newest(name))) is not None and pace.events:
        found.events_per_s, found.rate_from = pace.events_per_s, "ledger"
    bare = [
        Gap(group, window, gap)
        for window in line.windows(settings, span)
        if (part := window.intersect(span))
        for group in line.groups(settings)
        for gap in missing(part, line.ledger.coverage(name, group))
    ]
    known = {point.id for point in points}
    found.mends = len({each.point for each in line.ledger.exclusions(name, None, span)} & known)
    if offline:
        _by_density(found, bare, settings, points, Density.of(history))
    elif bare:
        asyncio.run(_by_source(found, bare, line.outside.source(settings), settings, points, globs))
    found.gaps = [_sliced(gap, line.plant.limits.slice_events) for gap in found.gaps]
    return found


def _by_density(
    found: Forecast, bare: list[Gap], settings: SourceSettings, points: list[Point], density: Density
) -> None:
    found.events_from = "ledger" if density.known else "unknown"
    for gap in bare:
        number = len(in_group(points, gap.group, settings.point_groups))
        rate = density.events / density.point_ns if density.known else None
        events = None if rate is None else round(rate * number * gap.span.length_ns)
        found.gaps.append(Gap(gap.group, gap.window, gap.span, events))


async def _by_source(
    found: Forecast, bare: list[Gap], source: Source, settings: SourceSettings, points: list[Point],
    globs: Sequence[str],
) -> None:  # fmt: skip
    try:
        if not points:  # never discovered: look, and record nothing
            points = selected(merge_catalogue([], await source.discover()), globs or ("*",))
            found.points = len(points)
        for gap in bare:
            mine = in_group(points, gap.group, settings.point_groups)
            if not mine:
                found.gaps.append(Gap(gap.group, gap.window, gap.span, 0))
                continue
            said = await source.tally(mine, gap.span)
            found.silent.update(said.failed)
            found.gaps.append(Gap(gap.group, gap.window, gap.span, pc.sum(said.table["events"]).as_py() or 0))
    finally:
        await source.close()


def _sliced(gap: Gap, slice_events: int) -> Gap:
    slices = max(-(-(gap.events or 0) // slice_events), 1)
    return Gap(gap.group, gap.window, gap.span, gap.events, slices)
