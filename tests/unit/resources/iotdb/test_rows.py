"""Events as rows of the two tables, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import samples
from pipelines.ports import Stop
from resources.iotdb.layout import SAMPLES, STATES
from resources.iotdb.rows import events_of, merged, portions, rows_of
from tests.contract.store_contract import START, dense, number, small_tables, state, table


@given(small_tables())
def test_rows_give_the_events_back(events: pa.Table) -> None:
    parts = [events_of(home, rows, 1) for home, rows in rows_of("s", events, 1)]
    back = merged(parts)
    assert samples.tally(back).equals(samples.tally(events))
    assert back.drop_columns("value").equals(events.drop_columns("value"))


@given(small_tables())
def test_rows_are_grouped_by_device_and_rise_in_time(events: pa.Table) -> None:
    for home, rows in rows_of("s", events, 1):
        assert rows.schema.equals(home.schema)
        keys = list(zip(*(rows[name].to_pylist() for name in ("point", "tie")), strict=True))
        devices = [key for index, key in enumerate(keys) if not index or keys[index - 1] != key]
        assert len(devices) == len(set(devices))
        times = rows["time"].to_pylist()
        assert all(times[i - 1] < times[i] for i in range(1, len(rows)) if keys[i] == keys[i - 1])
        assert not any(column.null_count for column in rows.columns)


def test_a_table_without_rows_is_left_out() -> None:
    assert [home for home, _ in rows_of("s", table([number("A", START, 1.0)]), 1)] == [SAMPLES]
    assert [home for home, _ in rows_of("s", table([state("A", START, "x")]), 1)] == [STATES]
    assert rows_of("s", samples.empty(), 1) == []


@pytest.mark.parametrize(("source", "point"), [("s", "Öl"), ("s", ""), ("ö", "P"), ("", "P")])
def test_a_tag_that_iotdb_would_lose_is_refused(source: str, point: str) -> None:
    with pytest.raises(Stop, match="ASCII"):
        rows_of(source, table([number(point, START, 1.0)]), 1)


def test_events_under_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match=r"point A has two events at 2024-02-28T23:59:59Z with tie 0"):
        rows_of("s", table([number("A", START, 1.0), number("A", START, 2.0)]), 1)


def test_centuries_apart_is_in_order() -> None:
    years = [-8_000_000_000_000_000_000, 8_000_000_000_000_000_000]
    ((_, rows),) = rows_of("s", table([number("A", time, 1.0) for time in years]), 1)
    assert rows["time"].to_pylist() == years


@pytest.mark.parametrize("column", ["text", "code"])
def test_a_null_is_refused(column: str) -> None:
    events = table([state("A", START, "x", 1)])
    index = events.schema.get_field_index(column)
    events = events.set_column(index, events.schema.field(column), pa.nulls(1, events.schema.field(column).type))
    with pytest.raises(ValueError, match=f"no {column}"):
        rows_of("s", events, 1)


@pytest.mark.parametrize("time", [-(2**63), 2**63 - 1])
def test_the_ends_of_time_are_refused(time: int) -> None:
    with pytest.raises(Stop, match="loses events"):
        rows_of("s", table([number("A", time, 1.0)]), 1)


def test_a_coarse_clock_takes_only_coarse_times() -> None:
    ((_, rows),) = rows_of("s", table([number("A", 5_000_000, 1.0)]), 1_000_000)
    assert rows["time"].to_pylist() == [5]
    assert events_of(SAMPLES, rows, 1_000_000)["time"].cast(pa.int64()).to_pylist() == [5_000_000]
    with pytest.raises(ValueError, match="finer"):
        rows_of("s", table([number("A", 5_000_001, 1.0)]), 1_000_000)


@given(st.integers(1, 50), st.integers(1, 5_000))
def test_portions_are_all_rows_in_order_and_bounded(rows: int, size: int) -> None:
    events = dense(["A", "B"], 30)
    for _, made in rows_of("s", events, 1):
        parts = list(portions(made, rows, size))
        assert pa.concat_tables(parts).equals(made)
        assert all(0 < len(part) <= rows for part in parts)


def test_a_long_text_makes_a_portion_of_its_own() -> None:
    events = table([state("A", START + i, "x" * size) for i, size in enumerate([10, 5_000, 10, 10])])
    ((_, made),) = rows_of("s", events, 1)
    assert [len(part) for part in portions(made, 100, 1_000)] == [1, 1, 2]


def test_unsorted_dictionaries_are_sorted_by_name() -> None:
    events = dense(["B", "A"], 3, state_share=0.0)
    swapped = events.take(pa.array(np.arange(len(events))[::-1]))
    ((_, rows),) = rows_of("s", swapped, 1)
    assert rows["point"].to_pylist() == ["A"] * 3 + ["B"] * 3
