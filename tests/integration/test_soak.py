"""Two hours of a plant in compressed time, on real servers, with and without the change feed: see tests/soak.py, which
does a day by hand."""

from __future__ import annotations

import pytest

from tests.soak import RATE, plant, soak

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]


def test_followed_through_edits_outages_and_kills_nothing_differs() -> None:
    with plant(points=60, hours=2, groups=2, feeds=(True, False)) as (lines, url):
        found = soak(lines, url, minutes=120, seed=1, outages=1, kills=1, restarts=1)
    [without] = found["the other"]
    for each in (found, without):
        assert each["drift"] == []
        assert each["gaps"] == []
        assert each["unproved_points"] == 0, each["unproved"]
        assert each["source_events"] == each["landed_events"] == each["stored_events"] > 1_000
        assert each["found_changed"] > 50
        assert each["sweep_problems"] == []
    assert found["contents"]["same"]
    assert found["edits"]["add"] > 50
    assert found["told"] > 50
    assert without["told"] == 0
    assert found["requests_in_1s"] <= RATE
