"""The audit of clocks: how far a server's or source's was ahead of the collector's, its drift and jumps, a day."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pipelines.marts.events import batches
from pipelines.marts.files import MartFile, write_whole
from pipelines.marts.inputs import MartInput
from pipelines.ports import CLOCKS

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


def build_clocks(given: MartInput) -> dict[str, MartFile]:
    """Writes the mart `clocks` of one point group and window. Raises DamagedLanding, NoRoom."""
    clocks = [point for point in given.points if point.name.startswith(CLOCKS)]
    audited = replace(given, points=clocks) if clocks else replace(given, points=(), pieces=(), before=(), after=())
    values: dict[str, object] = {"prefix": CLOCKS, "jump_s": JUMP_S}
    with audited.database() as database:
        rows = batches(database, "quality/clock_days.sql", values)
        return {"clocks": write_whole(given.path("clocks"), CLOCKS_SCHEMA, rows)}
