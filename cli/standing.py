"""Standing: how far a source is, from the ledger alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assets_defs.discovery import missing_told
from assets_defs.line import Line
from assets_defs.reach import asked_reach, filling, holes, never_moved
from assets_defs.schedule_states import schedule_states
from cli.annotated import annotations_json
from cli.forecast import Pace, pace_of
from pipelines.evidence import Standing, reason_of
from pipelines.ledger import newest_first
from pipelines.plant import SourceSettings
from pipelines.points import point_name
from pipelines.ports import Absence, AnnotationCounts, SliceRecord, Stop
from pipelines.timeline import SECOND_NS, Interval, iso, merge
from resources.plc4x import SpoolReader

_AT_WORK_NS = 60 * SECOND_NS
"""A ledger that moved so lately probably belongs to a backfill that is running."""


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """One point group: where it stands, newest slices by state, and when one is tried again."""

    standing: Standing
    states: dict[str, int]
    retry_at_ns: int

    @property
    def gap_ns(self) -> int:
        return sum(gap.length_ns for gap in self.standing.gaps)

    def as_json(self) -> dict[str, Any]:
        """One of `groups` of `ferry status --json`."""
        standing = self.standing
        return {
            "group": standing.group,
            "points": standing.points,
            "covered_percent": round(100 * standing.share, 3),
            "events": standing.proved_events,
            "landed_events": standing.landed_events,
            "open": [{"start": iso(each.start_ns), "end": iso(each.end_ns)} for each in standing.open],
            "gaps": [{"start": iso(each.start_ns), "end": iso(each.end_ns)} for each in standing.gaps],
            "watermark": iso(standing.watermark_ns),
            "quarantined": [{"start": iso(each.start_ns), "end": iso(each.end_ns)} for each in standing.quarantined],
            "point_exceptions": len({each.point for each in standing.exclusions}),
            "states": self.states,
            "retry_at": iso(self.retry_at_ns) if self.retry_at_ns else None,
        }


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """One source over all that its plant file names and that is final."""

    settings: SourceSettings
    span: Interval
    groups: list[GroupStanding]
    unproved: dict[str, str]
    """By point id."""
    names: dict[str, str]
    """At the source, of the unproved points."""
    holes: list[Interval]
    """Before sync's part, where no backfill has been."""
    withdrawn: list[Interval]
    """What was proved once and is not now, in some group; nothing while somebody may be about to prove it again."""
    pace: Pace | None
    at_work: bool
    lag_s: float | None
    catalogue_age_s: float | None
    group_lag_s: dict[str, float | None]
    """Of every group that is followed; None where that is proved up to a time that has not come yet."""
    ahead: dict[str, int]
    """By group, up to when coverage reaches that has not come yet: a clock ran ahead when it was recorded."""
    followed_to_ns: int | None
    """All since the handover is covered up to here; None where nobody follows the source."""
    schedules: dict[str, str]
    spool_bytes: int | None
    """What the spool of PLCs takes on disk; None for other sources."""
    never_moved: int
    strangers: list[str]
    """Names of the first that were never moved."""
    """Points of which the newest sweep found events in IoTDB that were never moved."""
    absences: list[Absence]
    """Points of the catalogue that the source no longer lists: missing ones, and those that are gone."""
    missing_told: str
    """Of the missing ones, for a person."""
    annotations: AnnotationCounts

    @property
    def source(self) -> str:
        return self.settings.name

    @property
    def share(self) -> float:
        """Covered part of what is not open, 0 to 1, over all groups."""
        return sum(each.standing.share for each in self.groups) / len(self.groups)

    @property
    def events(self) -> int:
        """Proved ones."""
        return sum(each.standing.proved_events for each in self.groups)

    @property
    def landed_events(self) -> int:
        """Of all generations that count, proved or not."""
        return sum(each.standing.landed_events for each in self.groups)

    @property
    def forgotten_events(self) -> int:
        """Proved when they landed, and older than IoTDB keeps."""
        return sum(each.standing.forgotten_events for each in self.groups)

    @property
    def points(self) -> int:
        return sum(each.standing.points for each in self.groups)

    @property
    def left_s(self) -> float | None:
        """Seconds that the gaps need at the pace of the last runs; None while that is not measured."""
        gap_ns = sum(each.gap_ns for each in self.groups)
        if not gap_ns:
            return 0.0
        return gap_ns / self.pace.slice_ns * self.pace.seconds if self.pace and self.pace.slice_ns else None

    @property
    def proved(self) -> bool:
        """Nothing of what was moved is in doubt, and nobody is asked; what was never moved is no doubt."""
        waiting = self.missing_told or any(each.standing.quarantined for each in self.groups)
        return not (self.unproved or self.never_moved or self.ahead or self.withdrawn or waiting)

    def as_json(self) -> dict[str, Any]:
        """One of `sources` of `ferry status --json`."""
        return {
            "source": self.source,
            "start": iso(self.span.start_ns),
            "end": iso(self.span.end_ns),
            "points": self.points,
            "covered_percent": round(100 * self.share, 3),
            "events": self.events,
            "landed_events": self.landed_events,
            "landed_only_events": self.forgotten_events,
            "events_per_s": round(self.pace.events_per_s, 1) if self.pace else None,
            "active": self.at_work,
            "catalogue_age_s": None if self.catalogue_age_s is None else round(self.catalogue_age_s, 1),
            "lag_s": None if self.lag_s is None else round(self.lag_s, 1),
            "ahead": [{"group": group, "up_to": iso(to_ns)} for group, to_ns in sorted(self.ahead.items())],
            "followed_to": None if self.followed_to_ns is None else iso(self.followed_to_ns),
            "schedules": self.schedules,
            "spool_bytes": self.spool_bytes,
            "left_s": None if self.left_s is None else round(self.left_s, 1),
            "never_moved_points": self.never_moved,
            "never_moved": self.strangers,
            "unproved_points": len(self.unproved),
            "unproved": [
                {"point": self.names.get(point) or point_name(point), "reason": why}
                for point, why in sorted(self.unproved.items())
            ],
            "annotations": annotations_json(self.annotations),
            "missing": self._absent(believed=False),
            "gone": self._absent(believed=True),
            "holes": self._to_fill(self.holes),
            "withdrawn": self._to_fill(self.withdrawn),
            "groups": [each.as_json() for each in self.groups],
        }

    def _to_fill(self, spans: Sequence[Interval]) -> list[dict[str, str]]:
        return [
            {"start": iso(each.start_ns), "end": iso(each.end_ns), "command": filling(self.settings, each)}
            for each in spans
        ]

    def _absent(self, *, believed: bool) -> list[dict[str, str]]:
        return [
            {"point": each.point.name, "since": iso(each.since_ns)}
            for each in self.absences
            if each.believed == believed
        ]


def standing_of(line: Line, settings: SourceSettings) -> SourceStanding:
    """Puts together what the ledger knows of a source. The source itself is not asked. Raises Stop before its start."""
    span = asked_reach(line, settings)
    if span is None:
        raise Stop(f"nothing is final yet at source {settings.name!r} after {iso(settings.start)}")
    history = line.ledger.history(settings.name, None, span)
    by_group: dict[str, list[SliceRecord]] = {}
    for record in history:
        by_group.setdefault(record.slice.group, []).append(record)
    groups = [_group(each, by_group.get(each.group, [])) for each in line.standings(settings, span)]
    unproved = {exclusion.point: reason_of(exclusion) for each in groups for exclusion in each.standing.exclusions}
    lately = time.time_ns() - (history[-1].recorded_ns if history else 0) < _AT_WORK_NS
    # A source with an end in the plant file is history only, and never behind.
    watermark_ns = min(each.standing.watermark_ns for each in groups)
    followed = line.followed_to(settings)
    followed_to_ns = min(followed.values()) if len(followed) == len(groups) else None
    strange, strangers = never_moved(line, settings)
    return SourceStanding(
        settings=settings,
        span=span,
        groups=groups,
        unproved=unproved,
        names={p.id: p.name for p in line.ledger.known_points(settings.name) if p.id in unproved} if unproved else {},
        holes=holes(line, settings),
        pace=pace_of(line.ledger.moved(settings.name), line.plant.limits.slices_at_once),
        withdrawn=[] if lately else merge(part for each in groups for part in each.standing.withdrawn),
        at_work=lately and any(each.standing.gaps for each in groups),
        catalogue_age_s=line.ledger.catalogue_age_s(settings.name),
        lag_s=None if settings.end else line.behind_s(followed_to_ns or watermark_ns),
        group_lag_s={group: line.behind_s(to_ns) for group, to_ns in followed.items()},
        ahead={
            group: to_ns
            for group in line.groups(settings)
            for to_ns in [each.end_ns for each in line.ledger.coverage(settings.name, group)][-1:]
            if line.behind_s(to_ns) is None
        },
        followed_to_ns=followed_to_ns,
        schedules=schedule_states(line.plant, settings),
        spool_bytes=SpoolReader(line.plant.spool_dir(settings.name)).size_bytes() if settings.connection else None,
        never_moved=strange,
        strangers=strangers,
        absences=line.absences(settings),
        missing_told=missing_told(line, settings),
        annotations=line.ledger.annotation_counts(settings.name, span),
    )


def _group(standing: Standing, history: list[SliceRecord]) -> GroupStanding:
    newest = newest_first(history, standing.wanted)
    waiting = [each.record.retry_at_ns for each in newest if each.record.state == "retry_at"]
    return GroupStanding(standing, dict(Counter(each.record.state for each in newest)), min(waiting, default=0))
