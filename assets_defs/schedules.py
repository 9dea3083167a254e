"""Schedules of a source: sync, discovery and sweeps, each with the job that it launches. All are off until chosen."""

from typing import Any

import dagster as dg

from assets_defs.attributes import read_attributes
from assets_defs.discovery import missing_told, named
from assets_defs.failures import readable
from assets_defs.ferry_resource import FerryResource
from assets_defs.following import Busy, alone, sweep, sync_pass
from assets_defs.line import Line
from assets_defs.markdown import bullets, table
from assets_defs.materializing import materialize_followed
from assets_defs.old_runs import forget_old_runs
from assets_defs.telling import tell_swept
from pipelines.clocks import AHEAD
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.sync import PassResult, SweepResult
from pipelines.timeline import SECOND_NS, iso

NO_RETRIES = {"dagster/retry_on_asset_or_op_failure": "false", "dagster/max_retries": "0"}
"""The next tick is the retry."""
SCHEDULED_PASS_S = 45.0
"""After so long a scheduled pass leaves what is left to the next one."""
DISCOVER_CRON = "41 * * * *"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def sync_job(source: str) -> str:
    """Name of the job that does one pass of sync."""
    return f"sync_{source}"


def sweep_job(source: str) -> str:
    """Name of the job that looks again at settled history."""
    return f"sweep_{source}"


def discover_job(source: str) -> str:
    """Name of the job that asks the source for its points."""
    return f"discover_{source}"


def snapshot_job(source: str) -> str:
    """Name of the job that reads every tag of PLCs once."""
    return f"snapshot_{source}"


def schedule_name(job: str) -> str:
    """Name of the schedule of a job."""
    return f"{job}_schedule"


def build_following(settings: SourceSettings) -> tuple[list[dg.JobDefinition], list[dg.ScheduleDefinition]]:
    """Jobs and schedules that keep one source in sync."""
    jobs = [_sync(settings), _discover(settings), _sweep(settings)]
    crons = (settings.sync.cron, DISCOVER_CRON, settings.sweep.cron)
    return jobs, [build_schedule(job, cron) for job, cron in zip(jobs, crons, strict=True)]


def build_schedule(job: dg.JobDefinition, cron: str) -> dg.ScheduleDefinition:
    """The schedule of a job (UTC), off until somebody switches it on; a tick during a run is left out."""

    def launch(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_runs_count(dg.RunsFilter(job_name=job.name, statuses=_UNFINISHED))
        if running:
            return dg.SkipReason("The run before is not finished yet: what it leaves is done by the next one.")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=schedule_name(job.name),
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=launch,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{job.description} Never two at once; off until you switch it on.",
    )


def build_job(op: dg.OpDefinition, name: str, description: str) -> dg.JobDefinition:
    """A job of one op."""

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor, tags=NO_RETRIES)
    def job() -> None:
        op()

    return job


def _sync(settings: SourceSettings) -> dg.JobDefinition:
    name = sync_job(settings.name)
    description = (
        f"Moves what is new of `{settings.name}` and proves it, fills gaps, and asks again about what may still change."
    )

    @dg.op(name=f"{name}_pass", pool=name, description=description)
    def one_pass(context: dg.OpExecutionContext, ferry: FerryResource) -> None:
        forget_old_runs(context)
        with readable(), ferry.line(context.run.run_id, urgent=True) as line:
            follow_once(context, line, settings)

    return build_job(one_pass, name, description)


def _discover(settings: SourceSettings) -> dg.JobDefinition:
    name = discover_job(settings.name)
    description = f"Asks `{settings.name}` for its points: new, renamed, changed and deleted ones."

    @dg.op(name=f"{name}_points", pool=name, description=description)
    def discover(context: dg.OpExecutionContext, ferry: FerryResource) -> None:
        forget_old_runs(context)
        with readable(), ferry.line(context.run.run_id, urgent=True) as line:
            found = line.discover(settings)
            told = missing_told(line, settings)
            attributes = read_attributes(line, settings)
        counts = {"points": found.points, "changed": found.changed, "newcomers": found.newcomers}
        context.add_output_metadata({**counts, "missing": len(found.missing)})
        if attributes is not None:
            context.log.info(f"attributes of {attributes.points} points read, {attributes.changed} new or changed")
            for refusal in attributes.refusals:
                context.log.warning(refusal)
        if found.gone:
            context.log.info(f"gone at the source: {named(found.gone)}")
        if told:
            context.log.warning(told)

    return build_job(discover, name, description)


def _sweep(settings: SourceSettings) -> dg.JobDefinition:
    name = sweep_job(settings.name)
    description = (
        f"Asks `{settings.name}` again about settled history: counts of recent days often and of old ones seldom, and "
        "with what is left of its time every event of the days that were not read for longest."
    )

    @dg.op(name=f"{name}_settled", pool=name, description=description)
    def settled(context: dg.OpExecutionContext, ferry: FerryResource) -> None:
        forget_old_runs(context)
        with readable(), ferry.line(context.run.run_id) as line:
            try:
                with alone(line, settings, "sweep"):
                    found = sweep(line, settings, settings.sweep.budget / SECOND_NS)
            except Busy as error:
                context.log.info(str(error))
                return
            tell_swept(line, context.instance, settings, found)
        context.add_output_metadata(sweep_metadata(found))
        for problem in found.problems:
            context.log.warning(problem)

    return build_job(settled, name, description)


def follow_once(context: dg.OpExecutionContext, line: Line, settings: SourceSettings) -> None:
    """One pass of sync and what the UI is told of it; nothing where somebody else follows the source already."""
    try:
        with alone(line, settings):
            found = sync_pass(line, settings, SCHEDULED_PASS_S)
    except Busy as error:
        context.log.info(str(error))
        return
    context.add_output_metadata(pass_metadata(found, line.behind_s(found.up_to_ns)))
    for problem in found.problems:
        context.log.warning(problem)
    materialize_followed(line, context.instance, settings, found)


def pass_metadata(found: PassResult, behind_s: float | None) -> dict[str, Any]:
    """What a person reads of a pass in the UI."""
    return {
        "up_to": iso(found.up_to_ns // SECOND_NS * SECOND_NS),
        "lag_s": f"not known: {AHEAD}" if behind_s is None else round(behind_s, 1),
        "events": found.events,
        "events_per_s": round(found.events / max(found.seconds, 1e-9), 1),
        "looks": found.looks,
        "points_found_changed": found.differing,
        "left_for_later": found.left,
        "waiting_for_iotdb": found.waiting,
        "old_generations_let_go": found.let_go,
        "unproved_points": len(found.unproved),
        "problems": dg.MetadataValue.md(bullets(found.problems) or "none"),
    }


def sweep_metadata(found: SweepResult) -> dict[str, Any]:
    """What a person reads of a sweep in the UI."""
    return {
        "counted": found.counted,
        "read_deep": found.read_deep,
        "left_for_later": found.left,
        "drifted_spans": len(found.drift),
        "mended_points": found.mended,
        "old_generations_let_go": found.let_go,
        "drift": dg.MetadataValue.md(drift_table(found)),
    }


def drift_table(found: SweepResult) -> str:
    """Points that had drifted, by group and day."""
    rows = [
        (point, group, window_label(span)) for (group, span), points in found.drift.items() for point in sorted(points)
    ]
    return table(["point", "group", "day"], rows[:200])
