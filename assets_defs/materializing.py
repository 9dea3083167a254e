"""The asset's partitions while a source is followed: materialized hourly and on settling, not with every pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import dagster as dg

from assets_defs.line import Line
from assets_defs.partitions import key_of, multi_key, partitions_of
from assets_defs.proof_metadata import proof_metadata
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings
from pipelines.sync import PassResult, SweepResult
from pipelines.timeline import SECOND_NS, Interval, iso, missing

Spot = tuple[str, Interval]
"""A point group and a span."""

_EVERY_S = 3_600.0


def materialize_followed(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult) -> int:
    """Tells of windows that settled or were edited, of what Dagster shows as failed and is whole again, and hourly of
    those that are open; returns how many.

    A window that the backfill still has to fill is observed, not materialized: the grid must go on showing it as
    missing.
    """
    pairs = {(group, window) for group, span in found.settled for window in line.windows(settings, span)}
    pairs |= _closed(line, settings, found.edited, found.up_to_ns)
    if line.now_ns() / SECOND_NS - _last_told_s(instance, settings) >= _EVERY_S:
        last = Interval(found.up_to_ns - 1, found.up_to_ns)
        pairs |= {(group, window) for group in line.groups(settings) for window in line.windows(settings, last)}
    pairs |= _shown_wrong(line, instance, settings, found)
    return materialize(line, instance, settings, pairs, found.up_to_ns)


def materialize_mended(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: SweepResult) -> int:
    """Tells of windows, no longer open, whose drift a sweep has pulled again; returns how many."""
    now_ns = line.now_ns()
    return materialize(line, instance, settings, _closed(line, settings, found.edited, now_ns), now_ns)


def _closed(line: Line, settings: SourceSettings, edited: Iterable[Spot], up_to_ns: int) -> set[Spot]:
    """Windows of these spans that are over; an open one is told of hourly."""
    return {
        (group, window)
        for group, span in edited
        for window in line.windows(settings, span)
        if window.end_ns <= up_to_ns
    }


def _shown_wrong(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult) -> set[Spot]:
    """What this pass has filled, is whole now, and Dagster shows as failed: it was reopened before."""
    windows = line.windows(settings)[:-1]  # the newest is never whole for long
    pairs = [(group, window) for group, span in found.changed for window in windows if window.overlaps(span)]
    whole = {key_of(*pair): pair for pair in pairs if _is_whole(line, settings, *pair, found.up_to_ns)}
    if not whole:
        return set()
    shown = instance.get_status_by_partition(samples_key(settings), list(whole), partitions_of(settings, line.now_ns()))
    return {pair for key, pair in whole.items() if (status := (shown or {}).get(key)) and status.value == "FAILED"}


def materialize(
    line: Line, instance: dg.DagsterInstance, settings: SourceSettings, pairs: Collection[Spot], up_to_ns: int
) -> int:
    """Tells what the pairs hold now: materialized where nothing is missing up to `up_to_ns`, else observed."""
    for group, window in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        metadata = {
            "followed_up_to": dg.MetadataValue.text(iso(up_to_ns // SECOND_NS * SECOND_NS)),
            **proof_metadata(line, settings, group, window),
        }
        whole = _is_whole(line, settings, group, window, up_to_ns)
        event = dg.AssetMaterialization if whole else dg.AssetObservation
        instance.report_runless_asset_event(
            event(samples_key(settings), partition=multi_key(group, window), metadata=metadata)
        )
    return len(pairs)


def _is_whole(line: Line, settings: SourceSettings, group: str, window: Interval, up_to_ns: int) -> bool:
    """Whether nothing of the window is missing up to where the source is followed."""
    wanted = window.intersect(Interval(settings.start, max(up_to_ns, settings.start + 1)))
    return wanted is not None and not missing(wanted, line.ledger.coverage(settings.name, group))


def _last_told_s(instance: dg.DagsterInstance, settings: SourceSettings) -> float:
    key = samples_key(settings)
    newest = [
        *instance.fetch_materializations(key, limit=1).records,
        *instance.fetch_observations(key, limit=1).records,
    ]
    return max((record.timestamp for record in newest), default=float("-inf"))
