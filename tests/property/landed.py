"""Arbitrary events as one landed file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.landing import Landing
from pipelines.points import Point
from pipelines.ports import SliceId
from pipelines.samples import NO_CODE, number_ties, ordered, samples_table
from pipelines.timeline import DAY_NS, Interval


def land_events(
    rows: Sequence[tuple[str, int, Any, int]], points: Sequence[Point], start_ns: int, folder: Path
) -> Path:
    """Rows of (point id, offset from the start, number or state, quality), sorted by point and time, in one file."""
    codes = np.array([[point.id for point in points].index(row[0]) for row in rows], np.int64)
    times = np.array([start_ns + row[1] for row in rows], np.int64)
    states = [isinstance(row[2], str) for row in rows]
    table = samples_table(
        {
            "point": pa.array([row[0] for row in rows], pa.string()).dictionary_encode(),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
            "tie": pa.array(number_ties(codes, times), pa.int32()),
            "value": pa.array([None if s else row[2] for s, row in zip(states, rows, strict=True)], pa.float64()),
            "text": pa.array([row[2] if s else None for s, row in zip(states, rows, strict=True)], pa.string()),
            "code": pa.array([NO_CODE if s else None for s in states], pa.int64()),
            "quality": pa.array([row[3] for row in rows], pa.int32()),
            "detail": pa.array([0] * len(rows), pa.int32()),
        }
    )
    return landed_file(ordered(table), folder)


def landed_file(table: pa.Table, folder: Path) -> Path:
    """The events as a landed generation, with its manifest, in a folder whose name asks for trouble."""
    landing, slice_id = Landing(folder / "landed [0]*"), SliceId("s", "g000", Interval(0, DAY_NS))
    manifest = landing.land(slice_id, slice_id.span, table, pc.unique(table["point"].cast(pa.string())).to_pylist(), {})
    return landing.path(slice_id, slice_id.span, manifest.generation)
