"""Old generations of random histories: nobody who reads since the instant asked for misses one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.ledger import PROVISIONAL, current, newest_first, outlived
from pipelines.ports import SliceId, SliceRecord, State
from pipelines.timeline import Interval

END = 12
ALL = Interval(0, END)
tries = st.tuples(
    st.integers(0, END - 1),
    st.integers(1, 5),
    st.booleans(),  # whether it is verified for good, or to be replaced
    st.sampled_from([["landed"], ["landed", "written"], ["landed", "quarantined"], ["landed", "written", "verified"]]),
)


def history_of(drawn: list[tuple[int, int, bool, list[State]]]) -> list[SliceRecord]:
    """Row n is stamped n; every try has a generation of its own."""
    rows: list[SliceRecord] = []
    for number, (start, length, good, states) in enumerate(drawn):
        slice_id = SliceId("s", "g000", Interval(start, min(start + length, END)))
        for state in states:
            note = PROVISIONAL if state == "verified" and not good else ""
            rows.append(SliceRecord(slice_id, state, f"generation {number}", note=note, recorded_ns=len(rows)))
    return rows


@given(st.lists(tries, max_size=12), st.integers(0, 40))
def test_what_somebody_reads_or_resumes_is_never_old(drawn: list[tuple], before_ns: int) -> None:
    history = history_of(drawn)
    old = outlived(history, ALL, before_ns)
    for length in range(min(before_ns, len(history)), len(history) + 1):
        then = history[:length]
        read = {each.record.generation for each in current(then, ALL)}
        waiting = {each.record.generation for each in newest_first(then, ALL)}  # to be resumed, or in quarantine
        assert not old & (read | waiting)


@given(st.lists(tries, max_size=12))
def test_all_that_came_before_one_verified_whole_is_old(drawn: list[tuple]) -> None:
    history = history_of([*drawn, (0, END, True, ["landed", "written", "verified"])])
    good = {row.generation for row in history if row.state == "verified" and row.note != PROVISIONAL}
    before = {row.generation for row in history} - good
    assert outlived(history, ALL, len(history)) == before
    assert outlived(history, ALL, 0) == set(), "all of it is too new to be old"
    assert outlived(history, Interval(0, END - 1), len(history)) == {
        row.generation for row in history if row.slice.span.end_ns < END and row.generation not in good
    }, "what reaches out of the span is not judged by a part of its history"
