"""A small plant on real servers with its UI and daemon, for the slow tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil

from assets_defs.instance import PID_TAG
from assets_defs.line import open_line
from assets_defs.partitions import key_of
from pipelines.plant import load_plant
from pipelines.ports import SliceId
from pipelines.timeline import Interval, missing, parse
from pipelines.transfer import Recount
from tests.dagster.webserver import Webserver, wait_for

ROOT = Path(__file__).parents[2]
SPAN = Interval(parse("2026-01-01"), parse("2026-01-04"))
KEYS = [f"g00{group}|2026-01-0{day}" for group in (0, 1) for day in (1, 2, 3)]
SAMPLES = ("pi1", "samples")
START_S, STOP_S = 180, 90


PLANT = """
[plant]
name = "{name}"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}"
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_PI" }}
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
end = 2026-01-04T00:00:00Z
requests_per_s = 500
[store]
iotdb = "{iotdb.host}:{iotdb.port}"
username = "{iotdb.user}"
password_env = "FERRY_TEST_IOTDB"
staging = "{staging}"
[ledger]
postgres = {{ dsn_env = "FERRY_TEST_DSN" }}
[notify]
webhook_env = "FERRY_TEST_HOOK"
"""


@dataclass
class RealPlant:
    """The plant file, its stand-in, and questions to its ledger and servers."""

    file: Path
    stand_in: str

    @property
    def home(self) -> Path:
        return load_plant(self.file).state_dir / "dagster"

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = httpx.request(
            method, f"{self.stand_in.removesuffix('/piwebapi')}/_plant/{path}", json=body, timeout=60, trust_env=False
        )
        answer.raise_for_status()
        return answer.json()

    @contextlib.contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """The source misbehaves in the body of the `with`."""
        self.control("POST", "faults", fault)
        try:
            yield
        finally:
            self.control("DELETE", "faults")

    def recount(self) -> Recount:
        with open_line(load_plant(self.file)) as line:
            return line.verify(line.plant.source[0], SPAN, deep=False)

    def withdraw(self, *keys: str) -> None:
        """Takes coverage back, so that there is something to do again."""
        with open_line(load_plant(self.file)) as line:
            settings = line.plant.source[0]
            for window in line.windows(settings):
                for group in line.groups(settings):
                    if not keys or key_of(group, window) in keys:
                        line.ledger.withdraw(SliceId("pi1", group, window), "restated by a test")

    def covered(self) -> set[str]:
        """Partition keys of all that the ledger holds as proved."""
        with open_line(load_plant(self.file)) as line:
            settings = line.plant.source[0]
            return {
                key_of(group, window)
                for window in line.windows(settings)
                for group in line.groups(settings)
                if not missing(window, line.ledger.coverage("pi1", group))
            }

    def marts(self) -> set[str]:
        """Partition keys of the aggregates on disk."""
        made = (load_plant(self.file).state_dir / "marts").rglob("interval=1h/*/*/*.parquet")
        return {f"{path.stem.partition('=')[2]}|{path.parent.name.partition('=')[2]}" for path in made}

    def command(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """A program of the environment's bin folder, in an environment with hardly anything in it."""
        kept = ("PATH", "HOME", "FERRY_TEST_DSN", "FERRY_TEST_IOTDB", "FERRY_TEST_PI")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"DAGSTER_HOME": str(self.home), "FERRY_PLANT": str(self.file)}
        program, *rest = arguments
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *rest],
            capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=timeout_s,
        )  # fmt: skip


class RunningUi:
    """`python -m assets_defs.ui` as `make ui` starts it."""

    def __init__(self, plant: RealPlant, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "assets_defs.ui", "--port", str(port)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, start_new_session=True,
                env={**os.environ, "FERRY_PLANT": str(plant.file)},
            )  # fmt: skip
        self.webserver = Webserver(f"http://127.0.0.1:{port}", load_plant(plant.file).plant.name)

    def wait_until_up(self) -> None:
        end = time.monotonic() + START_S
        while not self.webserver.is_up():
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < end, self.log.read_text(encoding="utf-8")
            time.sleep(1)

    def family(self) -> list[psutil.Process]:
        """Every process of it, as they are now."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self, number: signal.Signals, to_all: bool = False) -> list[psutil.Process]:
        """Stops it by one signal; returns who is left. Those are killed."""
        self.webserver.close()
        if self.process.poll() is not None:
            return []
        family = self.family()
        if to_all:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=STOP_S)
        for each in alive:
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.process.wait(STOP_S)
        return alive


@contextlib.contextmanager
def running_ui(plant: RealPlant, log: Path) -> Iterator[Webserver]:
    ui = RunningUi(plant, log)
    try:
        ui.wait_until_up()
        yield ui.webserver
    finally:
        left = ui.stop(signal.SIGTERM)
    assert not left, left


def working(plant: RealPlant, backfill: str) -> tuple[str, int]:
    """The id of a run whose body has begun, and the id of its process."""
    filters = dg.RunsFilter(tags={"dagster/backfill": backfill}, statuses=[dg.DagsterRunStatus.STARTED])
    with dg.DagsterInstance.from_config(str(plant.home)) as instance:
        runs = wait_for(lambda: [run for run in instance.get_runs(filters) if PID_TAG in run.tags], bool, 240)
    return runs[0].run_id, int(runs[0].tags[PID_TAG])


def held(webserver: Webserver) -> dict[str, int]:
    """Events of every window, as the newest materialization says."""
    found: dict[str, int] = {}
    for each in webserver.asset(SAMPLES)["assetMaterializations"]:  # newest first
        numbers = {entry["label"]: entry.get("intValue") for entry in each["metadataEntries"]}
        found.setdefault(each["partition"], numbers["events"])
    return found
