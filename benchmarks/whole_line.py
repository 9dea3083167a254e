"""The whole line over a fresh plant, in a process of its own so that its peak memory is the ferry's alone."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from assets_defs.line import open_line
from pipelines.plant import load_plant


def main(path: str) -> None:
    """Prints {"events", "seconds", "peak_bytes"}. Raises SystemExit when something stays unproved."""
    with open_line(load_plant(Path(path))) as line:
        settings = line.plant.source[0]
        pairs = [(group, window) for window in line.windows(settings) for group in line.groups(settings)]
        began = time.monotonic()
        results = line.run_pairs(settings, pairs)
        seconds = time.monotonic() - began
    if not all(result.proved for result in results):
        sys.exit("not everything was proved: the figure would mean nothing")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    events = sum(result.events for result in results)
    sys.stdout.write(json.dumps({"events": events, "seconds": seconds, "peak_bytes": peak}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
