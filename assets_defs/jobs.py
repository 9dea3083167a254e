"""Jobs of a source: `backfill_<source>` moves and proves, `marts_<source>` makes aggregates, figures and exports."""

from __future__ import annotations

import dagster as dg

from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings


def backfill_job(source: str) -> str:
    """Name of the job that moves history."""
    return f"backfill_{source}"


def marts_job(source: str) -> str:
    """Name of the job that makes the marts."""
    return f"marts_{source}"


def build_jobs(settings: SourceSettings) -> list[dg.UnresolvedAssetJobDefinition]:
    """Both jobs; partitions come from the assets."""
    samples = dg.AssetSelection.assets(samples_key(settings))
    downstream = dg.AssetSelection.groups(settings.name) - samples
    return [
        dg.define_asset_job(
            backfill_job(settings.name),
            selection=samples,
            executor_def=dg.in_process_executor,
            description=f"Moves history of `{settings.name}` into IoTDB and proves it.",
        ),
        dg.define_asset_job(
            marts_job(settings.name),
            selection=downstream - dg.AssetSelection.all_asset_checks(),
            executor_def=dg.in_process_executor,
            description=f"Aggregates, quality figures and exports of `{settings.name}` from the landing.",
        ),
    ]
