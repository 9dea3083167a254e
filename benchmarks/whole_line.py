"""The whole line over points that the store lacks, in a process of its own, so that its peak memory is the ferry's.

python -m benchmarks.whole_line PLANT_FILE SERVERS_JSON
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path

from assets_defs.line import open_line
from benchmarks.costs import Costs
from benchmarks.rates import timed
from pipelines.plant import load_plant

NAME = "whole line, proved"


def main(path: str, servers: str) -> None:
    """Prints a Rate as JSON. Raises SystemExit when something stays unproved."""
    costs = Costs(json.loads(servers))
    with open_line(load_plant(Path(path))) as line:
        settings = line.plant.source[0]
        line.discover(settings)
        pairs = [(group, window) for window in line.windows(settings) for group in line.groups(settings)]

        def run() -> int:
            results = line.run_pairs(settings, pairs)
            if not all(result.proved for result in results):
                sys.exit("not everything was proved: the figure would mean nothing")
            return sum(result.events for result in results)

        rate = timed(costs, NAME, run)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    sys.stdout.write(json.dumps(asdict(replace(rate, peak_bytes=peak))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
