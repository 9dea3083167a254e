"""`make bench`: events/s of every stage and of the whole line, and of a plain reference, in one run."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from assets_defs.line import Line, open_line
from benchmarks.costs import Costs
from benchmarks.lines import under_dagster, whole_line
from benchmarks.rates import Rate
from benchmarks.reference import Reference
from benchmarks.reference import reference as pi_reference
from benchmarks.reference_sql import reference as sql_reference
from benchmarks.stages import stages
from pipelines.plant import load_plant

_PLANT = """
[plant]
name = "bench"
state_dir = "."
[[source]]
name = "{name}"
kind = "{kind}"
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_BENCH_{kind}" }}
point_groups = 8
window = "day"
start = 2026-01-01T00:00:00Z
end = {end}
requests_per_s = 900
{where}
"""
_PLACES = {"pi_web_api": 'url = "{}"', "wonderware": 'address = "{}"\ntls = false'}
_REFERENCES: dict[str, Reference] = {"pi_web_api": pi_reference, "wonderware": sql_reference}
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_BUSY = 0.5


def main() -> int:
    """Prints a table, and with --json one JSON object as the last line."""
    options = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    options.add_argument("--points", type=int, default=2_000, help="of the simulated plant")
    options.add_argument(
        "--hours", type=int, default=24, help="of its history; a stage alone keeps all of it in memory"
    )
    options.add_argument("--repeat", type=int, default=1, help="runs of everything; medians are shown")
    options.add_argument("--reference-points", type=int, default=100, help="numeric points that the reference moves")
    options.add_argument("--kind", action="append", choices=tuple(_PLACES), help="only this kind of source")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout, too")
    given = options.parse_args()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    say(f"{cores} cores, load {load:.1f}" + (": a busy machine, events/s are floors" if load > _BUSY else ""))
    with tempfile.TemporaryDirectory(prefix="ferry-bench-") as folder:
        found = {kind: _bench(kind, Path(folder), given) for kind in given.kind or _PLACES}
    if given.json:
        shown = {kind: [rate.as_json(rates[-1]) for rate in rates] for kind, rates in found.items()}
        sys.stdout.write(json.dumps({"cores": cores, "load": load, "points": given.points, "rates": shown}) + "\n")
    return 0


def _bench(kind: str, folder: Path, given: argparse.Namespace) -> list[Rate]:
    """Everything about one kind of source, with servers started for it, and its table shown."""
    path = _plant_file(
        folder, kind, kind, given.hours, f"simulate = {{ points = {given.points}, hours = {given.hours} }}"
    )
    with open_line(load_plant(path)) as line:
        try:
            line.outside.up()
            rates = _measured(kind, line, folder, given)
        finally:
            line.outside.down()
    _show(kind, rates)
    return rates


def _measured(kind: str, line: Line, folder: Path, given: argparse.Namespace) -> list[Rate]:
    """Every stage by itself, the whole line, the backfill, and the reference last."""
    settings = line.plant.source[0]
    costs = Costs({each.name: each.pids for each in line.outside.statuses()})
    line.discover(settings)
    rates = stages(line, settings, costs, given.repeat)
    where = _PLACES[kind].format(
        line.outside.url(settings)
    )  # the same stand-in under other names: the store lacks them
    files = [_plant_file(folder, f"{kind}_line{number}", kind, given.hours, where) for number in range(given.repeat)]
    rates.append(whole_line(costs, files))
    rates.append(under_dagster(costs, _plant_file(folder, f"{kind}_dagster", kind, given.hours, where)))
    rates.append(_REFERENCES[kind](line, settings, costs, given.reference_points))
    return rates


def _plant_file(folder: Path, name: str, kind: str, hours: int, where: str) -> Path:
    path = folder / f"{name}.toml"
    end = (_START + dt.timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
    path.write_text(_PLANT.format(name=name, kind=kind, end=end, where=where), encoding="utf-8")
    return path


def _show(kind: str, rates: Sequence[Rate]) -> None:
    plain = rates[-1].events_per_s
    say(f"{kind:<30}{'events/s':>12}{'reference':>11}{'ferry':>14}{'servers':>14}{'peak memory':>14}")
    for rate in rates:
        times, peak = rate.events_per_s / plain, rate.peak_bytes / 2**20
        say(
            f"{rate.name:<30}{rate.events_per_s:>12,.0f}{times:>9.1f} x{rate.ferry_us:>8.2f} µs/ev"
            f"{rate.servers_us:>8.2f} µs/ev" + (f"{peak:>10,.0f} MiB" if peak else "")
        )


def say(text: str) -> None:
    """A line for a person."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
