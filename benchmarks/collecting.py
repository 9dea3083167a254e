"""Whether a collector keeps its beat: thousands of tags over many connections, for minutes.

    python -m benchmarks.collecting --connections 20 --tags 5000 --seconds 300

Modbus servers in a process of their own, PLC4X and the spool in this one. Prints one JSON object; 1 when a cycle was
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from assets_defs.collecting import collecting
from pipelines.collect import Collector
from pipelines.plant import load_plant
from pipelines.ports import CYCLES
from pipelines.timeline import Interval
from resources.embedded.ports import choose
from resources.plc4x import SpoolReader

_ROOT = Path(__file__).parents[1]
_HEAD = """
[plant]
name = "bench"
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
start = 2026-01-01T00:00:00Z
interval = "{every} s"
"""
_CONNECTION = """
[[source.connection]]
name = "{name}"
url = "modbus-tcp:tcp://127.0.0.1:{port}?request-timeout=2000"
"""
_SAMPLE_S = 1.0
_SETTLED = 0.2
"""Of the time: after it memory should be flat."""


def written(folder: Path, ports: dict[str, int], tags: int, every_s: float) -> Path:
    """A plant file and its tag map."""
    text = _HEAD.format(every=every_s) + "".join(
        _CONNECTION.format(name=name, port=port) for name, port in ports.items()
    )
    (folder / "ferry.toml").write_text(text, encoding="utf-8")
    each = tags // len(ports)
    rows = [f"{name}.{place},{name},holding-register:{place + 1},INT" for name in ports for place in range(each)]
    (folder / "tags.csv").write_text("\n".join(["name,connection,address,type", *rows]), encoding="utf-8")
    return folder / "ferry.toml"


def watched(collector: Collector, seconds: float) -> list[float]:
    """Resident MiB of this process, once a second, until the time is over."""
    mine, found = psutil.Process(), list[float]()

    def watch() -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            time.sleep(_SAMPLE_S)
            found.append(mine.memory_info().rss / 2**20)
        collector.stop()

    thread = threading.Thread(target=watch)
    thread.start()
    collector.run()
    thread.join()
    return found


def figures(
    spool: SpoolReader, collector: Collector, memory: list[float], began_s: float, before: float
) -> dict[str, object]:
    """What was read, how late, and what it took."""
    late: list[float] = []
    readings = 0
    for batch in spool.batches(Interval(0, 2**62)):
        names, values = batch["point"].to_pylist(), batch["value"].to_pylist()
        late += [
            value for name, value in zip(names, values, strict=True) if name.startswith(CYCLES) and value is not None
        ]
        readings += len(names)
    counts = collector.counts.values()
    settled = np.array(memory[int(len(memory) * _SETTLED) :])
    slope = float(np.polyfit(np.arange(len(settled)) * _SAMPLE_S / 60, settled, 1)[0]) if len(settled) > 2 else 0.0
    return {
        "cycles": sum(each.cycles for each in counts),
        "missed": sum(each.missed for each in counts),
        "bad": sum(each.bad for each in counts),
        "readings": readings,
        "late_p50_s": round(float(np.quantile(late, 0.5)), 4),
        "late_p99_s": round(float(np.quantile(late, 0.99)), 4),
        "late_max_s": round(float(np.max(late)), 4),
        "rss_mib": [round(float(settled[0]), 1), round(float(settled[-1]), 1)],
        "rss_slope_mib_per_min": round(slope, 3),
        "cpu_share": round((time.process_time() - before) / (time.monotonic() - began_s), 3),
        "spool_mb": round(spool.size_bytes() / 1e6, 1),
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--connections", type=int, default=20)
    options.add_argument("--tags", type=int, default=5_000)
    options.add_argument("--every", type=float, default=1.0, help="seconds between cycles")
    options.add_argument("--seconds", type=float, default=300.0)
    given = options.parse_args()
    names = [f"plc{place:02d}" for place in range(given.connections)]
    ports = choose(names)
    servers = [sys.executable, "-m", "tests.modbus_plc", *(str(port) for port in ports.values())]
    child = subprocess.Popen(servers, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        for _ in names:
            child.stdout.readline()
        with tempfile.TemporaryDirectory(prefix="ferry-collecting-") as folder:
            plant = load_plant(written(Path(folder), ports, given.tags, given.every))
            with collecting(plant, plant.source[0]) as ready:
                began_s, before = time.monotonic(), time.process_time()
                memory = watched(ready.collector, given.seconds)
                found = figures(ready.spool, ready.collector, memory, began_s, before)
    finally:
        child.kill()
        child.wait()
    sys.stdout.write(json.dumps({"tags": given.tags, "connections": given.connections, **found}, indent=1) + "\n")
    expected = given.connections * int(given.seconds / given.every)
    return 0 if not found["missed"] and abs(int(str(found["cycles"])) - expected) <= 2 * given.connections else 1


if __name__ == "__main__":
    sys.exit(main())
