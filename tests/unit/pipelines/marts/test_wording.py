"""Numbers and times as the report says them."""

from __future__ import annotations

import pytest

from pipelines.marts.wording import count, distribution, duration, number, percent, quality


@pytest.mark.parametrize(
    ("share", "text"),
    [(100, "100 %"), (0, "0 %"), (99.96, "99.96 %"), (99.9999, "> 99.999 %"), (0.00001, "< 0.001 %"),
     (33.3333, "33.3 %")],
)  # fmt: skip
def test_percent_never_rounds_to_all_or_nothing(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.25 s"), (59.6, "1 min"), (3600, "1 h"), (15120, "4 h 12 min"), (90000, "1 d 1 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_count_and_number() -> None:
    assert count(1234567) == "1\u202f234\u202f567"
    assert number(1234567.0) == "1\u202f234\u202f567"
    assert (number(0.1 + 0.2), number(-1.7e308)) == ("0.3", "-1.7e+308")


def test_what_is_not_known_is_no_number() -> None:
    assert (count(None), percent(None), duration(None)) == ("—", "—", "—")


def test_quality_in_words() -> None:
    assert quality(24) == "communication failure (quality 24)"
    assert quality(25) == "communication failure (quality 25)"
    assert quality(0) == "bad (quality 0)"


def test_distribution_counts_every_point_once() -> None:
    shares = [100, 99.95, 99.9, 99, 95, 50, 49.9, 0]
    points = [{"events": 1, "percent_good_time": share} for share in shares]
    rows = distribution([*points, {"events": 0, "percent_good_time": 0}])
    assert [row["points"] for row in rows] == [1, 2, 1, 1, 1, 2, 1]
