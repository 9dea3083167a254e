"""The audit of clocks: how far a server's or source's was ahead of the collector's, its drift and jumps, a day."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from pipelines.marts.events import Landed, batches
from pipelines.marts.inputs import Made, MartInput
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


def build_clocks(given: MartInput) -> Made:
    """Writes the mart `clocks` of a window, a file a point group. Raises DamagedLanding, NoRoom."""
    audited = replace(given, groups={label: _clocks(landed) for label, landed in given.groups.items()})
    values: dict[str, object] = {"prefix": CLOCKS, "jump_s": JUMP_S}
    with audited.database() as database:
        return {"clocks": given.write("clocks", CLOCKS_SCHEMA, batches(database, "quality/clock_days.sql", values))}


def _clocks(landed: Landed) -> Landed:
    clocks = [point for point in landed.points if point.name.startswith(CLOCKS)]
    return replace(landed, points=clocks) if clocks else Landed((), ())
