"""Hand-computed cases: tests/cases/marts/*.json. `expected` names only the columns that a case is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.marts import Landed, MartInput, build_aggregates, build_quality
from pipelines.points import Point
from pipelines.timeline import DAY_NS, Interval, parse

CASES = sorted((Path(__file__).parents[3] / "cases" / "marts").glob("*.json"))
MEMORY_BYTES = 256 << 20


def test_there_are_cases() -> None:
    assert len(CASES) > 25


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, land: Any, tmp_path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    point = Point("P", "P", **case["point"])
    window = Interval(*map(parse, case["window"]))
    earlier = Interval(window.start_ns - DAY_NS, window.start_ns)
    later = Interval(window.end_ns, window.end_ns + DAY_NS)

    def pieces(name: str, span: Interval) -> Any:
        return land([("P", *row) for row in case[name]], span)

    build = build_quality if case["mart"] == "quality" else build_aggregates
    made = build(
        MartInput(
            {"g000": Landed([point], pieces("events", window), pieces("before", earlier), pieces("after", later))},
            window, tmp_path / "out", MEMORY_BYTES, "s",
        )
    )  # fmt: skip
    made_file = made[case["mart"] if case["mart"] == "quality" else case["interval"]]["g000"]
    rows = pq.read_table(made_file.path, partitioning=None)
    rows = rows.set_column(1, "time", rows["time"].cast(pa.int64())).to_pylist()
    assert [row["time"] for row in rows] == [parse(each["time"]) for each in case["expected"]]
    assert made_file.rows == len(rows)
    for row, expected in zip(rows, case["expected"], strict=True):
        for column, value in expected.items():
            if column != "time":
                wanted = pytest.approx(value, rel=1e-12) if isinstance(value, int | float) else value
                assert row[column] == wanted, column
