"""The steady clock of a scan."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.collect import Cadence
from pipelines.collect.cadence import MISSED_AT_ONCE


def test_cycles_are_due_at_whole_multiples_and_late_ones_are_named() -> None:
    cadence = Cadence(100, after_ns=250)
    assert cadence.take(299) == (None, ())
    assert cadence.take(300) == (300, range(300, 300, 100))
    due, missed = cadence.take(745)
    assert (due, list(missed)) == (700, [400, 500, 600])
    assert cadence.take(799) == (None, ())


def test_a_clock_that_was_put_back_does_not_stop_the_beat() -> None:
    cadence = Cadence(100, after_ns=10_000)
    assert cadence.take(10_100)[0] == 10_100
    assert cadence.take(5_050) == (None, ())
    assert cadence.take(5_100)[0] == 5_100


def test_a_clock_that_is_corrected_a_little_does_not_repeat_a_cycle() -> None:
    cadence = Cadence(100, after_ns=1_000)
    assert cadence.take(1_100)[0] == 1_100
    assert cadence.take(1_090) == (None, ())
    assert cadence.take(1_199) == (None, ())
    assert cadence.take(1_200)[0] == 1_200


@given(st.integers(1, 50), st.lists(st.integers(0, 300), max_size=40))
def test_every_cycle_is_done_or_missed_exactly_once(interval: int, steps: list[int]) -> None:
    now, told = 1_000, []
    cadence = Cadence(interval, now)
    for step in steps:
        now += step
        due, missed = cadence.take(now)
        told += [*missed, *([] if due is None else [due])]
    first = (1_000 // interval + 1) * interval
    assert told == list(range(first, first + len(told) * interval, interval))
    assert now < cadence.next_ns <= max(now, 1_000) + interval


def test_a_host_that_slept_for_weeks_tells_of_every_missed_cycle_in_pieces() -> None:
    cadence = Cadence(100, after_ns=0)
    told: list[int] = []
    due_ns = None
    while due_ns is None:
        due_ns, missed = cadence.take(2_500_050)
        assert 0 < len(missed) <= MISSED_AT_ONCE
        told += missed
    assert (due_ns, told) == (2_500_000, list(range(100, 2_500_000, 100)))
