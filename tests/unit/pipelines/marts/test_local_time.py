"""Times in the plant's zone, and the marks of time axes over a change of its clock."""

from __future__ import annotations

import pytest

from pipelines.marts.local_time import moment, ticks
from pipelines.timeline import Interval, parse


@pytest.mark.parametrize(
    ("time", "zone", "text"),
    [
        ("2026-01-01T06:00:00Z", "UTC", "2026-01-01 06:00"),
        ("2026-01-01T06:00:00Z", "Europe/Berlin", "2026-01-01 07:00"),
        ("2026-07-01T06:00:01.5Z", "Europe/Berlin", "2026-07-01 08:00:01.5"),
        ("2026-01-01T20:00:00Z", "Asia/Kolkata", "2026-01-02 01:30"),
    ],
)
def test_moments(time: str, zone: str, text: str) -> None:
    assert moment(parse(time), zone) == text


def test_marks_are_round_on_the_clock_of_the_zone() -> None:
    day = Interval(parse("2026-01-01"), parse("2026-01-02"))
    assert [label for _, label in ticks(day, 8)] == [f"{hour:02}:00" for hour in range(0, 24, 3)]
    marks = ticks(day, 8, "Asia/Kolkata")
    assert [label for _, label in marks] == [f"{hour:02}:00" for hour in (6, 9, 12, 15, 18, 21, 0, 3)]
    assert marks[0][0] == parse("2026-01-01T00:30:00Z")


def test_days_begin_at_local_midnight_also_when_the_clock_changes() -> None:
    week = Interval(parse("2026-03-27"), parse("2026-04-01"))  # summer time begins in Berlin on 29 March
    assert ticks(week, 8, "Europe/Berlin") == [
        (parse("2026-03-27T23:00:00Z"), "28 Mar"),
        (parse("2026-03-28T23:00:00Z"), "29 Mar"),
        (parse("2026-03-29T22:00:00Z"), "30 Mar"),
        (parse("2026-03-30T22:00:00Z"), "31 Mar"),
        (parse("2026-03-31T22:00:00Z"), "1 Apr"),
    ]


@pytest.mark.parametrize("end", ["2026-01-01T00:00:07Z", "2026-01-01T01:00:00Z", "2026-03-01", "2036-01-01"])
def test_there_are_some_marks_and_not_too_many(end: str) -> None:
    span = Interval(parse("2026-01-01"), parse(end))
    assert 2 <= len(ticks(span, 8, "America/St_Johns")) <= 9
