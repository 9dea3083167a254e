"""Jobs of a source: `backfill_<source>` moves and proves, `marts_<source>` makes aggregates, figures and exports."""

from __future__ import annotations

import dagster as dg

from assets_defs.ferry_resource import PARTITIONS_TAG
from assets_defs.journal import KINDS, journal_key
from assets_defs.marts_assets import mart_key, tells_time
from assets_defs.samples import samples_key
from pipelines.plant import SourceSettings

NO_RETRIES = {"dagster/retry_on_asset_or_op_failure": "false"}
"""Our own instance says so too; this holds on an instance of somebody else. Killed workers are tried again."""


def backfill_job(source: str) -> str:
    """Name of the job that moves history."""
    return f"backfill_{source}"


def marts_job(source: str) -> str:
    """Name of the job that makes the marts."""
    return f"marts_{source}"


def report_job(source: str) -> str:
    """Name of the job that writes the quality report."""
    return f"report_{source}"


def journal_job(source: str) -> str:
    """Name of the job that reads alarms and operators' writes."""
    return f"journal_{source}"


def build_jobs(settings: SourceSettings) -> list[dg.UnresolvedAssetJobDefinition]:
    """The jobs of one source; partitions come from the assets.

    Without the checks: a backfill of many runs would recount the newest window in every one of them.
    """
    told = [_journal(settings)] if settings.kind in KINDS else []
    names = ["aggregates", "quality", "exports", *(["clocks"] if tells_time(settings) else [])]
    marts = dg.AssetSelection.assets(*(mart_key(settings, name) for name in names))
    return [
        dg.define_asset_job(
            backfill_job(settings.name),
            selection=dg.AssetSelection.assets(samples_key(settings)).without_checks(),
            executor_def=dg.in_process_executor,
            tags=NO_RETRIES,
            description=f"Moves history of `{settings.name}` into IoTDB and proves it.",
        ),
        dg.define_asset_job(
            marts_job(settings.name),
            selection=marts.without_checks(),
            executor_def=dg.in_process_executor,
            tags={**NO_RETRIES, PARTITIONS_TAG: settings.name},
            description=f"Aggregates, quality figures and exports of `{settings.name}` from the landing.",
        ),
        dg.define_asset_job(
            report_job(settings.name),
            selection=dg.AssetSelection.assets(mart_key(settings, "report")),
            executor_def=dg.in_process_executor,
            tags=NO_RETRIES,
            description=f"The quality report of `{settings.name}`, one HTML file.",
        ),
        *told,
    ]


def _journal(settings: SourceSettings) -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        journal_job(settings.name),
        selection=dg.AssetSelection.assets(journal_key(settings)),
        executor_def=dg.in_process_executor,
        tags=NO_RETRIES,
        description=f"Alarms and operators' writes of `{settings.name}` into the ledger's database.",
    )
