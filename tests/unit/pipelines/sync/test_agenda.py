"""What is due when: gaps newest first, looks at growing ages, the day that settles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.ports import Looked
from pipelines.sync.agenda import GRACE_NS, Due, Heard, Rhythm, due, gaps_newest_first, overlap_before
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, clip, merge, subtract

RHYTHM = Rhythm(lag_ns=MINUTE_NS, overlap_ns=2 * MINUTE_NS, lateness_ns=8 * HOUR_NS)
NINE = Interval(9 * HOUR_NS, 10 * HOUR_NS)
REACH = Interval(9 * HOUR_NS, 30 * HOUR_NS)


def look(span: Interval, asked_ns: int) -> Looked:
    return Looked("s", "g000", span, asked_ns)


def asked_when(now_ns: int, coverage: list[Interval], looks: list[Looked]) -> list[Due]:
    return due(now_ns, REACH, coverage, looks, RHYTHM)


def test_an_hour_is_looked_at_at_growing_ages_and_settles_with_its_day() -> None:
    """A tick a minute for two days: the ages at which nine o'clock's hour was asked about."""
    looks: list[Looked] = []
    ages = []
    for now_ns in range(NINE.end_ns, 40 * HOUR_NS, MINUTE_NS):
        for each in asked_when(now_ns, [NINE], looks):
            looks.append(look(each.span, now_ns))
            ages.append(((now_ns - NINE.end_ns) / HOUR_NS, each.settles))
    settles = (DAY_NS + RHYTHM.lateness_ns - NINE.end_ns) / HOUR_NS
    assert ages == [(GRACE_NS / HOUR_NS, False), (1, False), (2, False), (4, False), (settles, True)]


def ages_of(heard_at: dict[int, Heard], until_h: int = 20) -> list[float]:
    """Minutes after its end at which nine o'clock's hour is looked at, by what is heard from which minute on."""
    looks: list[Looked] = []
    ages, heard = [], Heard(since_ns=0)
    for now_ns in range(NINE.end_ns, until_h * HOUR_NS, MINUTE_NS):
        age = (now_ns - NINE.end_ns) // MINUTE_NS
        heard = heard_at.get(age, heard)
        for each in due(now_ns, REACH, [NINE], looks, RHYTHM, heard):
            looks.append(look(each.span, now_ns))
            ages.append(age)
    return ages


def test_where_the_feed_tells_of_nothing_only_the_first_look_is_left() -> None:
    assert ages_of({}) == [GRACE_NS // MINUTE_NS]


def test_what_the_feed_tells_is_looked_at_sooner() -> None:
    quiet = Heard(since_ns=0)
    assert ages_of({90: Heard(told=[NINE], since_ns=0), 91: quiet}) == [3, 90]
    assert ages_of({90: Heard(told=[NINE], since_ns=0), 300: quiet}) == [3, 90, 120, 180, 240]


def test_a_feed_that_was_broken_since_the_last_look_stops_no_look() -> None:
    assert ages_of({30: Heard(since_ns=NINE.end_ns + 30 * MINUTE_NS)}) == [3, 60]
    assert ages_of({30: Heard()}) == [3, 60, 120, 240]


def test_where_points_wait_to_be_proved_the_usual_looks_are_kept() -> None:
    assert ages_of({0: Heard(unsure=[NINE], since_ns=0)}) == [3, 60, 120, 240]


def test_after_an_outage_an_hour_is_looked_at_once_not_for_every_age_that_passed() -> None:
    now_ns = NINE.end_ns + 5 * HOUR_NS
    assert [each.span for each in asked_when(now_ns, [NINE], [])] == [NINE]
    assert asked_when(now_ns + MINUTE_NS, [NINE], [look(NINE, now_ns)]) == []


def test_what_was_a_gap_when_the_hour_was_looked_at_is_due_again() -> None:
    early = Interval(NINE.start_ns, NINE.start_ns + 20 * MINUTE_NS)
    asked_ns = NINE.end_ns + GRACE_NS
    assert asked_when(asked_ns, [NINE], [look(early, asked_ns)]) == [Due(NINE, asked_ns)]


def test_a_day_settles_as_a_whole_in_place_of_its_hours() -> None:
    day = Interval(REACH.start_ns, DAY_NS)
    [found] = [each for each in asked_when(33 * HOUR_NS, [day], []) if each.span.end_ns <= DAY_NS]
    assert (found.span, found.settles) == (day, True)


spans = st.tuples(st.integers(0, 300), st.integers(1, 90)).map(
    lambda pair: Interval(9 * HOUR_NS + pair[0] * MINUTE_NS, 9 * HOUR_NS + (pair[0] + pair[1]) * MINUTE_NS)
)


@given(st.lists(spans, max_size=6))
def test_gaps_are_all_that_is_missing_cut_at_hours_newest_first(taken: list[Interval]) -> None:
    reach = Interval(9 * HOUR_NS, 16 * HOUR_NS)
    gaps = gaps_newest_first(reach, taken)
    assert merge(gaps) == subtract([reach], taken)
    assert gaps == sorted(gaps, reverse=True)
    assert all(gap.start_ns // HOUR_NS == (gap.end_ns - 1) // HOUR_NS for gap in gaps)


@given(st.lists(spans, max_size=6), spans)
def test_an_overlap_is_covered_and_touches(covered: list[Interval], span: Interval) -> None:
    coverage = merge(covered)
    found = overlap_before(span, coverage, 2 * MINUTE_NS)
    before = clip(coverage, Interval(span.start_ns - 1, span.start_ns))
    assert (found is None) == (not before)
    if found:
        assert found.end_ns == span.start_ns
        assert found.length_ns <= 2 * MINUTE_NS
        assert clip(coverage, found) == [found]
