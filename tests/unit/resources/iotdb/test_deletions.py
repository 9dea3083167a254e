"""Runs of rows to delete: every one of them, and none between."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resources.iotdb.deletions import _runs


@given(st.sets(st.integers(-50, 50)), st.sets(st.integers(-50, 50)))
def test_runs_are_exact(stored: set[int], doomed: set[int]) -> None:
    held = np.array(sorted(stored), np.int64)
    runs = list(_runs(held, np.array(sorted(doomed), np.int64)))
    gone = {time for time in stored for first, last in runs if first <= time <= last}
    assert gone == stored & doomed
    assert all(first in doomed and last in doomed for first, last in runs)


def test_neighbours_make_one_run() -> None:
    assert list(_runs(np.array([1, 5, 9, 12]), np.array([1, 5, 7, 12]))) == [(1, 5), (12, 12)]
