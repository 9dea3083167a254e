"""Which points are worst: one documented score, 0 (nothing to see) to 100."""

from __future__ import annotations

from typing import Any

from pipelines.points import NUMERIC_KINDS

Row = dict[str, Any]

USUAL_GAPS = 20
"""A gap is out of the ordinary beyond so many times the point's usual interval."""
DOUBT_EVENTS = 50
"""Of so many events a point's score counts half: a few events show little of how it does."""
_CONSTANT = 0.99
_WRONG_LIMITS = 0.5

EXPLAINED = (
    f"Score, 0 to 100: the greater of the time without good data and the longest gap beyond {USUAL_GAPS} times the "
    "point’s usual interval, as percent of the span; plus half the percent of its events out of limits, unless more "
    "than half are (then the limits are wrong, not the point); plus half the percent of the span that a number was "
    f"stuck, unless it never changed at all. It is multiplied by n ÷ (n + {DOUBT_EVENTS}) for n events, so that a "
    "point of which little is known does not lead."
)


def score(row: Row, span_s: float) -> float:
    """The score of a row of `point_figures`; see EXPLAINED. 0 for a point without an event: it is silent, not bad."""
    events: int = row["events"]
    if not events:
        return 0.0
    good = row["percent_good_time"]
    lost = 0.0 if good is None else 100 - good
    unusual_s = max(0.0, row["longest_gap_s"] - USUAL_GAPS * span_s / events)
    stuck = row["stuck_sum_s"] / span_s if row["kind"] in NUMERIC_KINDS - {"boolean"} else 0.0
    if row["constant"] or stuck >= _CONSTANT:
        stuck = 0.0
    out = row["out_of_limits"] / events
    if out > _WRONG_LIMITS:
        out = 0.0
    shares = max(lost, 100 * unusual_s / span_s) + 50 * out + 50 * stuck
    return float(min(100.0, shares) * events / (events + DOUBT_EVENTS))
