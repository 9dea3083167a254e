"""Aggregates of a window per point at one minute, one hour and one day, in UTC buckets.

The rules (OPC UA Part 13 and the PI summaries agree on them where they speak at all):

- A bucket has a row when it holds at least one event; a bucket without events has none.
- `events` counts every event: bad ones, ties, states and numbers that are not finite.
- An event is *usable* as a number when its number is finite and its quality good or uncertain (≥ 64).
  `numbers` counts those; mean, min, max, first, last, stddev, p95 and twa are over them alone.
- `twa` weights with time: a step point holds each number until the next event, a linear point is a straight line
  between usable numbers; the event before the bucket (or before the window) holds into it. Where an event is not
  usable, the time until the next usable one does not count, and the line up to it is level. After the last event
  that is known (`after` may name more) the number holds to the end of the bucket.
- Ties: all of them are events; the last of a stamp holds for what follows, the line arrives at the first.
- `percent_good` is of events, `percent_good_time` of the bucket's time, in which each event's quality holds.
- `state` is the most frequent usable state (ties by text), `changes` counts states, usable or not, that
  differ from the state before; both are null in a bucket of numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.marts.events import THREADS, batches
from pipelines.marts.files import MartFile
from pipelines.marts.inputs import Made, MartInput
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS

_PARQUET_ONLY = frozenset({"state", "changes", "first_ns", "last_ns"})
INTERVALS = {"1m": MINUTE_NS, "1h": HOUR_NS, "1d": DAY_NS}
"""Name of an interval → its length, nanoseconds."""

AGGREGATE_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string()),
        pa.field("time", pa.timestamp("ns", tz="UTC")),  # start of the bucket
        pa.field("events", pa.int64()),
        pa.field("good", pa.int64()),
        pa.field("numbers", pa.int64()),
        pa.field("percent_good", pa.float64()),
        pa.field("percent_good_time", pa.float64()),
        pa.field("mean", pa.float64()),
        pa.field("twa", pa.float64()),
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("first", pa.float64()),
        pa.field("first_ns", pa.int64()),
        pa.field("last", pa.float64()),
        pa.field("last_ns", pa.int64()),
        pa.field("stddev", pa.float64()),  # of a sample (n − 1); null below two numbers
        pa.field("p95", pa.float64()),  # interpolated between the neighbours in rank
        pa.field("state", pa.string()),
        pa.field("changes", pa.int64()),
    ]
)


def build_aggregates(given: MartInput) -> Made:
    """Writes the aggregates of a window, one file an interval and point group, in the place of older ones.

    The same input gives the same bytes. Raises DamagedLanding, NoRoom.
    """

    def write(interval: str) -> dict[str, MartFile]:
        values: dict[str, object] = {
            "step_ns": INTERVALS[interval], "start_ns": given.window.start_ns, "end_ns": given.window.end_ns,
        }  # fmt: skip
        rows = batches(database, "marts/aggregates.sql", values)
        return given.write(f"aggregates/interval={interval}", AGGREGATE_SCHEMA, rows)

    with given.database() as database, ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(INTERVALS, pool.map(write, INTERVALS), strict=True))


def for_store(paths: Iterable[Path]) -> pa.Table:
    """The rows of aggregate files as Store.write_aggregates takes them: point, time, DOUBLE and INT64 columns.

    The columns of `_PARQUET_ONLY` stay in the file: they are null in buckets without numbers (or states), and a store
    row must be full.
    """
    numeric = [field.name for field in AGGREGATE_SCHEMA if field.name not in _PARQUET_ONLY]
    return pa.concat_tables([pq.read_table(path, columns=numeric, partitioning=None) for path in paths])
