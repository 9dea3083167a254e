"""The ledger's truth carried into Dagster's: windows that are proved but that its grid shows otherwise.

A run that was killed proved windows whose events it never wrote; the next backfill has nothing to do there. The same
holds for a plant whose Dagster database was lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import dagster as dg

from assets_defs.line import Line
from assets_defs.partitions import key_of, multi_key, partitions_of
from assets_defs.proof_metadata import proof_metadata
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings
from pipelines.points import selected
from pipelines.timeline import Interval, missing

_SHOWN_RIGHT = {"MATERIALIZED", "IN_PROGRESS"}


def open_pairs(
    line: Line, settings: SourceSettings, span: Interval, globs: Sequence[str] = ()
) -> list[tuple[str, Interval]]:
    """The (group, window) pairs of the span in which something is still to be done."""
    final = line.wanted(settings, span)
    if final is None:
        return []
    points = line.present(settings)
    asked = {point.id for point in selected(points, globs or ("*",))}
    groups = line.by_group(settings, points)
    exclusions = line.ledger.exclusions(settings.name, None, final)
    found = []
    for group in line.groups(settings):
        mine = {point.id for point in groups[group]} & asked
        coverage = line.ledger.coverage(settings.name, group)
        for window in line.windows(settings, final):
            part = window.intersect(final)
            if part is None or (globs and not mine):
                continue
            lost = any(each.group == group and each.point in mine and each.span.overlaps(part) for each in exclusions)
            if lost or missing(part, coverage):
                found.append((group, window))
    return found


def adopt(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, span: Interval) -> list[str]:
    """Writes a materialization for each proved window of the span that has none newer than its last failure.

    Returns their partition keys.
    """
    windows = line.windows(settings, span)
    if not windows or line.wanted(settings, span) is None:
        return []
    whole = Interval(windows[0].start_ns, windows[-1].end_ns)
    still_open = set(open_pairs(line, settings, whole))
    begun = line.wanted(settings, whole)
    proved = [
        (group, window)
        for window in windows
        for group in line.groups(settings)
        if begun and window.overlaps(begun) and (group, window) not in still_open
    ]
    keys = [key_of(*pair) for pair in proved]
    shown = instance.get_status_by_partition(samples_key(settings), keys, partitions_of(settings, time.time_ns()))
    adopted = []
    for pair, key in zip(proved, keys, strict=True):
        status = (shown or {}).get(key)
        if status is None or status.value not in _SHOWN_RIGHT:
            metadata = {
                "adopted": dg.MetadataValue.text("The ledger proved this window; the run that did was cut off."),
                **proof_metadata(line, settings, *pair),
            }
            instance.report_runless_asset_event(
                dg.AssetMaterialization(samples_key(settings), partition=multi_key(*pair), metadata=metadata)
            )
            adopted.append(key)
    return adopted
