"""kill -9 of a backfill at random moments, then one run to the end: the same totals and the same landed events."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from assets_defs.landed import pieces
from assets_defs.line import Line, open_line
from pipelines import samples
from pipelines.plant import load_plant
from pipelines.timeline import Interval, parse
from pipelines.transfer.generations import joined, within
from tests.contract.stand_in import running

FERRY = [str(Path(sys.executable).with_name("ferry"))]
SPAN = Interval(parse("2026-01-01"), parse("2026-01-03"))
LIMITS = "[limits]\nslice_events = 20000"
KILLS = 5


def ferry(path: Path, *arguments: str) -> tuple[int, dict]:
    done = subprocess.run(
        [*FERRY, *arguments, "--plant", str(path), "--json"], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def landed_digests(line: Line) -> list[dict]:
    """Order-independent digests of everything that counts in the landing."""
    settings = line.plant.source[0]
    parts = [
        within(pq.read_table(piece.path, schema=samples.SCHEMA, partitioning=None), piece.span)
        for group in line.groups(settings)
        for piece in pieces(line, settings, group, SPAN)
    ]
    return samples.tally(joined(parts)).select(["point", "events", "digest"]).to_pylist()


def killed_at(path: Path, after_s: float) -> bool:
    """Starts a backfill and kills it and its children with -9; whether it was still at work."""
    child = subprocess.Popen(
        [*FERRY, "backfill", "--plant", str(path), "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        child.wait(after_s)
    except subprocess.TimeoutExpired:
        family = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        _, alive = psutil.wait_procs(family, timeout=20)  # they end with their parent
        assert not alive, alive
        return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_five_times_then_run_to_the_end(plant_file: Callable[..., Path], tmp_path: Path) -> None:
    dice = random.Random(20260101)
    with running("--points", "60", "--hours", "48", "--auth", "basic", "--rate-limit", "0") as url:
        calm = plant_file(url, end="2026-01-03", more=f'{LIMITS}\n[landing]\nuri = "{tmp_path / "landing"}"')
        with open_line(load_plant(calm)) as line:
            line.discover(line.plant.source[0])
        began = time.monotonic()
        code, undisturbed = ferry(calm, "backfill")
        needed_s = time.monotonic() - began
        assert code == 0, undisturbed
        with open_line(load_plant(calm)) as line:
            expected = landed_digests(line)
        stormy = tmp_path / "stormy.toml"
        text = calm.read_text(encoding="utf-8").replace("[plant]", '[plant]\nstate_dir = "stormy"')
        # The ledger is one database, and so are IoTDB's and the landing: the other plant is another source in them.
        stormy.write_text(text.replace('name = "pi1"', 'name = "pi2"'), encoding="utf-8")
        with open_line(load_plant(stormy)) as line:
            line.discover(line.plant.source[0])
        struck = sum(killed_at(stormy, dice.uniform(0.2, 1.0) * needed_s * 0.8) for _ in range(KILLS))
        assert struck >= 2, "the backfill was too quick to be killed"
        code, _ = ferry(stormy, "backfill")
        assert code == 0
        code, proved = ferry(stormy, "verify", "--deep")
        assert code == 0
        for key in ("points", "source_events", "landed_events", "stored_events", "unproved_points", "drift"):
            assert proved[key] == undisturbed[key], key
        with open_line(load_plant(stormy)) as line:
            assert landed_digests(line) == expected
