"""Runs of schedules that are long over: a pass a minute leaves 43,000 a month with Dagster, each with log files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import dagster as dg

_KEPT = {
    dg.DagsterRunStatus.SUCCESS: dt.timedelta(days=7),
    dg.DagsterRunStatus.FAILURE: dt.timedelta(days=90),
    dg.DagsterRunStatus.CANCELED: dt.timedelta(days=90),
}
_AT_ONCE = 500


def forget_runs(instance: dg.DagsterInstance, jobs: Iterable[str]) -> int:
    """Deletes runs of these jobs that ended well a week ago, or badly three months ago, the oldest first; how many.

    Only of jobs whose runs hold no asset events: those would go with them.
    """
    gone = 0
    now = dt.datetime.now(dt.UTC)
    for job in jobs:
        for status, age in _KEPT.items():
            filters = dg.RunsFilter(job_name=job, statuses=[status], created_before=now - age)
            for record in instance.get_run_records(filters, limit=_AT_ONCE, ascending=True):
                run_id = record.dagster_run.run_id
                instance.compute_log_manager.delete_logs(prefix=[run_id])
                instance.delete_run(run_id)
                gone += 1
    return gone
