"""The `points` table: what a point id stands for, so that a query can join names, units and limits."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines.points import Point
from resources.iotdb.layout import POINTS, tag
from resources.iotdb.rows import constant


def point_rows(source: str, points: Sequence[Point]) -> pa.Table:
    """One row a point, at time 0, sorted by id. A limit that is not known is NaN: never a null (trap 4)."""
    known = {point.id: point for point in points}
    listed = [known[identifier] for identifier in sorted(known)]
    ids = pa.array([tag(point.id, "the point id") for point in listed], pa.string())
    columns = {
        "time": pa.array([0] * len(listed), pa.int64()),
        "source": constant(tag(source, "the name of the source"), len(listed)),
        "point": ids.dictionary_encode(),
        "name": pa.array([point.name for point in listed], pa.string()),
        "kind": pa.array([point.kind for point in listed], pa.string()),
        "type": pa.array([point.source_type for point in listed], pa.string()),
        "unit": pa.array([point.unit for point in listed], pa.string()),
        "description": pa.array([point.description for point in listed], pa.string()),
        "step": pa.array([point.step for point in listed], pa.bool_()),
        "future": pa.array([point.future for point in listed], pa.bool_()),
        "digital_set": pa.array([point.digital_set for point in listed], pa.string()),
        "zero": pa.array([_known(point.zero) for point in listed], pa.float64()),
        "span": pa.array([_known(point.span) for point in listed], pa.float64()),
        "source_key": pa.array([point.source_key for point in listed], pa.string()),
    }
    return pa.table([columns[name] for name in POINTS.schema.names], schema=POINTS.schema)


def _known(limit: float | None) -> float:
    return float("nan") if limit is None else limit
