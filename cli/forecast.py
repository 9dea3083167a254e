"""Forecast: what a backfill would do. Asks the ledger, and the source for counts; changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc

from assets_defs.line import Line
from pipelines.landing import DamagedLanding
from pipelines.planning import Density
from pipelines.plant import SourceSettings
from pipelines.points import Point, in_group, merge_catalogue, selected
from pipelines.ports import SliceRecord, Source
from pipelines.timeline import SECOND_NS, Interval, missing

_RUNS = 5
"""So many of the last runs show the pace: one alone may have met a busy hour."""
_PACE_MIN_S = 0.5
"""What took less shows no rate."""
_LANDED_MAX = 200
"""So many of the newest landed files show what an event takes on disk."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the last runs went: verified events, time of their slices, and the seconds that both took together."""

    events: int
    slice_ns: int
    seconds: float
    runs: int

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
    pace: Pace | None = None
    bytes_per_event: float | None = None
    """On the landing's disk, as measured; None before anything of the source landed."""
    requests_per_event: float | None = None
    """Of the last runs; None before the first one."""
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
    def groups(self) -> int:
        return len({gap.group for gap in self.gaps})

    @property
    def windows(self) -> int:
        return len({gap.window for gap in self.gaps})

    @property
    def seconds(self) -> float | None:
        """At the pace of the last runs; None while that is not measured, or the events are not known."""
        return None if self.events is None or self.pace is None else self.events / self.pace.events_per_s

    @property
    def requests(self) -> int | None:
        """To the source, as many for an event as in the last runs; None while that is not measured."""
        if self.events is None or self.requests_per_event is None:
            return None
        return round(self.events * self.requests_per_event)

    @property
    def landing_bytes(self) -> int | None:
        """What the events will take in the landing; None while that is not measured."""
        if self.events is None or self.bytes_per_event is None:
            return None
        return round(self.events * self.bytes_per_event)


def pace_of(moved: Iterable[SliceRecord], slices_at_once: int) -> Pace | None:
    """The pace of the last runs, from what they moved (newest first); None when there is none to learn from.

    The ledger knows when slices ended, not when they began. So many as are under way together end together, and what
    they took is not in it: a run counts from the end of its first such wave.
    """
    by_run: dict[str, list[SliceRecord]] = {}
    for record in moved:
        by_run.setdefault(record.run_id, []).append(record)
    events = slice_ns = runs = 0
    seconds = 0.0
    for done in by_run.values():
        if runs == _RUNS:
            break
        if len(done) <= slices_at_once:
            continue
        counted, first_wave_ns = done[:-slices_at_once], done[-slices_at_once].recorded_ns
        events += sum(each.events for each in counted)
        slice_ns += sum(each.slice.span.length_ns for each in counted)
        seconds += (counted[0].recorded_ns - first_wave_ns) / SECOND_NS
        runs += 1
    return Pace(events, slice_ns, seconds, runs) if seconds >= _PACE_MIN_S and events else None


def forecast(line: Line, settings: SourceSettings, span: Interval, globs: Sequence[str], offline: bool) -> Forecast:
    """What a backfill of the span would do. Raises Unreachable, unless `offline`."""
    name = settings.name
    points = selected(line.present(settings), globs or ("*",))
    moved = line.ledger.moved(name)
    found = Forecast(
        len(points),
        pace=pace_of(moved, line.plant.limits.slices_at_once),
        bytes_per_event=_bytes_per_event(line, settings, moved[:_LANDED_MAX]),
        requests_per_event=line.outside.requests_per_event(settings),
    )
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
        history = line.ledger.history(name, None, Interval(settings.start, max(span.end_ns, settings.start + 1)))
        _by_density(found, bare, settings, points, Density.of(history))
    elif bare:
        asyncio.run(_by_source(found, bare, line.outside.source(settings), settings, points, globs))
    found.gaps = [_sliced(gap, line.plant.limits.slice_events) for gap in found.gaps]
    return found


def _bytes_per_event(line: Line, settings: SourceSettings, moved: Iterable[SliceRecord]) -> float | None:
    """What an event takes in the landing, by the manifests of what was moved last."""
    events = size_bytes = 0
    for record in moved:
        window = next(iter(line.windows(settings, record.slice.span)), record.slice.span)
        try:
            manifest = line.landing.manifest(record.slice, window, record.generation)
        except DamagedLanding:  # an older generation, which went when its day settled
            continue
        events += manifest.events
        size_bytes += manifest.bytes
    return size_bytes / events if events else None


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
