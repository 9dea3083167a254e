"""The recount: what source, landing and store hold now, point by point and window by window. Changes nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines import reconcile
from pipelines.landing import DamagedLanding, window_label
from pipelines.ledger import Current, current, is_open
from pipelines.points import Point, point_name
from pipelines.ports import Exclusion, SliceId, SourceTally
from pipelines.samples import coarsen
from pipelines.samples.events import SCHEMA
from pipelines.timeline import Interval, clip, iso, merge, missing, subtract
from pipelines.transfer.generations import of_points, within
from pipelines.transfer.one_slice import Transfer
from pipelines.transfer.proving import Look, look
from pipelines.transfer.reading import reread
from pipelines.transfer.reading_back import counted_stored
from pipelines.transfer.reasons import DRIFT, LOST

EXPIRED = "expired: nothing of it was compared, as IoTDB keeps none of this span any more; what was landed stays"
NOTHING = "nothing of it was compared in this span"


@dataclass(slots=True)
class Recount:
    """The result of a recount; `drift` by (point, window label), counts summed over the slices of the window."""

    points: int = 0
    source_events: int = 0
    landed_events: int = 0
    stored_events: int = 0
    rounded_events: int = 0
    counted: set[str] = field(default_factory=set)
    deep: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    """Points of which something was asked of all three sides: nobody else is counted."""
    unproved: dict[str, str] = field(default_factory=dict)
    drift: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    expired: list[Interval] = field(default_factory=list)
    """Parts of the span that the store has forgotten by its retention: they were left out."""
    landed_only: int = 0
    """Events of such parts, where the ledger's proofs speak of them; not among the stored."""
    not_moved: dict[str, list[Interval]] = field(default_factory=dict)
    """By group, where nothing was ever moved and IoTDB holds nothing: neither proved nor drift."""
    open: dict[str, list[Interval]] = field(default_factory=dict)
    """By group, what has just happened at a source that is followed; the next pass moves it."""
    exceptions: list[Exclusion] = field(default_factory=list)
    """The differences, as exceptions of what the ledger calls proved."""
    names: dict[str, str] = field(default_factory=dict)
    """Of points that are named here by their ids: what the source calls them."""
    gone: dict[str, int] = field(default_factory=dict)
    """Points that are gone at the source, and since when (ns UTC): it was not asked about them."""
    gone_events: int = 0
    """Landed ones of theirs, which no event of the source stands against."""

    def differs(self, point: str, window: str, source: int, landed: int, stored: int) -> None:
        """Notes that a point differs in one slice of a window."""
        row = self.drift.setdefault((point, window), {"source": 0, "landed": 0, "stored": 0})
        row["source"] += source
        row["landed"] += landed
        row["stored"] += stored

    def as_json(self, source: str) -> dict[str, object]:
        """The object of `ferry verify --json` (design.md, Commands), and `not_moved` and `gone` if there are."""
        not_moved = [
            {"group": group, "start": iso(each.start_ns), "end": iso(each.end_ns)}
            for group, spans in sorted(self.not_moved.items())
            for each in merge(spans)
        ]
        gone = [{"point": self.name_of(point), "since": iso(since_ns)} for point, since_ns in sorted(self.gone.items())]
        return (
            {
                "source": source,
                "points": self.points,
                "source_events": self.source_events,
                "landed_events": self.landed_events,
                "stored_events": self.stored_events,
                "rounded_events": self.rounded_events,
                "unproved_points": len(self.unproved),
                "proof": {"counted": len(self.counted), "deep": len(self.deep)},
                "drift": [
                    {"point": self.name_of(point), "window": window, **counts}
                    for (point, window), counts in sorted(self.drift.items())
                ],
            }
            | ({"not_moved": not_moved} if not_moved else {})
            | ({"gone": gone} if gone else {})
        )

    def name_of(self, point: str) -> str:
        """The name of a point at its source."""
        return self.names.get(point) or point_name(point)


async def recount(
    transfer: Transfer,
    points_by_group: Mapping[str, Sequence[Point]],
    windows: Iterable[Interval],
    span: Interval,
    *,
    deep: bool,
    open_from_ns: Mapping[str, int] | None = None,
    gone: Mapping[str, int] | None = None,
) -> Recount:
    """Asks all three sides about the span, but for what the store has forgotten and what was never moved.

    Landing and store are compared as after a write (proving.look): what counting cannot prove is read back. `deep`
    pulls every event again, too, and compares digests of all three: just then points are proved deep. `open_from_ns`,
    by group: what is not covered from there on is open. About points that are `gone` (since when) the source is not
    asked: landing and store are compared. Raises Stop, Retry.
    """
    everyone = {point.id for points in points_by_group.values() for point in points}
    found = Recount(
        expired=clip(transfer.expired, span),
        points=len(everyone),
        gone={point: since_ns for point, since_ns in (gone or {}).items() if point in everyone},
    )
    for window in windows:
        part = window.intersect(span)
        for kept in subtract([part], transfer.expired) if part else []:
            for group, points in points_by_group.items():
                if points:
                    await _group(transfer, group, points, window, kept, found, deep=deep)
    for group, edge_ns in (open_from_ns or {}).items():
        spans = merge(found.not_moved.get(group, []))
        if is_open(spans, span, edge_ns):
            found.open[group] = [spans.pop()]
            found.not_moved[group] = spans
    found.not_moved = {group: spans for group, spans in found.not_moved.items() if spans}
    for group, spans in found.not_moved.items():
        for point in points_by_group[group]:
            found.unproved.setdefault(point.id, f"{merge(spans)[0]} was not moved yet; ferry backfill moves it")
    for each in everyone - found.compared:  # comparing nothing proves nothing
        found.unproved.setdefault(each, EXPIRED if found.expired else NOTHING)
    proved = everyone - set(found.unproved)
    found.deep &= proved
    found.counted = proved - found.deep
    return found


async def _group(
    transfer: Transfer,
    group: str,
    points: Sequence[Point],
    window: Interval,
    span: Interval,
    found: Recount,
    *,
    deep: bool,
) -> None:
    ledger, name = transfer.ledger, transfer.source.name
    history = await asyncio.to_thread(ledger.history, name, group, span)
    coverage = await asyncio.to_thread(ledger.coverage, name, group)
    ids = {point.id for point in points}
    for exclusion in await asyncio.to_thread(ledger.exclusions, name, group, span):
        if exclusion.point in ids:
            found.unproved[exclusion.point] = exclusion.reason
    pieces = current(history, span)
    for piece in pieces:
        await _piece(transfer, points, window, piece, found, deep=deep)
    moved = merge(piece.span for piece in pieces)
    for gap in missing(span, moved):
        found.not_moved.setdefault(group, []).append(gap)
        stored, uncounted = await asyncio.to_thread(counted_stored, transfer.store, name, ids, gap)
        found.unproved |= uncounted
        for held, events in ((point, row["events"]) for point, row in stored.items() if row["events"]):
            found.stored_events += events
            found.differs(held, window_label(window), 0, 0, events)
            found.unproved[held] = f"IoTDB holds {events:,} events in {gap}, where nothing was moved"
    for gap in missing(span, [*coverage, *missing(span, moved)]):
        for point in points:
            found.unproved.setdefault(point.id, f"{gap} is not proved in the ledger; ferry backfill mends it")


async def _piece(
    transfer: Transfer,
    points: Sequence[Point],
    window: Interval,
    piece: Current,
    found: Recount,
    *,
    deep: bool,
) -> None:
    name, span = transfer.source.name, piece.span
    ids = sorted(point.id for point in points)
    try:
        events = within(
            await asyncio.to_thread(transfer.landing.read, piece.record.slice, window, piece.record.generation),
            span,
        )
    except DamagedLanding as error:
        found.damaged.append(str(error))
        events = SCHEMA.empty_table()
    events = of_points(events, ids)
    kept, rounded = coarsen(events, transfer.store.clock_ns)
    found.rounded_events += rounded
    asked = [point for point in points if point.id not in found.gone]
    if deep:
        said = await reread(transfer.source, asked, span, transfer.bounds, transfer.store.clock_ns)
        found.deep |= set(ids)
    else:
        said = await transfer.source.tally(asked, span)
    slice_id = SliceId(name, piece.record.slice.group, span)
    seen = await asyncio.to_thread(
        look, transfer.store, slice_id, kept, ids, transfer.bounds.deep_share, ids if deep else ()
    )
    found.unproved |= seen.unread
    ids = [point for point in ids if point not in seen.unread]
    torn = {each.point: each.what for each in seen.torn}
    drifted = reconcile.against_source(seen.landed, events, said, ids)
    for reason, differing in ((LOST, torn.keys()), (DRIFT, {each.point for each in drifted} - torn.keys())):
        found.exceptions += [Exclusion(name, slice_id.group, point, span, reason) for point in sorted(differing)]
    _compare(found, ids, window, seen, said, {each.point: each.what for each in drifted} | torn)


def _compare(
    found: Recount, ids: Sequence[str], window: Interval, seen: Look, said: SourceTally, drifted: Mapping[str, str]
) -> None:
    found.compared |= set(ids)
    label = window_label(window)
    source = reconcile.rows_of(said.table)
    for point in ids:
        counts = [int(side.get(point, {"events": 0})["events"]) for side in (source, seen.landed, seen.stored)]
        found.source_events += counts[0]
        found.landed_events += counts[1]
        found.stored_events += counts[2]
        found.gone_events += counts[1] if point in found.gone else 0
        if point in drifted:
            found.differs(point, label, *counts)
            found.unproved[point] = f"drift in window {label}: {drifted[point]} differs"
        elif point in said.failed:
            found.unproved[point] = said.failed[point]
        elif point not in source and point not in found.gone:
            found.unproved.setdefault(point, "the source gave no count for it")
