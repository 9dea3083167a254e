"""Whether the schedules of a source and the watching sensor are on, as Dagster's instance of the plant remembers it."""

from __future__ import annotations

import os
import time

import dagster as dg

from assets_defs.instance import home_of
from assets_defs.schedules import discover_job, schedule_name, snapshot_job, sweep_job, sync_job
from assets_defs.watch import WATCH
from pipelines.plant import Plant, SourceSettings

_DEAD_S = 300.0
"""A daemon tells that it lives every 30 s, a busy one more seldom."""


def schedule_states(plant: Plant, settings: SourceSettings) -> dict[str, str]:
    """By the schedule's name: `on`, `on, but no daemon runs`, `paused` (somebody switched it off), `off` (never on).

    Empty where Dagster was never started for this plant, or by another user whose files we may not read.
    """
    home = home_of(plant)
    if not os.access(home / "dagster.yaml", os.R_OK):  # none yet, or of another user
        return {}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        known = {state.name: state.is_running for state in instance.all_instigator_state()}
        beats_s = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    on = "on" if time.time() - max(beats_s, default=0.0) < _DEAD_S else "on, but no daemon runs"
    jobs = [sync_job, discover_job, sweep_job, *([snapshot_job] if settings.kind == "plc4x" else [])]
    names = [schedule_name(job(settings.name)) for job in jobs]
    unknown = {WATCH: on if plant.notify.wanted else "off"}
    return {
        name: unknown.get(name, "off") if name not in known else on if known[name] else "paused"
        for name in [*names, WATCH]
    }
