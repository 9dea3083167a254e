"""What the marts' and the report's statements cost must grow with the events, not with their square."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

import sql
from pipelines.landing import Piece
from pipelines.marts.events import Landed, batches, find_neighbours, load, opened
from pipelines.points import Point
from pipelines.samples import samples_table
from pipelines.timeline import DAY_NS, MINUTE_NS, Interval
from tests.property.landed import landed_file

WINDOW = Interval(0, DAY_NS)
FEW = 50_000
TIMES_MORE = 4
ALLOWED = 9.0
"""Four times the events may take nine times as long on a noisy machine; what is quadratic takes sixteen."""
MOMENT_S = 0.1
"""Added to both times: what takes less is not measured, and is no trouble."""


@pytest.mark.parametrize("name", [*sql.names("marts"), *sql.names("quality")])
def test_no_running_window_has_a_filter(name: str) -> None:
    """DuckDB 2.0 works `count(*) FILTER (…) OVER (ORDER BY …)` out anew for every row, `sum(CASE …) OVER` not."""
    for statement in sqlglot.parse(sql.text(name), dialect="duckdb"):
        for window in statement.find_all(exp.Window) if statement else ():
            assert not isinstance(window.this, exp.Filter), window.sql("duckdb")


def test_the_search_finds_such_a_window() -> None:
    [found] = sqlglot.parse("SELECT count(*) FILTER (a > (1)) OVER (ORDER BY b) FROM c", dialect="duckdb")
    assert found is not None
    assert [type(window.this) for window in found.find_all(exp.Window)] == [exp.Filter]


@pytest.mark.parametrize("kind", ["constant", "noise", "states"])
def test_four_times_the_events_take_about_four_times_as_long(kind: str, tmp_path: Path) -> None:
    spent: dict[str, list[float]] = {}
    for events in (FEW, TIMES_MORE * FEW):
        for name, seconds in _spent_s(kind, events, tmp_path).items():
            spent.setdefault(name, []).append(seconds)
    ratios = {name: (many + MOMENT_S) / (few + MOMENT_S) for name, (few, many) in spent.items()}
    assert len(ratios) == 9
    assert max(ratios.values()) < ALLOWED, spent


def _spent_s(kind: str, events: int, folder: Path) -> dict[str, float]:
    """Seconds of every statement over one point with so many events in a day."""
    path = landed_file(_landed(kind, events), folder)
    point = Point("P", "P", "digital" if kind == "states" else "number")
    landed = [Landed([point], [Piece(path, WINDOW)])]
    edges = {"start_ns": 0, "end_ns": DAY_NS}
    pixels = {**edges, "bin_ns": DAY_NS // 360}
    with opened(512 << 20, folder) as database:

        def whole(name: str, values: dict[str, object]) -> Callable[[], object]:
            return lambda: list(batches(database, name, values))

        def named(name: str, values: dict[str, int]) -> Callable[[], object]:
            return lambda: _all(database, sql.statements("quality/trends.sql")[name], values)

        work: dict[str, Callable[[], object]] = {
            "load": lambda: load(database, landed, WINDOW),
            "neighbours": lambda: find_neighbours(database, landed, WINDOW),
            "point_days": whole("quality/point_days.sql", {"first_day_ns": 0, **edges}),
            "bad_states": whole("quality/bad_states.sql", {}),
            "aggregates": whole("marts/aggregates.sql", {"step_ns": MINUTE_NS, **edges}),
            "export": whole("marts/export.sql", {"source": "pi1", "unit_ns": 1_000}),
            "line": named("line", pixels),
            "bad_spans": named("bad_spans", pixels),
            "states": named("states", {**pixels, "lanes": 7}),
        }
        spent = {}
        for name, run in work.items():
            began = time.perf_counter()
            run()
            spent[name] = time.perf_counter() - began
    return spent


def _all(database: duckdb.DuckDBPyConnection, statement: str, values: dict[str, int]) -> list[object]:
    return list(database.execute(statement, values).fetchall())


def _landed(kind: str, events: int) -> pa.Table:
    """A day of one point, evenly; a third of its events are bad."""
    random = np.random.default_rng(7)
    states = random.integers(0, 3, events)
    numbers = np.full(events, 5.0) if kind == "constant" else random.normal(size=events)
    columns = {
        "point": pa.array(["P"] * events, pa.string()).dictionary_encode(),
        "time": pa.array(np.linspace(0, DAY_NS - 1, events).astype(np.int64)).cast(pa.timestamp("ns", tz="UTC")),
        "tie": pa.array(np.zeros(events, np.int32)),
        "quality": pa.array(np.where(random.random(events) < 1 / 3, 0, 192).astype(np.int32)),
        "detail": pa.array(np.zeros(events, np.int32)),
    }
    if kind == "states":
        return samples_table({**columns, "text": pa.array(np.array(["Open", "Closed", "Moving"])[states]),
                              "code": pa.array(states), "value": pa.nulls(events, pa.float64())})  # fmt: skip
    return samples_table({**columns, "value": pa.array(numbers)})
