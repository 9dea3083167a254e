"""Small landings for marts, written straight as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.landing import Piece
from pipelines.samples import NO_CODE, number_ties, ordered, samples_table
from pipelines.timeline import Interval, parse
from tests.property.landed import landed_file

Land = Callable[[Sequence[tuple[str, str, Any, int]], Interval], list[Piece]]
_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Lands rows of (point id, ISO time, number or state, quality) as one piece; no rows, no piece."""

    def landed(rows: Sequence[tuple[str, str, Any, int]], span: Interval) -> list[Piece]:
        if not rows:
            return []
        said = [_NUMBERS.get(row[2], row[2]) if isinstance(row[2], str) else row[2] for row in rows]
        ids = sorted({row[0] for row in rows})
        codes = np.array([ids.index(row[0]) for row in rows])
        times = np.array([parse(row[1]) for row in rows], np.int64)
        table = samples_table(
            {
                "point": pa.array([row[0] for row in rows], pa.string()).dictionary_encode(),
                "time": pa.array(times, pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
                "tie": pa.array(number_ties(codes, times)),
                "value": pa.array([None if isinstance(each, str) else float(each) for each in said], pa.float64()),
                "text": pa.array([each if isinstance(each, str) else None for each in said], pa.string()),
                "code": pa.array([NO_CODE if isinstance(each, str) else None for each in said], pa.int64()),
                "quality": pa.array([row[3] for row in rows], pa.int32()),
                "detail": pa.array([0] * len(rows), pa.int32()),
            }
        )
        return [Piece(landed_file(ordered(table), tmp_path), span)]

    return landed
