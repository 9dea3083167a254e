"""Where a collector goes on: the last cycle of each scan that the spool holds."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from pipelines.ports import CYCLES
from pipelines.timeline import MINUTE_NS, Interval
from resources.plc4x.spool import SpoolReader


def last_cycles(spool: SpoolReader, longest_ns: int) -> dict[str, int]:
    """By the point of its cycles, when each scan was last due; `longest_ns` is the longest interval of them."""
    last_ns = spool.last_ns()
    if last_ns is None:
        return {}
    found: dict[str, int] = {}
    for batch in spool.batches(Interval(last_ns - 10 * longest_ns - 10 * MINUTE_NS, last_ns + 1)):
        cycles = batch.filter(pc.starts_with(batch["point"], CYCLES))
        times = np.asarray(cycles["time"].cast("int64"))
        for name, time_ns in zip(cycles["point"].to_pylist(), times.tolist(), strict=True):
            found[name] = max(time_ns, found.get(name, time_ns))
    return found
