"""The score of the worst points: what counts, what is bounded, what does not lead."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.marts.ranking import DOUBT_EVENTS, score

SPAN_S = 100_000.0
MANY = 100_000 * DOUBT_EVENTS


def _row(**more: Any) -> dict[str, Any]:
    return {
        "events": MANY, "percent_good_time": 100.0, "longest_gap_s": 0.0, "stuck_sum_s": 0.0, "constant": False,
        "out_of_limits": 0, "kind": "number", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_row(), 0),
        (_row(percent_good_time=60.0), 40),
        (_row(longest_gap_s=0.25 * SPAN_S), 25),
        (
            _row(longest_gap_s=0.25 * SPAN_S, percent_good_time=70.0),
            30,
        ),  # the gap is bad time as well: not counted twice
        (_row(out_of_limits=MANY // 10), 5),
        (_row(out_of_limits=MANY), 0),  # the limits are wrong
        (_row(stuck_sum_s=0.5 * SPAN_S), 25),
        (_row(stuck_sum_s=0.5 * SPAN_S, constant=True), 0),
        (_row(stuck_sum_s=0.5 * SPAN_S, kind="boolean"), 0),
        (_row(percent_good_time=0.0, out_of_limits=MANY // 4), 100),
        (_row(percent_good_time=None), 0),
        (_row(percent_good_time=0.0, events=DOUBT_EVENTS), 50),
        (_row(percent_good_time=None, events=0, longest_gap_s=SPAN_S), 0),
        (_row(events=10, longest_gap_s=0.5 * SPAN_S), 0),  # a slow point's usual gap
    ],
)
def test_score(row: dict[str, Any], expected: float) -> None:
    assert score(row, SPAN_S) == pytest.approx(expected, abs=0.01)


def test_five_events_do_not_lead() -> None:
    assert score(_row(events=5, percent_good_time=0.0), SPAN_S) < score(_row(percent_good_time=85.0), SPAN_S)
