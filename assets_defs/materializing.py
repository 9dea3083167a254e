"""The asset's partitions while a source is followed: materialized hourly and on settling, not with every pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from assets_defs.line import Line
from assets_defs.partitions import key_of, multi_key, partitions_of
from assets_defs.proof_metadata import proof_metadata
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings
from pipelines.sync import PassResult
from pipelines.timeline import SECOND_NS, Interval, iso, missing

_EVERY_S = 3_600.0


def materialize_followed(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult) -> int:
    """Tells of windows that settled, hourly of those that are open, and at once of what Dagster
    shows as failed and is whole again; returns how many.

    A window that the backfill still has to fill is observed, not materialized: the grid must go on showing it as
    missing.
    """
    pairs = {(group, window) for group, span in found.settled for window in line.windows(settings, span)}
    if line.now_ns() / SECOND_NS - _last_told_s(instance, settings) >= _EVERY_S:
        last = Interval(found.up_to_ns - 1, found.up_to_ns)
        pairs |= {(group, window) for group in line.groups(settings) for window in line.windows(settings, last)}
    pairs |= _shown_wrong(line, instance, settings, found)
    more = {"followed_up_to": dg.MetadataValue.text(iso(found.up_to_ns // SECOND_NS * SECOND_NS))}
    return materialize(line, instance, settings, pairs, found.up_to_ns, more)


def materialize(
    line: Line,
    instance: dg.DagsterInstance,
    settings: SourceSettings,
    pairs: Iterable[tuple[str, Interval]],
    up_to_ns: int,
    more: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> int:
    """Tells what (group, window) pairs hold now: materialized where nothing is missing up to `up_to_ns`, else observed.
    Returns how many."""
    told = sorted(set(pairs), key=lambda pair: (pair[1], pair[0]))
    for group, window in told:
        metadata = {**(more or {}), **proof_metadata(line, settings, group, window)}
        event = dg.AssetMaterialization if _is_whole(line, settings, group, window, up_to_ns) else dg.AssetObservation
        instance.report_runless_asset_event(
            event(samples_key(settings), partition=multi_key(group, window), metadata=metadata)
        )
    return len(told)


def _shown_wrong(
    line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult
) -> set[tuple[str, Interval]]:
    """What this pass has filled, is whole now, and Dagster shows as failed: it was reopened before."""
    windows = line.windows(settings)[:-1]  # the newest is never whole for long
    pairs = [(group, window) for group, span in found.changed for window in windows if window.overlaps(span)]
    whole = {key_of(*pair): pair for pair in pairs if _is_whole(line, settings, *pair, found.up_to_ns)}
    if not whole:
        return set()
    shown = instance.get_status_by_partition(samples_key(settings), list(whole), partitions_of(settings, line.now_ns()))
    return {pair for key, pair in whole.items() if (status := (shown or {}).get(key)) and status.value == "FAILED"}


def _is_whole(line: Line, settings: SourceSettings, group: str, window: Interval, up_to_ns: int) -> bool:
    """Whether nothing of the window is missing up to an instant, such as where the source is followed."""
    wanted = window.intersect(Interval(settings.start, max(up_to_ns, settings.start + 1)))
    return wanted is not None and not missing(wanted, line.ledger.coverage(settings.name, group))


def _last_told_s(instance: dg.DagsterInstance, settings: SourceSettings) -> float:
    key = samples_key(settings)
    newest = [
        *instance.fetch_materializations(key, limit=1).records,
        *instance.fetch_observations(key, limit=1).records,
    ]
    return max((record.timestamp for record in newest), default=0.0)
