"""Intervals against a model: the set of whole seconds that they hold."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import timeline
from pipelines.timeline import DAY_NS, SECOND_NS, Interval

seconds = st.integers(0, 40)
intervals = st.lists(
    st.tuples(seconds, seconds).filter(lambda t: t[0] != t[1]).map(lambda t: Interval(min(t), max(t))), max_size=8
)


def held(parts: list[Interval]) -> set[int]:
    return {second for part in parts for second in range(part.start_ns, part.end_ns)}


@given(intervals)
def test_merge_holds_the_same_and_is_disjoint(parts: list[Interval]) -> None:
    merged = timeline.merge(parts)
    assert held(merged) == held(parts)
    assert all(a.end_ns < b.start_ns for a, b in itertools.pairwise(merged))


@given(intervals, intervals)
def test_subtract_is_set_difference(parts: list[Interval], holes: list[Interval]) -> None:
    assert held(timeline.subtract(parts, holes)) == held(parts) - held(holes)


@given(intervals)
def test_missing_and_covered_make_the_whole(parts: list[Interval]) -> None:
    whole = Interval(5, 30)
    gaps = timeline.missing(whole, parts)
    inside = timeline.clip(parts, whole)
    assert held(gaps) | held(inside) == held([whole])
    assert not held(gaps) & held(inside)


@given(st.integers(-(2**61), 2**61), st.integers(1, 400 * DAY_NS), st.integers(SECOND_NS, 30 * DAY_NS))
def test_split_evenly_tiles(start: int, length: int, step: int) -> None:
    span = Interval(start, start + min(length, step * 50))
    parts = list(timeline.split_evenly(span, step))
    assert parts[0].start_ns == span.start_ns
    assert parts[-1].end_ns == span.end_ns
    assert all(a.end_ns == b.start_ns for a, b in itertools.pairwise(parts))
    assert all(part.length_ns <= step for part in parts)


@given(st.integers(-(2**62), 2**62))
def test_iso_round_trips_every_nanosecond(time_ns: int) -> None:
    assert timeline.parse(timeline.iso(time_ns)) == time_ns


@given(st.integers(2, 10**15), st.integers(0, 10**18))
def test_halves_touch_and_cut_on_a_tick(length: int, start: int) -> None:
    start = start // 100 * 100
    length = max(length // 100 * 100, 200)
    first, second = Interval(start, start + length).halves()
    assert (first.start_ns, second.end_ns, first.end_ns) == (start, start + length, second.start_ns)
    assert first.end_ns % timeline.TICK_NS == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("2026-03-29T02:30:00+02:00", "2026-03-29T00:30:00Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ("2026-01-02T03:04:05.1234567Z", 1_767_323_045_123_456_700),
    ],
)
def test_parse(text: str, expected: int | str) -> None:
    assert timeline.parse(text) == (timeline.parse(expected) if isinstance(expected, str) else expected)


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T06:00", "2026-13-01T00:00:00Z", "", "2026-01-01 25:00Z"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timeline.parse(text)


def test_months_cross_the_year_and_february() -> None:
    span = Interval(timeline.parse("2025-12-15T00:00:00Z"), timeline.parse("2026-03-01T00:00:00Z"))
    starts = [timeline.iso(month.start_ns) for month in timeline.months(span)]
    assert starts == ["2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
