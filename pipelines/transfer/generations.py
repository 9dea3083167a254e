"""The generations of a span that count now: their events, and whether a newer pull shrank too much to be believed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import reconcile
from pipelines.landing import DamagedLanding, Landing
from pipelines.ledger import current
from pipelines.ports import SliceId, SliceRecord, Store
from pipelines.samples import UNCERTAIN, empty, ordered
from pipelines.samples.events import codes_of
from pipelines.timeline import Interval

_FEW_EVENTS = 10
"""So many may go from an open slice without a doubt: edits there are everyday."""


def current_events(
    landing: Landing,
    store: Store,
    slice_id: SliceId,
    window: Interval,
    ids: Sequence[str],
    history: Sequence[SliceRecord],
) -> tuple[pa.Table, dict[str, str]]:
    """The events that count over the slice's span now, and the points that could not be had when they were pulled.

    From the landing; from the store where a landed file is damaged.
    """
    parts: list[pa.Table] = []
    failed: dict[str, str] = {}
    for each in current(history, slice_id.span):
        try:
            table = landing.read(each.record.slice, window, each.record.generation)
            failed.update(landing.manifest(each.record.slice, window, each.record.generation).failed)
        except DamagedLanding:
            parts.extend(store.read(slice_id.source, ids, each.span))
        else:
            parts.append(within(table, each.span))
    return joined(parts), failed


def changed(before: pa.Table, now: pa.Table, points: Collection[str]) -> set[str]:
    """Points whose events are not the same, by number and digest."""
    was, has = reconcile.deep_rows([before]), reconcile.deep_rows([now])
    nothing = {"events": 0, "digest": 0}
    return {
        point
        for point in points
        if any(was.get(point, nothing)[key] != has.get(point, nothing)[key] for key in ("events", "digest"))
    }


class Loss(NamedTuple):
    """What a point had and has now, of `what`: events, or usable events (not bad)."""

    before: int
    now: int
    what: str

    @property
    def gone(self) -> int:
        return self.before - self.now


def shrunk(before: pa.Table, now: pa.Table, whole: Collection[str], share: float) -> dict[str, Loss]:
    """Points of `whole` that lost more than `share` of their events or of their usable ones, or all of them.

    Usable ones, since a point whose type was changed shows what cannot be coerced as a bad state for each value
    (AVEVA, Data Archive Administration, "Allowable point type coercions").
    """
    was, left = _sizes(before), _sizes(now)
    lost: dict[str, Loss] = {}
    for point in whole:
        sizes = zip(("events", "usable events"), was.get(point, (0, 0)), left.get(point, (0, 0)), strict=True)
        for loss in (Loss(had, has, what) for what, had, has in sizes):
            if loss.before and (loss.now == 0 or loss.gone > share * loss.before):
                lost.setdefault(point, loss)
    return lost


def too_much_gone(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Of an open slice: the points that lost events, when these are too many together to be believed."""
    lost = shrunk(before, now, points, 0.0)
    return lost if sum(loss.gone for loss in lost.values()) > max(_FEW_EVENTS, share * len(before)) else {}


def late_losses(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Of a slice that nobody has asked about since its lateness was over: like of an open one, and points whose events
    are there and none of them usable any more, which a changed type does."""
    was, left = _sizes(before), _sizes(now)
    sizes = [(point, was.get(point, (0, 0))[1], *left.get(point, (0, 0))) for point in points]
    turned = {
        point: Loss(had, 0, "usable events") for point, had, there, usable in sizes if had and there and not usable
    }
    return too_much_gone(before, now, points, share) | turned


def _sizes(events: pa.Table) -> dict[str, tuple[int, int]]:
    """Events and usable events by point."""
    codes, ids = codes_of(events)
    usable = np.asarray(events["quality"].combine_chunks()) >= UNCERTAIN
    every, kept = np.bincount(codes, minlength=len(ids)), np.bincount(codes[usable], minlength=len(ids))
    return dict(zip(ids, zip(every.tolist(), kept.tolist(), strict=True), strict=True))


def of_points(events: pa.Table, points: Collection[str]) -> pa.Table:
    """The events of some points."""
    return events.filter(pc.is_in(events["point"].cast(pa.string()), value_set=pa.array(sorted(points), pa.string())))


def within(events: pa.Table, span: Interval) -> pa.Table:
    """The events of the span; `events` in SCHEMA."""
    if not len(events):
        return events
    times = events["time"].cast(pa.int64())
    low, high = pc.min_max(times).as_py().values()
    if span.start_ns <= low and high < span.end_ns:
        return events
    return events.filter(pc.and_(pc.greater_equal(times, span.start_ns), pc.less(times, span.end_ns)))


def joined(parts: Sequence[pa.Table]) -> pa.Table:
    """Parts as one ordered table."""
    if not parts:
        return empty()
    return ordered(pa.concat_tables(parts).unify_dictionaries())
