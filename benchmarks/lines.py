"""The whole line: bare in a process of its own, and as `ferry backfill` runs it, under Dagster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assets_defs.backfill import backfill, prepare
from assets_defs.line import open_line
from assets_defs.rectangle_child import FEW_ARENAS
from benchmarks.costs import Costs
from benchmarks.rates import Rate, median, timed
from pipelines.plant import load_plant
from pipelines.timeline import Interval


def whole_line(costs: Costs, plant_files: Sequence[Path]) -> Rate:
    """Pull, land, write, verify and commit, overlapping; once for each plant file, whose sources are new ones."""
    return median([_bare(costs, path) for path in plant_files])


def under_dagster(costs: Costs, plant_file: Path) -> Rate:
    """`ferry backfill` from its call to its end: planning, Dagster's start, run and events, and the line inside.

    Dagster's tables are made before: that is once in a plant's life.
    """
    with open_line(load_plant(plant_file)) as line:
        settings = line.plant.source[0]
        line.discover(settings)
        prepare(line)
        windows = line.windows(settings)
        span = Interval(windows[0].start_ns, windows[-1].end_ns)

        def run() -> int:
            summary = backfill(line, plant_file, settings, span)
            if summary.problems or summary.unproved:
                sys.exit("not everything was proved: the figure would mean nothing")
            return summary.events

        with costs.peak_of_children() as peak:
            rate = timed(costs, "ferry backfill, with Dagster", run)
    return replace(rate, peak_bytes=peak.bytes)


def _bare(costs: Costs, plant_file: Path) -> Rate:
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.whole_line", str(plant_file), json.dumps(costs.servers)],
        check=True,
        env={**FEW_ARENAS, **os.environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    return Rate(**json.loads(child.stdout.splitlines()[-1]))
