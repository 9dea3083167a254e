"""The `samples` asset of a source: history moved and proved, one partition a window and point group."""

import time
from typing import Any

import dagster as dg

from assets_defs.events import emit
from assets_defs.failures import failures, keys_or_failure
from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.partitions import key_of, pairs_of, partitions_of
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.points import selected
from pipelines.timeline import Interval, iso, parse
from pipelines.transfer import PairResult, SliceResult

WINDOWS_PER_RUN = {"month": 1, "day": 7}


class SamplesConfig(dg.Config):
    """What to limit a run to; empty means everything of the chosen partitions."""

    points: list[str] = []  # noqa: RUF012 - a Dagster config default
    start: str = ""
    end: str = ""


def samples_key(settings: SourceSettings) -> dg.AssetKey:
    """The asset's key: the source's name, then the word of the design."""
    return dg.AssetKey([settings.name, "samples"])


def build_samples(settings: SourceSettings) -> dg.AssetsDefinition:
    """The asset of one source."""

    @dg.asset(
        key=samples_key(settings),
        partitions_def=partitions_of(settings, time.time_ns()),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.point_groups * WINDOWS_PER_RUN[settings.window]),
        pool=f"source_{settings.name}",
        group_name=settings.name,
        kinds={"python", "parquet"},
        description=(
            f"Every event of source `{settings.name}` in the landing and in IoTDB, proved against the source point "
            "by point. Materializing a partition again changes nothing where it is proved already."
        ),
        op_tags={"dagster/retry_on_asset_or_op_failure": "false"},
    )
    def samples(context: dg.AssetExecutionContext, config: SamplesConfig, ferry: FerryResource) -> None:
        keys = keys_or_failure(context)
        with failures(context), ferry.line(context.run_id) as line:
            asked = _asked(line, settings, config)
            results = line.run_pairs(
                settings,
                pairs_of(keys, settings),
                asked=asked,
                within=_span(config),
                on_slice=lambda done: _slice_done(context, done),
                on_pair=lambda done: _pair_done(context, done),
            )
        _record(context, settings, results)

    return samples


def _asked(line: Line, settings: SourceSettings, config: SamplesConfig) -> frozenset[str] | None:
    if not config.points:
        return None
    return frozenset(point.id for point in selected(line.catalogue(settings), config.points))


def _span(config: SamplesConfig) -> Interval | None:
    if not (config.start and config.end):
        return None
    return Interval(parse(config.start), parse(config.end))


def _slice_done(context: dg.AssetExecutionContext, done: SliceResult) -> None:
    rate = done.events / max(done.seconds, 1e-9)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in done.stages.items())
    context.log.info(f"{done.slice}: {done.state}, {done.events:,} events, {rate:,.0f} events/s ({stages})")
    emit(
        {
            "kind": "slice",
            "group": done.slice.group,
            "start_ns": done.slice.span.start_ns,
            "end_ns": done.slice.span.end_ns,
            "events": done.events,
            "points": done.points,
            "state": done.state,
            "unproved": len(done.unproved),
            "note": done.note,
            "seconds": done.seconds,
            "stages": dict(done.stages),
        }
    )


def _pair_done(context: dg.AssetExecutionContext, done: PairResult) -> None:
    for problem in done.problems:
        context.log.error(problem)
    emit(
        {
            "kind": "pair",
            "group": done.group,
            "window": window_label(done.window),
            "events": done.events,
            "slices": len(done.slices),
            "unproved": done.unproved,
            "problems": done.problems,
        }
    )


def _record(context: dg.AssetExecutionContext, settings: SourceSettings, results: list[PairResult]) -> None:
    """One materialization a window that is through, and a failure of the run where a window is not."""
    failed = [result for result in results if result.problems]
    if not failed:
        for result in results:
            context.add_asset_metadata(_metadata(result), partition_key=key_of(result.group, result.window))
        return
    for result in results:
        if not result.problems:
            context.log_event(
                dg.AssetMaterialization(
                    samples_key(settings),
                    partition=key_of(result.group, result.window),
                    metadata=_metadata(result),
                )
            )
    raise dg.Failure(
        f"{len(failed)} of {len(results)} windows are not through: {failed[0].problems[0]}",
        metadata={
            "problems": dg.MetadataValue.md(
                table(["partition", "problem"], [
                    (key_of(r.group, r.window), problem) for r in failed for problem in r.problems
                ])
            )
        },
        allow_retries=True,
    )  # fmt: skip


def _metadata(result: PairResult) -> dict[str, dg.MetadataValue[Any]]:
    seconds = max(result.seconds, 1e-9)
    rows = [
        (iso(each.slice.span.start_ns), iso(each.slice.span.end_ns), f"{each.events:,}", each.state, len(each.unproved))
        for each in sorted(result.slices, key=lambda each: each.slice.span)
    ]
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "dagster/row_count": dg.MetadataValue.int(result.events),
        "events": dg.MetadataValue.int(result.events),
        "points": dg.MetadataValue.int(max((each.points for each in result.slices), default=0)),
        "events_per_s": dg.MetadataValue.float(round(result.events / seconds, 1)),
        "unproved_points": dg.MetadataValue.int(len(result.unproved)),
        "rounded_events": dg.MetadataValue.int(result.rounded),
        "slices": dg.MetadataValue.md(
            table(["from", "to", "events", "state", "unproved points"], rows)
            if rows
            else "Nothing to do: the ledger proves this window already."
        ),
    }
    if result.unproved:
        metadata["unproved"] = dg.MetadataValue.md(table(["point", "reason"], sorted(result.unproved.items())))
    return metadata
