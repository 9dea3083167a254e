"""The generations of a span that count now: their events, and what differs in a newer pull."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import reconcile
from pipelines.landing import DamagedLanding, Landing
from pipelines.ledger import current
from pipelines.ports import SliceId, SliceRecord, Split, Store
from pipelines.samples import Size, empty, flagged, ordered, times_ns
from pipelines.timeline import Interval
from pipelines.transfer.reading_back import read_back


def current_events(
    landing: Landing,
    store: Store,
    slice_id: SliceId,
    window: Interval,
    ids: Sequence[str],
    history: Sequence[SliceRecord],
    most_bytes: int,
) -> tuple[pa.Table, dict[str, str]]:
    """The events that count over the slice's span now, and the points that could not be had when they were pulled.

    From the landing; from the store where a landed file is damaged. Raises Split above `most_bytes` of texts: a day of
    passes may have been landed in small pieces.
    """
    parts: list[pa.Table] = []
    failed: dict[str, str] = {}
    for each in current(history, slice_id.span):
        try:
            table = landing.read(each.record.slice, window, each.record.generation)
            failed.update(landing.manifest(each.record.slice, window, each.record.generation).failed)
        except DamagedLanding:
            failed |= read_back(store, slice_id.source, ids, each.span, parts.append)
        else:
            parts.append(within(table, each.span))
        if sum(parts, Size()).besides_longest > most_bytes:
            raise Split(f"{slice_id} has more than {most_bytes >> 20} MiB of texts in the landing")
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


def reflagged(before: pa.Table, now: pa.Table, points: Collection[str]) -> set[str]:
    """Points of which other events are annotated than before: people write to events after they happened."""
    was, has = _marks(before), _marks(now)
    return {point for point in points if was.get(point) != has.get(point)}


def _marks(events: pa.Table) -> dict[str, set[tuple[int, int]]]:
    marked = flagged(events)
    columns = (marked["point"].to_pylist(), times_ns(marked).tolist(), marked["tie"].to_pylist())
    found: dict[str, set[tuple[int, int]]] = {}
    for point, time_ns, tie in zip(*columns, strict=True):
        found.setdefault(point, set()).add((time_ns, tie))
    return found


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
