"""Runs of schedules that are long over: a pass a minute leaves 43,000 a month with Dagster, each with log files."""

from __future__ import annotations

import datetime as dt

import dagster as dg

_KEPT = {
    dg.DagsterRunStatus.SUCCESS: dt.timedelta(days=7),
    dg.DagsterRunStatus.FAILURE: dt.timedelta(days=90),
    dg.DagsterRunStatus.CANCELED: dt.timedelta(days=90),
}
_AT_ONCE = 20


def forget_old_runs(context: dg.OpExecutionContext) -> None:
    """Deletes some runs of the same job that ended well a week ago, or badly three months ago, the oldest first.

    Only for jobs whose runs hold no asset events: those would go with them. What goes wrong is only told.
    """
    try:
        gone = forget_runs(context.instance, context.job_name)
    except Exception as error:  # whatever the storage or the disk says: the run has its own work to do
        context.log.warning(f"old runs could not be deleted: {error}")
    else:
        if gone:
            context.log.debug(f"{gone} old runs deleted")


def forget_runs(instance: dg.DagsterInstance, job: str) -> int:
    """The same for a job by its name; how many. The newest that has finished stays: it says how the job is."""
    now = dt.datetime.now(dt.UTC)
    newest = {run.run_id for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(_KEPT)), limit=1)}
    gone = 0
    for status, age in _KEPT.items():
        old = dg.RunsFilter(job_name=job, statuses=[status], created_before=now - age)
        for record in instance.get_run_records(old, limit=_AT_ONCE, ascending=True):
            run_id = record.dagster_run.run_id
            if run_id not in newest:
                instance.compute_log_manager.delete_logs(prefix=[run_id])
                instance.delete_run(run_id)
                gone += 1
    return gone
