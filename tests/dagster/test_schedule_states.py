"""What the status says of schedules: on only while a daemon lives that could start them."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from assets_defs.instance import home_of
from assets_defs.schedule_states import schedule_states
from tests.dagster.conftest import MemoryPlant


@pytest.mark.parametrize(
    ("beat_s", "said"), [(None, "on, but no daemon runs"), (3_600.0, "on, but no daemon runs"), (20.0, "on")]
)
def test_a_schedule_is_on_while_a_daemon_lives(
    memory_plant: MemoryPlant, monkeypatch: pytest.MonkeyPatch, beat_s: float | None, said: str
) -> None:
    home = home_of(memory_plant.line.plant)
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("", encoding="utf-8")
    states = [SimpleNamespace(name="sync_pi1_schedule", is_running=True),
              SimpleNamespace(name="sweep_pi1_schedule", is_running=False)]  # fmt: skip
    beats = {} if beat_s is None else {"SCHEDULER": SimpleNamespace(timestamp=time.time() - beat_s)}
    told = SimpleNamespace(all_instigator_state=lambda: states, get_daemon_heartbeats=lambda: beats)
    monkeypatch.setattr(dg.DagsterInstance, "from_config", lambda folder: contextlib.nullcontext(told))
    found = schedule_states(memory_plant.line.plant, memory_plant.settings)
    assert found["sync_pi1_schedule"] == said
    assert found["sweep_pi1_schedule"] == "paused"
    assert found["discover_pi1_schedule"] == "off"
