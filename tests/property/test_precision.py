"""Numbers of few bits: a text is the number that it stands for, and a sum is one of two, or a difference."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines import reconcile, samples
from pipelines.ports import SourceTally
from pipelines.samples import HALF, SINGLE, narrowed, written

KINDS = {SINGLE: np.float32, HALF: np.float16}
singles = st.floats(allow_nan=False, allow_infinity=False, width=32)
halves = st.floats(allow_nan=False, allow_infinity=False, width=16)
of_bits = st.sampled_from([(SINGLE, singles), (HALF, halves)])
plain = st.floats(-1e6, 1e6, width=32).filter(lambda number: number == 0 or abs(number) > 1e-6)
"""Numbers of a plant: so that a sum's rounding is small beside its terms."""


def doubles(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def shortest(number: float, bits: int) -> float:
    """By numpy's algorithm, not by Arrow's."""
    return float(np.format_float_scientific(KINDS[bits](number)))


def events(values: list[float]) -> pa.Table:
    rows = [
        {"point": "a", "time": at, "tie": 0, "value": each, "quality": 192, "detail": 0}
        for at, each in enumerate(values)
    ]
    return samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))


def drifts(landed: list[float], total: float, bits: int | None) -> list[str]:
    table = events(landed)
    columns = {"point": ["a"], "events": [len(landed)], "total": [total], "bits": pa.array([bits], pa.int32())}
    said = SourceTally(pa.table(columns), "independent")
    return [each.what for each in reconcile.against_source(reconcile.landed_rows(table), table, said, ["a"])]


@given(of_bits.flatmap(lambda each: st.tuples(st.just(each[0]), each[1])))
def test_a_number_survives_its_text(given_: tuple[int, float]) -> None:
    bits, number = given_
    text = shortest(number, bits)
    found = narrowed(doubles(text), bits)[0]
    assert found == number and math.copysign(1, found) == math.copysign(1, number)
    assert written(doubles(number), bits)[0] == text
    assert narrowed(doubles(number), bits)[0] == number  # the whole expansion is a text of it, too


@given(singles, st.integers(9, 17))
def test_a_single_survives_more_digits_than_it_needs(number: float, digits: int) -> None:
    assume(number == 0 or abs(number) > 2e-38)
    assert narrowed(doubles(float(f"{number:.{digits - 1}e}")), SINGLE)[0] == number


@pytest.mark.parametrize("text", [81.83204, 81.8320389, 81.8320388794, 81.832038879394531])
def test_what_is_a_text_of_a_single(text: float) -> None:
    assert narrowed(doubles(text), SINGLE)[0] == 81.83203887939453125


@pytest.mark.parametrize("value", [81.8320388744, 0.1 + 0.2, 1e39, -1e300, 1e-60, math.pi])
def test_what_is_no_text_of_a_single_stays(value: float) -> None:
    assert narrowed(doubles(value), SINGLE)[0] == value


def test_doubles_are_not_taken_for_singles() -> None:
    """A point that became a Float64 after it was discovered."""
    values = np.random.default_rng(1).uniform(-1e4, 1e4, 100_000)
    assert np.count_nonzero(narrowed(values, SINGLE) != values) < 5


def test_numbers_that_are_none_stay() -> None:
    values = doubles(math.nan, math.inf, -math.inf, -0.0, 0.0, 5.0, 1024.0)
    for bits in KINDS:
        for found in (narrowed(values, bits), written(values, bits)):
            assert np.array_equal(found, values, equal_nan=True) and np.signbit(found[3])


@given(st.lists(plain, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_either_sum_is_the_same_in_any_order(numbers: list[float], draw: random.Random) -> None:
    landed = narrowed(doubles(*[shortest(each, SINGLE) for each in numbers]), SINGLE).tolist()
    turned = draw.sample(numbers, len(numbers))
    assert drifts(landed, math.fsum(turned), SINGLE) == []
    assert drifts(landed, float(sum(turned)), SINGLE) == []
    assert drifts(landed, float(sum(shortest(each, SINGLE) for each in turned)), SINGLE) == []


@given(st.lists(plain, min_size=1, max_size=60), st.data())
def test_a_number_that_changed_by_one_step_is_seen(numbers: list[float], data: st.DataObject) -> None:
    """Whichever way the source adds up, if the step is beyond the rounding of the sum in doubles."""
    place = data.draw(st.integers(0, len(numbers) - 1))
    other = float(np.nextafter(np.float32(numbers[place]), np.float32(math.inf)))
    changed = [*numbers[:place], other, *numbers[place + 1 :]]
    rounding = 2 * len(numbers) * 2.0**-52 * sum(map(abs, [*numbers, other]))
    sums = [math.fsum(numbers), math.fsum(shortest(each, SINGLE) for each in numbers)]
    for total in (math.fsum(changed), math.fsum(shortest(each, SINGLE) for each in changed)):
        # A change by just what lies between the two sums is the only one that passes.
        assume(all(abs(total - each) > rounding for each in sums))
        assert drifts(numbers, total, SINGLE) == ["total"]


@given(st.lists(plain, min_size=2, max_size=60))
def test_there_is_no_third_sum(numbers: list[float]) -> None:
    exact, texts = math.fsum(numbers), math.fsum(shortest(each, SINGLE) for each in numbers)
    narrow = float(np.add.accumulate(np.array(numbers, np.float32))[-1])
    rounding = 2 * len(numbers) * 2.0**-52 * math.fsum(map(abs, numbers))
    for total in (narrow, (exact + texts) / 2, float(np.float32(exact))):
        if min(abs(total - exact), abs(total - texts)) > rounding:
            assert drifts(numbers, total, SINGLE) == ["total"]


@given(st.lists(plain, min_size=1, max_size=20))
def test_a_sum_of_texts_is_no_sum_of_doubles(numbers: list[float]) -> None:
    """What is known to be doubles may be added up in one way only: a value that was edited into the text of a single is
    another value."""
    exact, texts = math.fsum(numbers), math.fsum(shortest(each, SINGLE) for each in numbers)
    assume(abs(exact - texts) > 2 * len(numbers) * 2.0**-52 * math.fsum(map(abs, numbers)))
    assert drifts(numbers, texts, None) == ["total"]
    assert drifts(numbers, exact, None) == []


@pytest.mark.parametrize(("value", "count"), [(2**31 - 1, 5_000), (2.0**60, 300), (1e300, 50), (-(2.0**53), 3)])
def test_a_sum_beyond_the_whole_numbers_of_a_double_is_compared_too(value: float, count: int) -> None:
    landed = [float(value)] * count
    assert drifts(landed, math.fsum(landed), None) == []
    assert drifts(landed, math.fsum(landed) * (1 + 1e-9), None) == ["total"]


def test_a_sum_beyond_all_doubles_tells_nothing() -> None:
    assert drifts([1e308, 1e308, -1e308, -1e308], 0.0, None) == []
