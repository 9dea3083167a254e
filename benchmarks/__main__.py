"""`make bench`: events/s of pull, land, write, verify and the whole line, and of a plain reference, in one run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from assets_defs.line import Line, open_line
from benchmarks.reference import reference
from benchmarks.stages import Rate, stages
from pipelines.plant import load_plant

_PLANT = """
[plant]
name = "bench"
[[source]]
name = "pi1"
kind = "pi_web_api"
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_BENCH_PASSWORD" }}
point_groups = 8
window = "day"
start = 2026-01-01
end = 2026-01-02
requests_per_s = 900
simulate = {{ points = {points}, seed = 1, hours = 24 }}
"""


def main() -> int:
    """Prints a table, and with --json one JSON object as the last line."""
    options = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    options.add_argument("--points", type=int, default=2_000)
    options.add_argument("--reference-points", type=int, default=100)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    load = os.getloadavg()[0]
    say(f"{os.cpu_count()} cores, load {load:.1f}" + (": a busy machine, figures are floors" if load > 0.5 else ""))
    with tempfile.TemporaryDirectory(prefix="ferry-bench-") as folder:
        path = Path(folder) / "ferry.toml"
        path.write_text(_PLANT.format(points=given.points), encoding="utf-8")
        with open_line(load_plant(path)) as line:
            try:
                line.outside.up()
                rates, peak_bytes = measure(line, path, given.reference_points)
            finally:
                line.outside.down()
    plain = rates[-1].events_per_s
    for rate in rates:
        say(f"{rate.name:<28}{rate.events_per_s:>12,.0f} events/s{rate.events_per_s / plain:>9.1f} x the reference")
    say(f"peak memory of the whole line's process: {peak_bytes / 2**20:,.0f} MiB")
    if given.json:
        figures = {rate.name: round(rate.events_per_s) for rate in rates}
        sys.stdout.write(json.dumps({"events_per_s": figures, "peak_bytes": peak_bytes, "load": load}) + "\n")
    return 0


def measure(line: Line, path: Path, reference_points: int) -> tuple[list[Rate], int]:
    """Every stage by itself, the whole line in a process of its own, and the reference last."""
    settings = line.plant.source[0]
    line.discover(settings)
    rates = stages(line, settings)
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.whole_line", str(path)], check=True, stdout=subprocess.PIPE, text=True
    )
    whole = json.loads(child.stdout.splitlines()[-1])
    rates.append(Rate("whole line, proved", whole["events"], whole["seconds"]))
    rates.append(reference(line, settings, reference_points))
    return rates, int(whole["peak_bytes"])


def say(text: str) -> None:
    """A line for a person."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
