"""The code location of a plant: named after it, the same for the UI, the daemon and runs of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState
from dagster._core.workspace.load import location_origins_from_yaml_paths

from pipelines.plant import Plant

WORKSPACE = "workspace.yaml"
_OLD_NAME = "assets_defs.defs"
"""Of the location in older versions, under which schedules may be switched on."""


def render_workspace(plant: Plant, home: Path) -> Path:
    """Writes the workspace of a plant into its DAGSTER_HOME; for `dagster … -w` as for `make ui`."""
    module = {"module_name": "assets_defs.defs", "location_name": plant.plant.name}
    text = "# Rendered by ferry; edits are lost.\n" + json.dumps({"load_from": [{"python_module": module}]}) + "\n"
    path = home / WORKSPACE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def job_origin(home: Path, job: str) -> RemoteJobOrigin | None:
    """Where the UI finds a job; a run without it stands on no timeline. None where no workspace was rendered."""
    return RemoteJobOrigin(_repository(home), job) if (home / WORKSPACE).exists() else None


def carry_switches(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Schedules and sensors that were switched on or off under the location's old name stay so; returns their names."""
    carried = []
    for state in instance.all_instigator_state():
        if state.origin.repository_origin.code_location_origin.location_name != _OLD_NAME:
            continue
        origin = _repository(home).get_instigator_origin(state.name)
        if instance.get_instigator_state(origin.get_id(), origin.get_selector().get_id()) is None:
            instance.add_instigator_state(
                InstigatorState(origin, state.instigator_type, state.status, state.instigator_data)
            )
            carried.append(state.name)
        instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)
    return carried


def _repository(home: Path) -> RemoteRepositoryOrigin:
    [location] = location_origins_from_yaml_paths([str(home / WORKSPACE)])
    return RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME)
