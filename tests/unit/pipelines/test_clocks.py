"""Clocks that differ: who stands alone, what a slow answer proves, and how old a watermark is."""

from __future__ import annotations

import pytest

from pipelines.clocks import at_least_ns, check_clocks, lag_s, length
from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, parse

NOW_NS = parse("2026-11-28T19:00:00Z")
APART_NS = 5 * MINUTE_NS
LEDGER, SOURCE = "the ledger", "source pi1"
ALONE = {
    "host": ({LEDGER: -3 * DAY_NS, SOURCE: -3 * DAY_NS - MINUTE_NS}, "that of this host stands alone"),
    "source": ({LEDGER: 0, SOURCE: 3 * DAY_NS}, "that of source pi1 stands alone"),
    "ledger": ({LEDGER: HOUR_NS, SOURCE: -SECOND_NS}, "that of the ledger stands alone"),
    "each": ({LEDGER: HOUR_NS, SOURCE: -HOUR_NS}, "cannot be told"),
    "no other": ({SOURCE: -3 * DAY_NS}, "cannot be told"),
}


@pytest.mark.parametrize(("ahead", "verdict"), ALONE.values(), ids=ALONE)
def test_two_of_three_clocks_say_which_stands_alone(ahead: dict[str, int], verdict: str) -> None:
    with pytest.raises(Stop) as stopped:
        check_clocks(NOW_NS, ahead, APART_NS, same=frozenset())
    said = str(stopped.value)
    assert verdict in said
    assert "2026-11-28T19:00:00Z" in said
    assert "clock_apart" in said
    for name, by_ns in ahead.items():
        assert (f"the clock of {name} shows" in said) == (abs(by_ns) > APART_NS)


def test_a_ledger_on_this_host_confirms_nothing() -> None:
    with pytest.raises(Stop, match="cannot be told"):
        check_clocks(NOW_NS, {LEDGER: 0, SOURCE: 3 * DAY_NS}, APART_NS, same=frozenset({LEDGER}))


def test_clocks_that_agree_well_enough() -> None:
    check_clocks(NOW_NS, {LEDGER: -APART_NS, SOURCE: APART_NS}, APART_NS, same=frozenset())
    check_clocks(NOW_NS, {}, APART_NS, same=frozenset())


def test_a_slow_answer_is_no_difference() -> None:
    """It was read somewhen between the question and the answer."""
    assert at_least_ns(NOW_NS + 200, NOW_NS, NOW_NS + 300) == 0
    assert at_least_ns(NOW_NS + 500, NOW_NS, NOW_NS + 300) == 200
    assert at_least_ns(NOW_NS - 500, NOW_NS, NOW_NS + 300) == -500


def test_a_lag_is_never_negative_and_the_future_is_not_fresh() -> None:
    assert lag_s(NOW_NS, NOW_NS - 90 * SECOND_NS, APART_NS) == 90
    assert lag_s(NOW_NS, NOW_NS + MINUTE_NS, APART_NS) == 0
    assert lag_s(NOW_NS, NOW_NS + 3 * DAY_NS, APART_NS) is None


def test_lengths() -> None:
    assert length(3 * DAY_NS + 2 * HOUR_NS + MINUTE_NS) == "3 d 2 h"
    assert length(5 * MINUTE_NS) == "5 min"
    assert length(59 * SECOND_NS) == "59 s"
