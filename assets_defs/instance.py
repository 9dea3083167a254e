"""Dagster's instance of a plant: rendered into state_dir, storage in the ledger's PostgreSQL, and its dead runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import psutil

from pipelines.plant import Plant
from resources.outside import Outside

PID_TAG, BORN_TAG = "ferry/pid", "ferry/born"


def home_of(plant: Plant) -> Path:
    """The absolute DAGSTER_HOME of a plant."""
    return plant.state_dir / "dagster"


def render(plant: Plant, outside: Outside) -> Path:
    """Writes dagster.yaml of the plant's instance and returns its absolute DAGSTER_HOME.

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
        "concurrency": {"runs": {"max_concurrent_runs": 4}, "pools": {"default_limit": 1}},
        "run_monitoring": {"enabled": True, "free_slots_after_run_end_seconds": 300, "poll_interval_seconds": 30},
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
        "telemetry": {"enabled": False},
    }
    text = "# Rendered by ferry; edits are lost. The template is dagster.yaml beside the plant file.\n"
    text += json.dumps(settings, indent=2) + "\n"  # JSON is YAML
    target, temporary = home / "dagster.yaml", home / f".dagster.yaml.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(target)
    return home


def own_tags() -> dict[str, str]:
    """Tags by which a run that was started in this process is known as dead once the process is."""
    return {PID_TAG: str(os.getpid()), BORN_TAG: f"{psutil.Process().create_time():.0f}"}


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs whose process was killed as failed and frees their pool slots; returns their ids.

    Dagster itself leaves a run that was executed in a killed process STARTED for ever (facts/models.md, section 7b).
    """
    dead = []
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        if PID_TAG in run.tags and not _alive(int(run.tags[PID_TAG]), float(run.tags[BORN_TAG])):
            instance.report_run_failed(run, "The process of this run was killed; the next backfill goes on from there.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead.append(run.run_id)
    return dead


def _alive(pid: int, born_s: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born_s) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
