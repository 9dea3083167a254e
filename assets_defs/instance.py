"""Dagster's instance of a plant: rendered into state_dir, storage in the ledger's PostgreSQL, and its dead runs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import sqlalchemy.event
import sqlalchemy.exc
from sqlalchemy.pool import QueuePool

from assets_defs.location import render_workspace
from assets_defs.waiting import wait_with_words
from pipelines.plant import Plant
from resources.outside import Outside

HOST_TAG, PID_TAG, BORN_TAG = ".dagster/ferry_host", ".dagster/ferry_pid", ".dagster/ferry_born"
"""The prefix keeps them out of the UI's lists of runs."""
_OLD_TAGS = {"ferry/host": HOST_TAG, "ferry/pid": PID_TAG, "ferry/born": BORN_TAG}
"""Under which runs of an older version may still stand there as started."""
MAX_RETRIES_TAG = "dagster/max_retries"
_CLOCK_S = 2.0  # psutil derives the start from boot time, which moves by a second with clock corrections


def home_of(plant: Plant) -> Path:
    """The absolute DAGSTER_HOME of a plant."""
    return plant.state_dir / "dagster"


def render(plant: Plant, outside: Outside) -> Path:
    """Writes dagster.yaml and workspace.yaml of the plant's instance and returns its absolute DAGSTER_HOME.

    The file holds the embedded server's own password and is readable by its owner only; for an external PostgreSQL
    it names the environment variable.
    """
    home = home_of(plant)
    home.mkdir(parents=True, exist_ok=True)
    external = plant.ledger.postgres if isinstance(plant.ledger.postgres, dict) else None
    url: object = {"env": external["dsn_env"]} if external else outside.dsn("dagster")
    settings = {
        "storage": {"postgres": {"postgres_url": url}},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
        },
        "concurrency": {"runs": {"max_concurrent_runs": 4}, "pools": {"default_limit": 1, "granularity": "op"}},
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        # A killed worker gives its slot back by the next look: its retry waits for that slot.
        "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 10, "poll_interval_seconds": 20},
        "retention": {  # of ticks
            "schedule": {"purge_after_days": 30},
            "sensor": {"purge_after_days": {"skipped": 7, "success": 30, "failure": 30, "started": 30}},
        },
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "compute_logs")},
        },
        "local_artifact_storage": {
            "module": "dagster.core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(home)},
        },
        "freshness": {"enabled": True},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
    text = "# Rendered by ferry; edits are lost. The template is dagster.yaml beside the plant file.\n"
    text += json.dumps(settings, indent=2) + "\n"  # JSON is YAML
    target, temporary = home / "dagster.yaml", home / f".dagster.yaml.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(target)
    render_workspace(plant, home)
    return home


@contextlib.contextmanager
def opened_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME, with connections that are kept, and that do not wait for ever."""
    wait_with_words()
    with dg.DagsterInstance.get() as instance:
        keep_connections(instance)
        yield instance


def keep_connections(instance: dg.DagsterInstance) -> None:
    """By itself Dagster connects anew twice for every event: two thirds of the time that events take."""
    instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=10)


@sqlalchemy.event.listens_for(QueuePool, "checkout")
def _look(connection: Any, _record: object, _proxy: object) -> None:
    """Looks at a kept connection before it is used: where the server was restarted since, the pool connects anew."""
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1")
    except connection.Error as error:
        raise sqlalchemy.exc.DisconnectionError from error


def own_tags() -> dict[str, str]:
    """Tags by which a run that is executed by this process is known as dead once the process is."""
    return {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(os.getpid()),
        BORN_TAG: f"{psutil.Process().create_time():.0f}",
    }


def mark_process(context: dg.AssetExecutionContext) -> None:
    """Writes down which process runs this, whoever launched it; a worker's connections are kept from here on.

    A process that launched its run itself has done both.
    """
    tags = own_tags()
    if any(context.run.tags.get(name) != value for name, value in tags.items()):
        keep_connections(context.instance)
        context.instance.add_run_tags(context.run.run_id, tags)


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of this host whose process was killed as failed and frees their pool slots; returns their ids.

    Dagster itself leaves a run that was executed in a killed process STARTED for ever (facts/models.md, section 7b),
    and also one of a worker that died together with the daemon.
    """
    dead = []
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        if _died(run.tags):
            instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})  # whoever found it dead goes on with the work
            instance.report_run_failed(run, "The process of this run was killed; the next backfill goes on from there.")
            dead.append(run.run_id)
    for run_id in dead + _finished_holders(instance):
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return dead


def pool_holders(instance: dg.DagsterInstance, pool: str) -> list[str]:
    """Who has the pool, so that another run has to wait; empty where it is free."""
    storage = instance.event_log_storage
    if pool not in storage.get_concurrency_keys():
        return []
    info = storage.get_concurrency_info(pool)
    if info.active_slot_count < info.slot_count:
        return []
    ids = sorted(info.active_run_ids)
    known = {
        run.run_id: f" of {run.job_name}{_whose(run.tags)}" for run in instance.get_runs(dg.RunsFilter(run_ids=ids))
    }
    return [f"run {run_id[:8]}{known.get(run_id, '')}" for run_id in ids]


def _whose(tags: Mapping[str, str]) -> str:
    return f" (process {tags[PID_TAG]} on {tags[HOST_TAG]})" if PID_TAG in tags and HOST_TAG in tags else ""


def _finished_holders(instance: dg.DagsterInstance) -> list[str]:
    """Runs that ended and still hold a slot: the daemon frees those, but there may be no daemon."""
    storage = instance.event_log_storage
    holders = {
        slot.run_id
        for key in storage.get_concurrency_keys()
        for slot in storage.get_concurrency_info(key).claimed_slots
    }
    if not holders:
        return []
    return [run.run_id for run in instance.get_runs(filters=dg.RunsFilter(run_ids=sorted(holders))) if run.is_finished]


def _died(tags: Mapping[str, str]) -> bool:
    tags = {_OLD_TAGS.get(name, name): value for name, value in tags.items()}
    if tags.get(HOST_TAG) != socket.gethostname() or PID_TAG not in tags:
        return False
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        same = abs(process.create_time() - float(tags[BORN_TAG])) < _CLOCK_S
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
