"""What commands did, told to Dagster: a report that was written, windows that were reopened."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets_defs.checks import report_check, swept_result
from assets_defs.instance import MAX_RETRIES_TAG
from assets_defs.line import Line
from assets_defs.marts_assets import mart_key, report_metadata
from assets_defs.materializing import materialize_mended
from assets_defs.partitions import RANGE_END, RANGE_START, key_of, multi_key, partitions_of
from assets_defs.samples import WINDOWS_PER_RUN, samples_key
from pipelines.planning import rectangles
from pipelines.plant import SourceSettings
from pipelines.sync import SweepResult
from pipelines.timeline import Interval, days


def tell_report(instance: dg.DagsterInstance, settings: SourceSettings, span: Interval, path: Path) -> None:
    """The report was written by a command."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization(mart_key(settings, "report"), metadata=report_metadata(span, path))
    )


def tell_exports(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, span: Interval) -> None:
    """The exports of a span, whole UTC days, were written by a command where the plant file has them."""
    whole = days(span)
    reach = Interval(whole[0].start_ns, whole[-1].end_ns)
    for window in line.windows(settings, span):
        wanted = line.wanted(settings, window)
        if wanted is not None and reach.contains(wanted):
            for group in line.groups(settings):
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        mart_key(settings, "exports"), partition=multi_key(group, window),
                        metadata={"written_by": dg.MetadataValue.text("ferry export")},
                    )
                )  # fmt: skip


def tell_swept(line: Line, instance: dg.DagsterInstance, settings: SourceSettings, found: SweepResult) -> None:
    """What a sweep found stands in the check, and windows that it mended are materialized."""
    report_check(instance, swept_result(line, settings))
    materialize_mended(line, instance, settings, found)


def tell_reopened(
    line: Line,
    instance: dg.DagsterInstance,
    settings: SourceSettings,
    pairs: Sequence[tuple[str, Interval]],
    why: str,
) -> None:
    """Shows the (group, window) pairs as failed until they are proved again: Dagster forgets no single partition.

    By runs of a job `restate_<source>` that end at once; they take no slot of the source's pool, which a running
    backfill may hold for hours.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # see definitions.build_defs
        job = _job(settings, line.now_ns(), why)
    cut = rectangles(
        settings.name, settings.point_groups, line.windows(settings), pairs, WINDOWS_PER_RUN[settings.window]
    )
    for each in cut:
        first, last = key_of(each.groups[0], each.windows[0]), key_of(each.groups[-1], each.windows[-1])
        tags = {RANGE_START: first, RANGE_END: last, MAX_RETRIES_TAG: "0"}
        job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def _job(settings: SourceSettings, now_ns: int, why: str) -> dg.JobDefinition:
    @dg.asset(
        key=samples_key(settings),
        partitions_def=partitions_of(settings, now_ns),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def samples() -> None:
        raise dg.Failure(why, allow_retries=False)

    name = f"restate_{settings.name}"
    made = dg.define_asset_job(name, selection=dg.AssetSelection.assets(samples), executor_def=dg.in_process_executor)
    return dg.Definitions(assets=[samples], jobs=[made]).resolve_job_def(name)
