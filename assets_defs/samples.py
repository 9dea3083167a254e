"""The `samples` asset of a source: history moved and proved, one partition a window and point group."""

import datetime as dt
import time
from typing import Any

import dagster as dg
from pydantic import Field

from assets_defs.catalog import upstream_key
from assets_defs.discovery import asks_for_others
from assets_defs.events import emit
from assets_defs.failures import keys_or_failure
from assets_defs.ferry_resource import FerryResource
from assets_defs.instance import mark_process
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.partitions import pairs_of, partitions_of
from assets_defs.proof_metadata import proof_metadata
from assets_defs.window_events import WindowEvents
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.points import selected
from pipelines.ports import FerryError, Stop
from pipelines.timeline import Interval, iso, parse
from pipelines.transfer import PairResult, SliceResult

WINDOWS_PER_RUN = {"month": 1, "day": 7}


class SamplesConfig(dg.Config):
    """What to limit a run to; empty means everything of the chosen partitions."""

    points: list[str] = Field(
        default=[],
        description="Globs of point names, such as UNIT1.*; without any, all points of the chosen partitions.",
    )
    start: str = Field(
        default="",
        description="ISO 8601 in UTC, such as 2026-01-01T06:00:00Z: what is before it is left out. Only with `end`.",
    )
    end: str = Field(
        default="",
        description="ISO 8601 in UTC: what is at or after it is left out. Only with `start`.",
    )


def samples_key(settings: SourceSettings) -> dg.AssetKey:
    """The asset's key: the source's name, then the word of the design."""
    return dg.AssetKey([settings.name, "samples"])


def source_pool(settings: SourceSettings) -> str:
    """The pool that all questions to this source share: one at a time, whoever launched the runs."""
    return f"source_{settings.name}"


def _freshness(settings: SourceSettings) -> dg.FreshnessPolicy | None:
    """When the samples of a source without an end are late: following tells of the open window hourly, and a day that
    settles is told of whatever else is missing. To the minute it is the check `fresh` that says it."""
    if settings.end is not None:
        return None
    return dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=2), fail_window=dt.timedelta(hours=26))


def build_samples(settings: SourceSettings) -> dg.AssetsDefinition:
    """The asset of one source."""

    @dg.asset(
        key=samples_key(settings),
        deps=_upstream(settings),
        partitions_def=partitions_of(settings, time.time_ns()),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.point_groups * WINDOWS_PER_RUN[settings.window]),
        pool=source_pool(settings),
        freshness_policy=_freshness(settings),
        group_name=settings.name,
        kinds={"iotdb", "parquet", "python"},
        description=(
            f"Every event of source `{settings.name}` in the landing and in IoTDB, proved against the source point "
            "by point. Materializing a partition again changes nothing where it is proved already."
        ),
    )
    def samples(context: dg.AssetExecutionContext, config: SamplesConfig, ferry: FerryResource) -> None:
        mark_process(context)
        pairs = pairs_of(keys_or_failure(context, settings), settings)
        done: list[PairResult] = []
        began_s = time.monotonic()
        with WindowEvents(context, samples_key(settings), pairs) as events, ferry.line(context.run.run_id) as line:
            try:
                _know_points(context, line, settings)
                line.run_pairs(
                    settings,
                    pairs,
                    asked=_asked(line, settings, config),
                    within=_span(config),
                    on_slice=lambda each: _slice_done(context, each),
                    on_pair=lambda each: _pair_done(context, done, each, len(pairs), time.monotonic() - began_s),
                )
            finally:
                for each in done:
                    _tell(events, line, settings, each)

    return samples


def snapshot_key(settings: SourceSettings) -> dg.AssetKey:
    """The key of the snapshots of PLCs, of which their samples are made."""
    return dg.AssetKey([settings.name, "snapshot"])


def _upstream(settings: SourceSettings) -> list[dg.AssetDep]:
    if settings.kind != "plc4x":
        return [dg.AssetDep(upstream_key(settings))]
    return [dg.AssetDep(snapshot_key(settings), partition_mapping=dg.IdentityPartitionMapping())]


def _know_points(context: dg.AssetExecutionContext, line: Line, settings: SourceSettings) -> None:
    """A plant whose first run comes from the UI was never asked for its points; without them all would look empty."""
    if not asks_for_others(line, settings) and line.catalogue(settings):
        return
    context.log.info(f"asking {settings.name} for its points")
    line.discover(settings)
    if not line.catalogue(settings):
        raise Stop(
            f"source {settings.name!r} shows none of the points that the plant file selects: check `points`, `exclude` "
            "and the permissions of its account"
        )


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


def _pair_done(
    context: dg.AssetExecutionContext, results: list[PairResult], done: PairResult, pairs: int, seconds: float
) -> None:
    """A line for each window of the run, which are few: how far it is."""
    results.append(done)
    events, left_s = sum(each.events for each in results), seconds / len(results) * (pairs - len(results))
    context.log.info(
        f"{len(results)} of {pairs} windows ({len(results) / pairs:.0%}), {events:,} events, "
        f"{events / max(seconds, 1e-9):,.0f} events/s, about {left_s:,.0f} s left"
    )
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


def _tell(events: WindowEvents, line: Line, settings: SourceSettings, done: PairResult) -> None:
    pair = (done.group, done.window)
    if done.problems:
        events.failed(pair, done.problems)
        return
    moved = _moved(done)
    try:
        events.through(pair, {**proof_metadata(line, settings, *pair), **moved})
    except (FerryError, OSError) as error:  # the window is through all the same
        events.through(pair, {**moved, "proof": dg.MetadataValue.text(f"could not be read just now: {error}")})


def _moved(result: PairResult) -> dict[str, dg.MetadataValue[Any]]:
    """What this run did to the window."""
    rows = [
        (iso(each.slice.span.start_ns), iso(each.slice.span.end_ns), f"{each.events:,}", each.state, len(each.unproved))
        for each in sorted(result.slices, key=lambda each: each.slice.span)
    ]
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "moved_events": dg.MetadataValue.int(result.events),
        "unproved_points": dg.MetadataValue.int(len(result.unproved)),
        "slices": dg.MetadataValue.md(
            table(["from", "to", "events", "state", "unproved points"], rows)
            if rows
            else "Nothing was to do: what is final of this window was proved already."
        ),
    }
    if result.slices:
        metadata["events_per_s"] = dg.MetadataValue.float(round(result.events / max(result.seconds, 1e-9), 1))
    if result.rounded:
        metadata["rounded_events"] = dg.MetadataValue.int(result.rounded)
    if result.unproved:
        metadata["unproved"] = dg.MetadataValue.md(table(["point", "reason"], sorted(result.unproved.items())))
    return metadata
