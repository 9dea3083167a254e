"""Snapshots of PLCs as an asset: every tag read once, on a schedule, for whom no collector need run."""

import time
from collections import Counter
from typing import Any

import dagster as dg

from assets_defs.catalog import upstream_key
from assets_defs.collecting import Collecting, collecting
from assets_defs.failures import readable
from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.partitions import multi_key, partitions_of
from assets_defs.samples import snapshot_key
from assets_defs.schedules import build_job, build_schedule, follow_once, snapshot_job
from pipelines.plant import SourceSettings
from pipelines.points import group_label, group_of, point_id
from pipelines.ports import CLOCKS, Reading, Retry, Tag, Unreachable
from pipelines.samples import UNCERTAIN
from pipelines.timeline import Interval

Readings = dict[str, list[tuple[Tag, Reading]]]


def build_snapshots(settings: SourceSettings) -> tuple[dg.AssetSpec, dg.JobDefinition, dg.ScheduleDefinition]:
    """The asset, the job that makes it and its schedule. Nobody can ask for a partition: a PLC has no past."""
    asset = dg.AssetSpec(
        snapshot_key(settings),
        deps=[upstream_key(settings)],
        partitions_def=partitions_of(settings, time.time_ns()),
        group_name=settings.name,
        kinds={"plc"},
        description=f"What the PLCs of `{settings.name}` said when they were asked, by point group; kept in the spool.",
    )
    job = _job(settings)
    return asset, job, build_schedule(job, settings.sync.cron)


def _job(settings: SourceSettings) -> dg.JobDefinition:
    name = snapshot_job(settings.name)
    description = (
        f"Reads every tag of `{settings.name}` once, spools what the PLCs say, and moves it on like a pass of sync. "
        "While `ferry collect` reads them they are not asked twice."
    )

    @dg.op(name=f"{name}_read", pool=name, description=description)
    def read(context: dg.OpExecutionContext, ferry: FerryResource) -> None:
        with readable(), ferry.line(context.run.run_id, urgent=True) as line:
            try:
                with collecting(line.plant, settings, snapshot=True) as ready:
                    found = ready.collector.once()
                    _told(context, line, settings, ready, found)
            except Unreachable:
                raise
            except Retry as error:
                context.log.info(str(error))
            follow_once(context, line, settings)

    return build_job(read, name, description)


def _told(
    context: dg.OpExecutionContext, line: Line, settings: SourceSettings, ready: Collecting, found: Readings
) -> None:
    """A materialization for each point group that has tags."""
    now_ns = line.now_ns()
    windows = line.windows(settings, Interval(now_ns, now_ns + 1))  # none after the plant file's end
    counts = ready.collector.counts
    slowest = max(counts, key=lambda name: counts[name].slowest_s)
    for name, count in counts.items():
        if count.trouble:
            context.log.warning(f"{name}: {count.trouble}")
    tags, read, bad = Counter[str](), Counter[str](), Counter[str]()
    for tag in ready.tags:
        tags[_group(settings, tag)] += 1
    for tag, reading in (pair for pairs in found.values() for pair in pairs):
        if not tag.name.startswith(CLOCKS):
            (read if reading.quality >= UNCERTAIN else bad)[_group(settings, tag)] += 1
    columns = ["connection", "scans read", "bad tags", "slowest, s", "trouble"]
    rows = [(name, each.cycles, each.bad, f"{each.slowest_s:.3f}", each.trouble) for name, each in counts.items()]
    shared: dict[str, Any] = {
        "slowest_connection": f"{slowest}, {counts[slowest].slowest_s:.3f} s",
        "connections": dg.MetadataValue.md(table(columns, rows)),
    }
    for group, window in ((group, window) for window in windows for group in sorted(tags)):
        missed = tags[group] - read[group] - bad[group]
        metadata = {"tags_read": read[group], "tags_bad": bad[group], "tags_missed": missed, **shared}
        context.log_event(
            dg.AssetMaterialization(snapshot_key(settings), partition=multi_key(group, window), metadata=metadata)
        )


def _group(settings: SourceSettings, tag: Tag) -> str:
    return group_label(group_of(point_id(tag.names[0]), settings.point_groups))
