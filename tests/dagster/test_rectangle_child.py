"""A run rectangle in a child process: what crosses to the parent, and that it never outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from assets_defs.events import VARIABLE
from assets_defs.instance import HOST_TAG, PID_TAG
from assets_defs.line import Line
from assets_defs.location import render_workspace
from assets_defs.rectangle_child import run_rectangle
from assets_defs.rectangle_run import say_if_waiting
from pipelines.planning import Rectangle
from pipelines.plant import load_plant
from pipelines.ports import Retry, Unreachable
from tests.dagster.conftest import MemoryPlant

PARENT = """
import sys
from pathlib import Path
from assets_defs.line import Line
from assets_defs.location import render_workspace
from assets_defs.rectangle_child import run_rectangle
from pipelines.plant import load_plant
from pipelines.planning import Rectangle
file = Path(sys.argv[1])
line = Line(load_plant(file))
windows = line.windows(line.plant.source[0])
run_rectangle(line, file, "backfill_pi1", Rectangle("pi1", ("g000",), tuple(windows[:1])), None, print)
"""


@pytest.fixture
def home(tmp_path: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance on sqlite, so that only the plant's own servers are missing."""
    folder = tmp_path / "home"
    folder.mkdir()
    render_workspace(load_plant(write_plant()), folder)
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def test_the_class_of_an_error_crosses(home: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://ferry:hunter2@127.0.0.1:1/x?connect_timeout=2")
    file = write_plant()
    line = Line(load_plant(file))
    windows = line.windows(line.plant.source[0])
    seen: list[dict[str, Any]] = []
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        run_rectangle(line, file, "backfill_pi1", Rectangle("pi1", ("g000", "g001"), tuple(windows)), None, seen.append)
    assert [each["kind"] for each in seen] == ["error"]
    log = line.plant.state_dir / "logs" / "runs.log"
    text = log.read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "BetaWarning" not in text


@pytest.mark.parametrize(
    ("child", "said"),
    [
        (
            "kill -9 $$",
            r"of g000.2026-01-01 to .* was ended by SIGKILL \(.*memory\), and its log has not a word of it",
        ),
        ("echo before; kill -SEGV $$", r"was ended by SIGSEGV: before"),
        ("exec python -c 'raise MemoryError'", "ended with 1: MemoryError"),
        ("exec python -c 'import nothing_of_the_kind'", "ended with 1: ModuleNotFoundError: No module named"),
        (
            f"""echo '{{"kind": "failed", "message": "1 of 2 windows"}}' >/dev/fd/${VARIABLE}; echo raise it; exit 1""",
            "of g000.* failed: 1 of 2 windows; its log is",
        ),
        ("exit 3", "ended with 3, and its log has not a word of it"),
    ],
)
def test_a_child_that_dies_says_how(
    home: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: str, said: str
) -> None:
    file = write_plant()
    line = Line(load_plant(file))
    windows = line.windows(line.plant.source[0])
    log = line.plant.state_dir / "logs" / "runs.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("RuntimeError: of another run\n", encoding="utf-8")
    program = tmp_path / "child"
    program.write_text(f"#!/bin/sh\n{child.replace('python', sys.executable)}\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(Retry, match=said) as told:
        run_rectangle(line, file, "backfill_pi1", Rectangle("pi1", ("g000",), tuple(windows[:1])), None, print)
    assert str(log) in str(told.value)
    assert "another run" not in str(told.value)


def test_a_child_ends_with_its_parent(home: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:  # takes connections and says nothing, so the child waits
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        monkeypatch.setenv("FERRY_UNIT_DSN", f"postgresql://ferry@127.0.0.1:{port}/x?connect_timeout=120")
        with subprocess.Popen([sys.executable, "-c", PARENT, str(write_plant())]) as parent:
            deaf.settimeout(120)
            connection, _ = deaf.accept()
            children = psutil.Process(parent.pid).children(recursive=True)
            assert children
            os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=10)
        connection.close()
    assert not alive, alive


def test_an_interrupted_parent_ends_its_child(home: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        monkeypatch.setenv("FERRY_UNIT_DSN", f"postgresql://ferry@127.0.0.1:{port}/x?connect_timeout=120")
        with subprocess.Popen([sys.executable, "-c", PARENT, str(write_plant())], stderr=subprocess.DEVNULL) as parent:
            deaf.settimeout(120)
            connection, _ = deaf.accept()
            children = psutil.Process(parent.pid).children(recursive=True)
            began = time.monotonic()
            parent.send_signal(signal.SIGINT)
            parent.wait(70)
        _, alive = psutil.wait_procs(children, timeout=5)
        connection.close()
    assert not alive, alive
    assert time.monotonic() - began < 60
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.CANCELED
    origin = run.remote_job_origin
    assert origin is not None, "without it the run is on no timeline"
    assert (origin.repository_origin.get_label(), origin.job_name) == ("__repository__@unit", "backfill_pi1")
    assert run.tags_for_storage()[".dagster/repository"] == "__repository__@unit"


def test_a_run_that_is_canceled_in_the_ui_ends(home: Path, write_plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster itself cannot stop a process that it did not start; it can only write the run off as canceled."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        monkeypatch.setenv("FERRY_UNIT_DSN", f"postgresql://ferry@127.0.0.1:{port}/x?connect_timeout=120")
        with subprocess.Popen([sys.executable, "-c", PARENT, str(write_plant())], stderr=subprocess.DEVNULL) as parent:
            deaf.settimeout(120)
            connection, _ = deaf.accept()
            with dg.DagsterInstance.get() as instance:
                [run] = instance.get_runs()
                instance.report_run_canceled(run)
                assert parent.wait(70) != 0
                found = instance.get_run_by_id(run.run_id)
        connection.close()
    assert found is not None
    assert found.status is dg.DagsterRunStatus.CANCELED


def test_who_waits_for_the_pool_says_so(
    stored_instance: Any, memory_plant: MemoryPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = memory_plant.defs.resolve_job_def("backfill_pi1")
    reading, writing = os.pipe()
    monkeypatch.setenv(VARIABLE, str(writing))
    say_if_waiting(stored_instance, job)
    stored_instance.event_log_storage.set_concurrency_slots("source_pi1", 1)
    say_if_waiting(stored_instance, job)
    tags = {HOST_TAG: "plant-pc", PID_TAG: "4711"}
    other = stored_instance.create_run_for_job(job, tags=tags).run_id
    stored_instance.event_log_storage.claim_concurrency_slot("source_pi1", other, "step")
    say_if_waiting(stored_instance, job)
    os.close(writing)
    with os.fdopen(reading) as events:
        assert [json.loads(line) for line in events] == [
            {"kind": "waiting", "holders": [f"run {other[:8]} of backfill_pi1 (process 4711 on plant-pc)"]}
        ]
