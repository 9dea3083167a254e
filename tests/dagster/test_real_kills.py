"""Real servers, Dagster's daemon and webserver: workers and commands that are killed or stopped, and what follows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from assets_defs.instance import HOST_TAG
from tests.dagster.real_plant import KEYS, ROOT, SAMPLES, RealPlant, held, working
from tests.dagster.webserver import Webserver, wait_for

HERE = {HOST_TAG: os.uname().nodename}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def assert_whole(real_plant: RealPlant, webserver: Webserver) -> None:
    """Every event of what was asked for is stored, and Dagster shows as many."""
    counts = real_plant.recount()
    assert not counts.drift
    assert not counts.unproved
    assert sum(held(webserver).values()) == counts.source_events == counts.landed_events == counts.stored_events > 0


def test_a_killed_worker_is_started_again(real_plant: RealPlant, webserver: Webserver) -> None:
    real_plant.withdraw()
    with real_plant.fault(kind="slow", times=-1, seconds=2.0):
        backfill = webserver.backfill(SAMPLES, KEYS)
        run_id, pid = working(real_plant, backfill)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: webserver.runs(dagster__parent_run_id=run_id), lambda runs: len(runs) == 1, 120)
    assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    assert_whole(real_plant, webserver)
    stats = webserver.asset(SAMPLES)["partitionStats"]
    assert (stats["numMaterialized"], stats["numFailed"]) == (6, 0)


def test_a_terminated_run_ends_soon_and_can_go_on(real_plant: RealPlant, webserver: Webserver) -> None:
    real_plant.withdraw(*KEYS[:3])
    with real_plant.fault(kind="slow", times=-1, seconds=2.0):
        backfill = webserver.backfill(SAMPLES, KEYS[:3])
        run_id, pid = working(real_plant, backfill)
        assert webserver.terminate(run_id) == "TerminateRunSuccess"
        (run,) = wait_for(
            lambda: webserver.runs(dagster__backfill=backfill), lambda runs: runs[0]["status"] == "CANCELED", 60
        )
    wait_for(lambda: psutil.pid_exists(pid), lambda there: not there, 30)
    assert run["runId"] == run_id
    webserver.wait_for_backfill(backfill)
    again = webserver.backfill(SAMPLES, KEYS)
    assert webserver.wait_for_backfill(again) == "COMPLETED_SUCCESS"
    assert_whole(real_plant, webserver)


def test_a_killed_ferry_backfill_is_seen_and_finished(real_plant: RealPlant, webserver: Webserver) -> None:
    real_plant.withdraw()
    known = {run["runId"] for run in webserver.runs(**HERE)}
    command = [str(Path(sys.executable).with_name("ferry")), "backfill", "--plant", str(real_plant.file), "--json"]
    with real_plant.fault(kind="slow", times=-1, seconds=3.0):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            runs = wait_for(
                lambda: [run for run in webserver.runs(**HERE) if run["runId"] not in known],
                lambda runs: bool(runs) and runs[0]["status"] == "STARTED",
                180,
            )
            family = psutil.Process(child.pid).children(recursive=True)
            child.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive, alive
    done = real_plant.command("ferry", "backfill", "--plant", str(real_plant.file), "--json")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr.replace("RuntimeDirWarning", ""), done.stderr
    (dead,) = [run for run in webserver.runs() if run["runId"] == runs[0]["runId"]]
    assert dead["status"] == "FAILURE"
    stats = webserver.asset(SAMPLES)["partitionStats"]
    assert (stats["numMaterialized"], stats["numFailed"]) == (6, 0)
    assert_whole(real_plant, webserver)
