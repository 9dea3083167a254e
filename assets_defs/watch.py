"""The sensor that watches a plant: what is wrong is told once, and once more when it is right again."""

from __future__ import annotations

import json
from collections.abc import Mapping

import dagster as dg

from assets_defs.checks import FRESH, SWEPT, fresh_result, report_check, swept_result
from assets_defs.discovery import missing_told
from assets_defs.ferry_resource import FerryResource
from assets_defs.jobs import backfill_job
from assets_defs.line import Line
from assets_defs.schedules import discover_job, sweep_job, sync_job
from pipelines.plant import Plant, SourceSettings
from pipelines.ports import FerryError
from resources.notifier import Notifier

WATCH = "watch"
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_LEDGER = "ledger"


def build_watch(plant: Plant) -> dg.SensorDefinition:
    """One sensor for the plant. It is on from the start where the plant file says whom to tell."""
    told = plant.notify.wanted
    whom = "tells by [notify] of the plant file" if told else "[notify] in the plant file would tell people"

    @dg.sensor(
        name=WATCH,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if told else dg.DefaultSensorStatus.STOPPED,
        description="Looks into the ledger every minute for groups that are behind, drift, and for failed "
        f"runs; keeps the checks `{FRESH}` and `{SWEPT}` up to date; {whom}. Asks no source.",
    )
    def watch(context: dg.SensorEvaluationContext, ferry: FerryResource) -> dg.SkipReason:
        before = json.loads(context.cursor or "{}")
        now = _troubles(context, ferry, before)
        news = changes(before, now)
        if news:
            subject = f"Historian Ferry, plant {plant.plant.name}: " + ("trouble" if now.keys() - before else "news")
            for problem in Notifier(plant.plant.name, plant.notify).tell(subject, news) if told else []:
                context.log.warning(problem)
        context.update_cursor(json.dumps(now))
        return dg.SkipReason("; ".join(now.values()) or "All is well.")

    return watch


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is new and what is over, a line each; a trouble that goes on is not told again."""
    fresh = [text for key, text in now.items() if key not in before]
    over = [f"over: {text}" for key, text in before.items() if key not in now]
    return [*fresh, *over]


def _troubles(context: dg.SensorEvaluationContext, ferry: FerryResource, before: Mapping[str, str]) -> dict[str, str]:
    """By a key that stays the same while the trouble lasts."""
    try:
        with ferry.line("watch") as line:
            found: dict[str, str] = {}
            for settings in line.plant.source:
                found |= _of_source(context, line, settings, before)
            return found
    except FerryError as error:
        return {**before, _LEDGER: str(error)}  # nobody knows of the rest


def _of_source(
    context: dg.SensorEvaluationContext, line: Line, settings: SourceSettings, before: Mapping[str, str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, result in ((FRESH, fresh_result(line, settings)), (SWEPT, swept_result(line, settings))):
        key = f"{settings.name} {name}"
        if not result.passed:
            found[key] = f"{settings.name}: {result.description}"
        if (key in before) == result.passed:
            report_check(context.instance, result)
    if told := missing_told(line, settings):
        found[f"{settings.name} missing"] = told
    for job in (name(settings.name) for name in (sync_job, discover_job, sweep_job, backfill_job)):
        for run in context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=_FINISHED), limit=1):
            if run.status is dg.DagsterRunStatus.FAILURE:
                found[f"run {job}"] = f"the newest run of {job} failed: {_why(context.instance, run.run_id)}"
    return found


def _why(instance: dg.DagsterInstance, run_id: str) -> str:
    """The first error of a run, its first line; or where to look."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    event = records[0].event_log_entry.dagster_event if records else None
    error = event.step_failure_data.error if event else None
    said = error.message.strip().splitlines() if error else []
    return said[0].removeprefix("dagster._core.definitions.events.Failure: ") if said else f"see run {run_id}"
