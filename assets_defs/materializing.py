"""The asset's partitions while a source is followed: materialized hourly and on settling, not with every pass."""

from __future__ import annotations

import dagster as dg

from assets_defs.line import Line
from assets_defs.partitions import multi_key
from assets_defs.proof_metadata import proof_metadata
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings
from pipelines.sync import PassResult
from pipelines.timeline import SECOND_NS, Interval, iso, missing

_EVERY_S = 3_600.0


def materialize_followed(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult) -> int:
    """Tells of windows that settled, and hourly of those that are open; returns how many.

    A window that the backfill still has to fill is observed, not materialized: the grid must go on showing it as
    missing.
    """
    pairs = {(group, window) for group, span in found.settled for window in line.windows(settings, span)}
    if line.now_ns() / SECOND_NS - _last_told_s(instance, settings) >= _EVERY_S:
        last = Interval(found.up_to_ns - 1, found.up_to_ns)
        pairs |= {(group, window) for group in line.groups(settings) for window in line.windows(settings, last)}
    for group, window in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        metadata = {
            "followed_up_to": dg.MetadataValue.text(iso(found.up_to_ns // SECOND_NS * SECOND_NS)),
            **proof_metadata(line, settings, group, window),
        }
        event = dg.AssetMaterialization if _is_whole(line, settings, group, window, found) else dg.AssetObservation
        instance.report_runless_asset_event(
            event(samples_key(settings), partition=multi_key(group, window), metadata=metadata)
        )
    return len(pairs)


def _is_whole(line: Line, settings: SourceSettings, group: str, window: Interval, found: PassResult) -> bool:
    """Whether nothing of the window is missing up to where the source is followed."""
    wanted = window.intersect(Interval(settings.start, max(found.up_to_ns, settings.start + 1)))
    return wanted is not None and not missing(wanted, line.ledger.coverage(settings.name, group))


def _last_told_s(instance: dg.DagsterInstance, settings: SourceSettings) -> float:
    key = samples_key(settings)
    newest = [
        *instance.fetch_materializations(key, limit=1).records,
        *instance.fetch_observations(key, limit=1).records,
    ]
    return max((record.timestamp for record in newest), default=float("-inf"))
