"""The audit of clocks: how far a server's or source's was ahead of the collector's, its drift and jumps, a day."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipelines.landing import Piece
from pipelines.marts.events import batches, find_neighbours, load, opened
from pipelines.marts.files import MartFile, mart_path, write_whole
from pipelines.points import Point
from pipelines.ports import CLOCKS
from pipelines.timeline import Interval

JUMP_S = 1.0
"""A clock that moves by more than this from one telling to the next was set, or stood still."""
CLOCKS_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string()),
        pa.field("time", pa.timestamp("ns", tz="UTC")),  # start of the day
        pa.field("tellings", pa.int64()),
        pa.field("first_s", pa.float64()),  # ahead of the collector's clock, as all that follow
        pa.field("last_s", pa.float64()),
        pa.field("least_s", pa.float64()),
        pa.field("most_s", pa.float64()),
        pa.field("drift_s_per_day", pa.float64()),
        pa.field("jumps", pa.int64()),
        pa.field("largest_step_s", pa.float64()),
    ]
)


def build_clocks(
    points: Sequence[Point],
    pieces: Sequence[Piece],
    before: Sequence[Piece],
    window: Interval,
    out: Path,
    memory_bytes: int,
    source: str,
    group: str,
    after: Sequence[Piece] = (),
) -> dict[str, MartFile]:
    """Writes the mart `clocks` of one point group and window. Arguments and errors as of `build_aggregates`."""
    clocks = [point for point in points if point.name.startswith(CLOCKS)]
    with opened(memory_bytes, out) as database:
        load(database, clocks, pieces if clocks else [], window)
        find_neighbours(database, before if clocks else [], after if clocks else [], window)
        values: dict[str, object] = {"prefix": CLOCKS, "jump_s": JUMP_S}
        file = mart_path(out, "clocks", source, window, group)
        return {"clocks": write_whole(file, CLOCKS_SCHEMA, batches(database, "quality/clock_days.sql", values))}
