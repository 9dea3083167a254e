"""In what order rows are asked for: an answer has a block for each device, and a tie makes a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from pipelines.timeline import DAY_NS, Interval
from resources.iotdb.scans import stored_events

DAY = Interval(0, DAY_NS)
COUNTS = pa.schema({"point": pa.string(), "events": pa.int64(), "characters": pa.int64(), "tie": pa.string()})


class Asked:
    """Sessions of a server that counts `rows` of each point, the greatest tie as texts go, and has none of them."""

    database = "plant"

    def __init__(self, rows: int, tie: str, points: Sequence[str] = ("P",)) -> None:
        self.counts = [{"point": point, "events": rows, "characters": 0, "tie": tie} for point in points]
        self.scans: list[str] = []

    def read(self, sql: str, doing: str, rows_at_once: int = 0) -> pa.Table:
        if doing == "counting":
            return pa.Table.from_pylist(self.counts if '"samples"' in sql else [], COUNTS)
        self.scans.append(sql)
        columns: dict[str, Any] = {"time": pa.array([], pa.int64())}
        for name in ("point", "tie", "text"):
            columns[name] = pa.array([], pa.string()).dictionary_encode()
        for name, kind in (("value", "float64"), ("code", "int64"), ("quality", "int32"), ("detail", "int32")):
            columns[name] = pa.array([], kind)
        return pa.table(columns)


@pytest.mark.parametrize(
    ("rows", "tie", "is_sorted"),
    [
        pytest.param(100, "0", True, id="few rows of a point"),
        pytest.param(50_000, "0", False, id="many rows of a device"),
        pytest.param(5_144, "999", True, id="thousands of events at one stamp"),
        pytest.param(50_000, "9", False, id="ten ties, and many rows of each"),
        pytest.param(200_000, "999", False, id="more than the server sorts"),
    ],
)
def test_what_has_few_rows_in_a_block_comes_sorted(rows: int, tie: str, is_sorted: bool) -> None:
    sessions = Asked(rows, tie)
    list(stored_events(sessions, "pi1", ["P"], DAY, 1))  # type: ignore[arg-type]
    assert [sql.endswith(" ORDER BY time") for sql in sessions.scans] == [is_sorted] * 2


@pytest.mark.parametrize(("points", "is_sorted"), [(500, True), (1_000, False)])
def test_no_more_is_sorted_than_the_server_has_memory_for(points: int, is_sorted: bool) -> None:
    names = [f"P{number}" for number in range(points)]
    sessions = Asked(60, "0", names)
    list(stored_events(sessions, "pi1", names, DAY, 1))  # type: ignore[arg-type]
    assert [sql.endswith(" ORDER BY time") for sql in sessions.scans] == [is_sorted] * 2
