"""SQL of the store: quoting, conditions, names."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipelines.ports import Stop
from pipelines.timeline import Interval
from resources.iotdb import statements
from resources.iotdb.layout import SAMPLES, STATES, aggregate_table, database_name


def test_texts_cannot_leave_their_quotes() -> None:
    assert statements.literal("a'; DROP TABLE samples; --") == "'a''; DROP TABLE samples; --'"
    assert statements.identifier('a"b') == '"a""b"'
    sql = statements.load("/st'aging/x.tsfile", "plant")
    assert sql.startswith("LOAD '/st''aging/x.tsfile' WITH (")
    assert "'convert-on-type-mismatch'='false'" in sql
    assert "'on-success'='none'" in sql


@pytest.mark.parametrize(("clock_ns", "start", "end"), [(1, 1_500, 2_500), (1_000, 2, 3), (1_000_000, 1, 1)])
def test_a_span_in_the_clock_of_the_server(clock_ns: int, start: int, end: int) -> None:
    sql = statements.within("s", ["A"], Interval(1_500, 2_500), clock_ns)
    assert sql == f"source = 's' AND point IN ('A') AND time >= {start} AND time < {end}"


def test_points_are_asked_once_and_some_at_a_time() -> None:
    asked = list(statements.chunks([f"P{i % 3000}" for i in range(6_000)]))
    assert sorted(point for some in asked for point in some) == sorted({f"P{i}" for i in range(3_000)})
    assert max(map(len, asked)) <= 2_000
    assert list(statements.chunks([])) == []


@pytest.mark.parametrize("name", ["Plant", "1plant", "a-b", 'a"b', "", "x" * 65, "information_schema"])
def test_a_database_has_a_plain_name(name: str) -> None:
    with pytest.raises(Stop, match="cannot name"):
        database_name(name)


def test_a_table_says_how_it_differs() -> None:
    mine = [("time", "TIMESTAMP", "TIME"), *((c.name, c.type, c.category) for c in SAMPLES.columns)]
    assert SAMPLES.complaint(mine) == ""
    other = [*mine[:-1], ("detail", "INT64", "FIELD")]
    assert SAMPLES.complaint(other) == "lacks detail INT32 FIELD; has detail INT64 FIELD"
    assert STATES.complaint(mine)


def test_an_aggregate_table_follows_its_rows() -> None:
    columns = {"point": pa.string(), "time": pa.timestamp("ns", "UTC"), "mean": pa.float64(), "events": pa.int64()}
    table = aggregate_table("1h", pa.schema(columns))
    assert table.name == "agg_1h"
    assert [(c.name, c.type, c.category) for c in table.columns[2:]] == [
        ("mean", "DOUBLE", "FIELD"),
        ("events", "INT64", "FIELD"),
    ]


@pytest.mark.parametrize(("interval", "column", "kind"), [("1 h", "mean", pa.float64()), ("1h", "Mean!", pa.float64()),
                                                          ("1h", "label", pa.string())])  # fmt: skip
def test_an_aggregate_that_does_not_fit_is_refused(interval: str, column: str, kind: pa.DataType) -> None:
    with pytest.raises(Stop):
        aggregate_table(interval, pa.schema({"point": pa.string(), "time": pa.int64(), column: kind}))
