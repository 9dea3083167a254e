"""Ties, order and digests on arbitrary events."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines import samples
from pipelines.samples.events import codes_of
from pipelines.samples.number_digest import PRIME

number = st.floats(allow_nan=True, allow_infinity=True)
state = st.tuples(st.text(max_size=6), st.integers(-1, 300))
event = st.tuples(
    st.sampled_from(["a", "b%20c", "d"]), st.integers(0, 6), st.one_of(number, state),
    st.sampled_from([0, 64, 192, 216]), st.integers(0, 300),
)  # fmt: skip
events = st.lists(event, max_size=40)


def table_of(rows: list[tuple]) -> pa.Table:
    table = samples.samples_table(
        {
            "point": pa.array([r[0] for r in rows], pa.string()).dictionary_encode(),
            "time": pa.array([r[1] for r in rows], pa.int64()),
            "tie": pa.array([0] * len(rows), pa.int32()),
            "value": pa.array([None if isinstance(r[2], tuple) else r[2] for r in rows], pa.float64()),
            "text": pa.array([r[2][0] if isinstance(r[2], tuple) else None for r in rows], pa.string()),
            "code": pa.array([r[2][1] if isinstance(r[2], tuple) else None for r in rows], pa.int64()),
            "quality": pa.array([r[3] for r in rows], pa.int32()),
            "detail": pa.array([r[4] for r in rows], pa.int32()),
        }
    )
    codes, _ = codes_of(table)
    ties = samples.number_ties(codes, samples.times_ns(table))
    return table.set_column(2, samples.SCHEMA.field("tie"), pa.array(ties, pa.int32()))


@given(events)
def test_ties_number_the_events_of_a_stamp_in_order(rows: list[tuple]) -> None:
    ties = table_of(rows)["tie"].to_pylist()
    seen: dict[tuple, int] = {}
    for row, tie in zip(rows, ties, strict=True):
        assert tie == seen.get(row[:2], 0)
        seen[row[:2]] = tie + 1


@given(events, st.integers(0, 2**32))
def test_order_and_shuffle_change_no_digest(rows: list[tuple], seed: int) -> None:
    table = table_of(rows)
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    shuffled = table.take(pa.array(order, pa.int64()))
    keys = ["point", "time", "tie", "quality", "detail", "text", "code"]
    assert samples.ordered(shuffled).select(keys).equals(samples.ordered(table).select(keys))
    exact = ["point", "events", "numbers", "finite", "good", "first_ns", "last_ns", "digest"]
    assert samples.tally(shuffled).select(exact).equals(samples.tally(table).select(exact))


@given(events.filter(bool), st.data())
def test_any_change_of_an_event_changes_the_digest(rows: list[tuple], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    changed = data.draw(event)
    before, after = rows[index], (rows[index][0], *changed[1:])

    def same(a: object, b: object) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        return a == b

    if all(same(x, y) for x, y in zip(before, after, strict=True)):
        return
    other = [*rows[:index], after, *rows[index + 1 :]]
    first, second = samples.tally(table_of(rows)), samples.tally(table_of(other))
    assert first.select(["point", "digest"]) != second.select(["point", "digest"])


@given(events, st.integers(0, 2**32))
def test_the_digest_of_numbers_is_what_whole_numbers_give(rows: list[tuple], seed: int) -> None:
    """The definition of docs/decisions/0001 in Python's integers, whose remainders are not C's."""

    def rest(number: int) -> int:
        return abs(number) % PRIME * (-1 if number < 0 else 1)

    wanted: dict[str, int | None] = {}
    for point, time, value, quality, detail in rows:
        wanted.setdefault(point, 0)
        if isinstance(value, tuple) or wanted[point] is None:
            continue
        size = abs(value)
        if not (2.0**-76 <= size <= 2.0**800) and (size or math.copysign(1, value) < 0):
            wanted[point] = None
            continue
        scaled = rest(int(Fraction(value) * 2**128))
        word = rest(scaled + quality * 1_048_583 + detail * 2_097_169 + rest(time))
        wanted[point] += rest(word**3)
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    found = samples.tally(table_of(rows).take(pa.array(order, pa.int64())), number_digest=True)
    assert dict(zip(found["point"].to_pylist(), found["number_digest"].to_pylist(), strict=True)) == wanted


@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-20), min_size=2, max_size=40),
    st.data(),
    st.integers(0, 2**62),
)
def test_one_changed_number_is_seen_without_reading_and_two_swapped_ones(
    values: list[float], data: st.DataObject, start_ns: int
) -> None:
    at = data.draw(st.integers(0, len(values) - 2))
    nearest, swapped = values.copy(), values.copy()
    nearest[at] = math.nextafter(values[at], math.inf)
    swapped[at : at + 2] = swapped[at + 1], swapped[at]

    def digest(given: list[float]) -> int:
        rows = [("a", start_ns + place * 100, value, 192, 0) for place, value in enumerate(given)]
        return samples.tally(table_of(rows), number_digest=True)["number_digest"][0].as_py()

    assert digest(values) != digest(nearest)
    assert (digest(values) == digest(swapped)) == (values == swapped)


@given(events)
def test_coarsening_keeps_every_event(rows: list[tuple]) -> None:
    table = samples.ordered(table_of(rows))
    coarse, rounded = samples.coarsen(table, 3)
    assert len(coarse) == len(table)
    assert rounded == sum(1 for row in rows if row[1] % 3)
    keys = list(zip(*(coarse[name].to_pylist() for name in ("point", "time", "tie")), strict=True))
    assert len(set(keys)) == len(keys)


def test_a_swap_of_two_values_is_seen() -> None:
    one = [("a", 1, 5.0, 192, 0), ("a", 2, 7.0, 192, 0)]
    two = [("a", 1, 7.0, 192, 0), ("a", 2, 5.0, 192, 0)]
    assert samples.tally(table_of(one))["digest"] != samples.tally(table_of(two))["digest"]


def test_times_centuries_apart_are_ordered() -> None:
    rows = [("a", 2**62, 1.0, 192, 0), ("a", -(2**62) - 2**61, 2.0, 192, 0), ("a", 0, 3.0, 192, 0)]
    assert samples.ordered(table_of(rows))["value"].to_pylist() == [2.0, 3.0, 1.0]
