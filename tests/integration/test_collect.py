"""`ferry collect` as a person runs it: a PLC, the spool, IoTDB; the collector and the PLC killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from assets_defs.following import sync_pass
from assets_defs.line import open_line
from pipelines.plant import load_plant
from pipelines.timeline import MILLISECOND_NS, SECOND_NS, Interval
from resources.embedded.ports import choose
from resources.plc4x import SpoolReader, stored_to_ns
from simulators.opcua.signals import plant as signals_of
from tests.integration.test_plc4x import modbus
from tests.opcua_plc import free_port, opcua

BEAT_NS = 200 * MILLISECOND_NS
SOURCE = """
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
interval = "200 ms"
sync = {{ every = "1 s", lag = "1 s" }}
[[source.connection]]
name = "press"
url = "modbus-tcp:tcp://127.0.0.1:{port}?request-timeout=1000"
timeout = "1 s"
"""
TAGS = """name,address,type,scale,unit,deadband
Druck,holding-register:511,INT,0.1,bar,
Zähler,holding-register:17,LINT,,,
Ventil offen,coil:1,BOOL,,,0
Temperaturen,holding-register:511,INT[3],,°C,
Falsch,holding-register:9999,INT,,,
"""
ALL = Interval(0, 2**62)


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    end_s = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end_s, "it did not come"
        time.sleep(0.05)
    return found


def rows(spool: Path) -> list[dict[str, Any]]:
    return [row for batch in SpoolReader(spool).batches(ALL) for row in batch.to_pylist()]


@contextlib.contextmanager
def collecting(plant: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "from cli.main import main; main()", "collect", "--plant", str(plant), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in [*psutil.Process(child.pid).children(), psutil.Process(child.pid)]:
                each.kill()
        child.wait()


@pytest.fixture
def port() -> int:
    return choose(["modbus"])["modbus"]


def test_what_is_read_arrives_once_and_what_is_missed_is_told(write_plant: Any, port: int, tmp_path: Path) -> None:
    plant = write_plant(SOURCE.format(port=port))
    (tmp_path / "tags.csv").write_text(TAGS, encoding="utf-8")
    settings = load_plant(plant).source[0]
    spool = load_plant(plant).state_dir / "spool" / "line1"
    with open_line(load_plant(plant)) as line:
        with modbus(port), collecting(plant) as collector:
            wait_for(lambda: collector.poll() is not None or (spool.is_dir() and rows(spool)))
            assert collector.poll() is None, collector.communicate()
            wait_for(
                lambda: any(
                    each.state == "verified" and each.events for each in line.ledger.history("line1", None, ALL)
                )
            )
            wait_for(lambda: stored_to_ns(spool))
            [forwarder] = psutil.Process(collector.pid).children()
            os.kill(collector.pid, signal.SIGKILL)
            collector.wait()
            wait_for(lambda: not forwarder.is_running())
        with collecting(plant) as collector:  # the PLC is dead
            wait_for(lambda: any("refused" in (row["text"] or "") for row in rows(spool)))
            with modbus(port):
                before = len(rows(spool))
                wait_for(lambda: any(row["point"] == "Druck" and row["value"] for row in rows(spool)[before:]))
                collector.send_signal(signal.SIGTERM)
                out, said = collector.communicate(timeout=60)
        assert collector.returncode == 0, said
        told = json.loads(out)
        assert told["cycles"] > 0
        assert told["missed"] > 0
        spooled = rows(spool)
        last_ns = max(row["time"].value for row in spooled)
        line.discover(settings)
        found = wait_for(lambda: (done := sync_pass(line, settings, 60.0)).up_to_ns > last_ns and done)
        assert not found.problems
        handover_ns = line.ledger.handover("line1")
        assert handover_ns is not None
        recount = line.verify(settings, Interval(handover_ns, found.up_to_ns), deep=True)
        assert not recount.drift
        assert not recount.unproved
        assert recount.source_events == recount.stored_events == len(spooled)
        held = {point.name for point in line.catalogue(settings)}
    cycles = [row for row in spooled if row["point"] == "cycle.press.all"]
    times = [row["time"].value for row in cycles]
    assert sorted(times) == list(range(min(times), max(times) + BEAT_NS, BEAT_NS)), "each cycle once, read or missed"
    why = {row["text"] for row in cycles if row["text"]}
    assert any("refused" in each for each in why)
    assert "the collector was not running" in why
    assert held == {row["point"] for row in spooled}
    values = {row["point"]: row["value"] for row in spooled if row["value"] is not None and row["quality"] == 192}
    assert values["Druck"] == 0.1
    assert (values["Temperaturen[0]"], values["Temperaturen[2]"], values["Ventil offen"]) == (1.0, 3.0, 1.0)
    assert {row["text"] for row in spooled if row["point"] == "Falsch"} >= {"INVALID_ADDRESS"}
    assert {row["code"] for row in spooled if row["point"] == "Zähler" and row["code"] != -1} == {-1234567890123456789}


OPC_UA = """
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
interval = "500 ms"
sync = {{ every = "1 s", lag = "1 s" }}
[[source.connection]]
name = "kiln"
url = "opc.tcp://127.0.0.1:{kiln}/plant"
timeout = "1 s"
subscribe = true
[[source.connection]]
name = "oven"
url = "opc.tcp://127.0.0.1:{oven}/plant"
timeout = "1 s"
"""


def ferry(*arguments: str) -> str:
    command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_opc_ua_servers_are_browsed_and_collected_to_the_last_event(write_plant: Any, tmp_path: Path) -> None:
    kiln, oven = free_port(), free_port()
    plant = write_plant(OPC_UA.format(kiln=kiln, oven=oven))
    settings = load_plant(plant).source[0]
    spool = load_plant(plant).state_dir / "spool" / "line1"
    made = ("--points", "12", "--every", "0.3")
    with open_line(load_plant(plant)) as line, opcua(oven, *made):
        with opcua(kiln, *made):
            told = json.loads(ferry("discover", "--browse", "--plant", str(plant), "--json").splitlines()[-1])
            assert told["tags"] == 24
            tags = tmp_path / "tags.csv"
            lines = tags.read_text(encoding="utf-8").splitlines()
            edited = [each.replace("Plant/", "Oven/", 1) if ",oven," in each else each for each in lines]
            tags.write_text("\n".join(edited), encoding="utf-8")
            with collecting(plant) as collector:
                wait_for(lambda: collector.poll() is not None or (spool.is_dir() and len(rows(spool)) > 600))
                assert collector.poll() is None, collector.communicate()
                os.kill(collector.pid, signal.SIGKILL)
                collector.wait()
        with collecting(plant) as collector:  # the kiln is dead
            wait_for(lambda: [row for row in rows(spool) if row["point"] == "cycle.kiln.all" and row["quality"] == 24])
            with opcua(kiln, *made):
                before = len(rows(spool))
                wait_for(
                    lambda: [row for row in rows(spool)[before:] if row["point"] == "cycle.kiln.all" and row["value"]]
                )
                wait_for(lambda: len(rows(spool)) > before + 200)
                collector.send_signal(signal.SIGTERM)
                out, said = collector.communicate(timeout=60)
        assert collector.returncode == 0, said
        assert json.loads(out)["missed"] > 0
        spooled = rows(spool)
        last_ns = max(row["time"].value for row in spooled)
        line.discover(settings)
        found = wait_for(lambda: (done := sync_pass(line, settings, 60.0)).up_to_ns > last_ns and done)
        assert not found.problems
        handover_ns = line.ledger.handover("line1")
        assert handover_ns is not None
        recount = line.verify(settings, Interval(handover_ns, found.up_to_ns), deep=True)
        assert not recount.drift
        assert not recount.unproved
        assert recount.source_events == recount.stored_events == len(spooled)
    for signal_ in signals_of(12, every_ns=int(0.3 * SECOND_NS)):
        path = f"{signal_.name.partition('.')[0]}/{signal_.name.partition('.')[2]}"
        own = [row for row in spooled if row["point"] in (f"Plant/{path}", f"Plant/{path}[0]") and row["source"]]
        stamps = [row["source"].value for row in own]
        assert len(stamps) == len(
            {(row["source"].value, row["time"].value, str(row["value"]), row["text"]) for row in own}
        )
        runs = [event.time_ns for event in signal_.events(min(stamps), max(stamps) + 100)]
        assert set(stamps) <= set(runs), "nothing was invented"
        gone = [row["time"].value for row in spooled if row["point"] == "cycle.kiln.all" and row["quality"] == 24]
        seen = [each for each in runs if each < min(gone) - 3 * SECOND_NS]  # what was under way is lost with a kill
        first = min(stamps)  # what held when the subscription began: of two at that time, the newer alone
        assert [each for each in seen if each > first] == sorted(each for each in stamps if first < each <= seen[-1]), (
            path
        )
