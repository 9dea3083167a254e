"""kill -9 of the collector, of IoTDB and of PLCs at random moments: nothing is lost or doubled, no cycle is silent."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from assets_defs.following import sync_pass
from assets_defs.line import Line, open_line
from pipelines.plant import load_plant
from pipelines.ports import Retry
from pipelines.sync import PassResult
from pipelines.timeline import MILLISECOND_NS, Interval
from resources.embedded.ports import choose
from resources.plc4x import SpoolReader
from simulators.opcua.signals import plant as signals_of
from tests.integration.test_collect import collecting, rows, wait_for
from tests.integration.test_plc4x import modbus
from tests.opcua_plc import NAMESPACE, free_port, opcua

KILLS = int(os.environ.get("FERRY_KILLS", "6"))  # 20 take three minutes: by hand
BEAT_NS = 250 * MILLISECOND_NS
PLANT = """
[plant]
name = "kills"
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
interval = "250 ms"
sync = {{ every = "1 s", lag = "1 s" }}
[[source.connection]]
name = "press"
url = "modbus-tcp:tcp://127.0.0.1:{press}?request-timeout=1000"
timeout = "1 s"
[[source.connection]]
name = "kiln"
url = "opc.tcp://127.0.0.1:{kiln}/plant"
timeout = "1 s"
subscribe = true
[store]
heap_mb = 512
"""


class Plcs:
    """Two servers that can be killed and come back."""

    def __init__(self, press: int, kiln: int) -> None:
        self._starts = {
            "press": lambda: modbus(press), "kiln": lambda: opcua(kiln, "--points", "12", "--every", "0.2")
        }  # fmt: skip
        self._running: dict[str, tuple[ExitStack, subprocess.Popen[str]]] = {}
        for name in self._starts:
            self.start(name)

    def start(self, name: str) -> None:
        stack = ExitStack()
        self._running[name] = stack, stack.enter_context(self._starts[name]())

    def kill(self, name: str) -> None:
        stack, child = self._running.pop(name)
        child.kill()
        stack.close()

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)


@contextlib.contextmanager
def plcs(press: int, kiln: int) -> Iterator[Plcs]:
    found = Plcs(press, kiln)
    try:
        yield found
    finally:
        found.close()


def kill_iotdb(line: Line) -> None:
    for status in line.outside.statuses():
        if "iotdb" in status.name.lower():
            for pid in status.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def followed_past(line: Line, time_ns: int) -> PassResult:
    """Passes until everything up to then is stored."""
    settings = line.plant.source[0]
    end_s = time.monotonic() + 240
    while time.monotonic() < end_s:
        with contextlib.suppress(Retry):
            found = sync_pass(line, settings, 60.0)
            if found.up_to_ns > time_ns and not (found.left or found.waiting or found.problems):
                return found
        line.reconnect()
    raise AssertionError("it does not catch up")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_lose_nothing_and_hide_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("FERRY_SEED", "6"))
    draw = random.Random(seed)
    press, kiln = choose(["press"])["press"], free_port()
    file = tmp_path / "ferry.toml"
    file.write_text(PLANT.format(press=press, kiln=kiln), encoding="utf-8")
    lines = [
        "name,connection,address,type,deadband",
        "Druck,press,holding-register:511,INT,",
        "Falsch,press,holding-register:9999,INT,0",
    ]
    lines += [f"{each.name},kiln,nsu={NAMESPACE};s={each.name},," for each in signals_of(12) if each.kind != "Array"]
    (tmp_path / "tags.csv").write_text("\n".join(lines), encoding="utf-8")
    plant = load_plant(file)
    spool = plant.state_dir / "spool" / "line1"
    killed: Counter[str] = Counter()
    with open_line(plant) as line, plcs(press, kiln) as both, ExitStack() as stack:
        stack.callback(line.outside.down)
        line.outside.up()
        collector = stack.enter_context(collecting(file))
        wait_for(lambda: collector.poll() is not None or (spool.is_dir() and rows(spool)))
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.3, 2.5))
            victim = draw.choice(["collector", "collector", "press", "kiln", "iotdb"])
            killed[victim] += 1
            assert collector.poll() is None, collector.communicate()
            if victim == "collector":
                family = psutil.Process(collector.pid).children() if draw.random() < 0.5 else []
                collector.kill()
                for each in family:  # its forwarder with it, or left to see that it is an orphan
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                collector.wait()
                collector = stack.enter_context(collecting(file))
            elif victim == "iotdb":
                kill_iotdb(line)
            else:
                both.kill(victim)
                time.sleep(draw.uniform(0.0, 1.5))
                both.start(victim)
        before = len(rows(spool))
        wait_for(lambda: collector.poll() is not None or len(rows(spool)) > before + 50)
        collector.send_signal(signal.SIGTERM)
        _, said = collector.communicate(timeout=60)
        assert collector.returncode == 0, said
        spooled = rows(spool)
        settings = plant.source[0]
        line.reconnect()
        line.discover(settings)
        found = followed_past(line, max(row["time"].value for row in spooled))
        handover_ns = line.ledger.handover("line1")
        assert handover_ns is not None
        recount = line.verify(settings, Interval(handover_ns, found.up_to_ns), deep=True)
    print(f"seed {seed}: {dict(killed)}, {len(spooled):,} readings and cycles")
    assert not recount.drift and not recount.unproved
    assert recount.source_events == recount.landed_events == recount.stored_events == len(spooled)
    for cycle in ("cycle.press.all", "cycle.kiln.all"):
        mine = [row for row in spooled if row["point"] == cycle]
        times = sorted(row["time"].value for row in mine)
        assert times == list(range(times[0], times[-1] + BEAT_NS, BEAT_NS)), "every cycle once, read or missed"
        assert all(row["text"] for row in mine if row["value"] is None), "a missed cycle says why"
    assert SpoolReader(spool).size_bytes() > 0
