"""The asset's partitions while a source is followed: materialized hourly and on settling, not with every pass."""

from __future__ import annotations

import dagster as dg

from assets_defs.line import Line
from assets_defs.partitions import multi_key
from assets_defs.proof_metadata import proof_metadata
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings
from pipelines.sync import PassResult
from pipelines.timeline import SECOND_NS, Interval, iso

_EVERY_S = 3_600.0


def materialize_followed(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: PassResult) -> int:
    """Writes a materialization for windows that settled, and hourly for those that are open; returns how many."""
    newest = instance.get_latest_materialization_event(samples_key(settings))
    now_s = line.now_ns() / SECOND_NS
    pairs = {(group, window) for group, span in found.settled for window in line.windows(settings, span)}
    if newest is None or now_s - newest.timestamp >= _EVERY_S:
        last = Interval(found.up_to_ns - 1, found.up_to_ns)
        pairs |= {(group, window) for group in line.groups(settings) for window in line.windows(settings, last)}
    for group, window in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        metadata = {
            "followed_up_to": dg.MetadataValue.text(iso(found.up_to_ns // SECOND_NS * SECOND_NS)),
            **proof_metadata(line, settings, group, window),
        }
        instance.report_runless_asset_event(
            dg.AssetMaterialization(samples_key(settings), partition=multi_key(group, window), metadata=metadata)
        )
    return len(pairs)
