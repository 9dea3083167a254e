"""Where a collector goes on: the last cycle of each scan that the spool holds, the last events that sources told."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ports import CYCLES, Told, told
from pipelines.samples import UNCERTAIN
from pipelines.timeline import MINUTE_NS, Interval
from resources.plc4x.spool import SpoolReader

_LOOK_BACK_BYTES = 64 << 20


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


def last_told(spool: SpoolReader, names: Collection[str], most_bytes: int = _LOOK_BACK_BYTES) -> dict[str, Told]:
    """The last usable event of each of these points, as far as the newest `most_bytes` of the spool hold one."""
    wanted, found = set(names), dict[str, Told]()
    for batch in spool.newest_first(most_bytes) if wanted else ():
        mine = pc.is_in(batch["point"], pa.array(sorted(wanted), pa.string()))
        usable = batch.filter(pc.and_(mine, pc.greater_equal(batch["quality"], UNCERTAIN)))
        for row in _rows(usable):  # the last of a point stays
            found[row[0]] = told(row)
        wanted -= found.keys()
        if not wanted:
            break
    return found


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = [batch["point"], batch["time"].cast(pa.int64())]
    columns += [batch[name] for name in ("value", "text", "code", "quality", "detail")]
    return zip(*(column.to_pylist() for column in columns), strict=True)
