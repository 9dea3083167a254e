"""Two hours of a plant in compressed time, on real servers: see tests/soak.py, which does a day by hand."""

from __future__ import annotations

import pytest

from tests.soak import RATE, plant, soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_followed_through_edits_outages_and_kills_nothing_differs() -> None:
    with plant(points=60, hours=2, groups=2) as (line, url):
        found = soak(line, url, minutes=120, seed=1, outages=1, kills=1, restarts=1)
    assert found["drift"] == []
    assert found["gaps"] == []
    assert found["unproved_points"] == 0, found["unproved"]
    assert found["source_events"] == found["landed_events"] == found["stored_events"] > 1_000
    assert found["edits"]["add"] > 50
    assert found["found_changed_by_looks"] > 50
    assert found["sweep_problems"] == []
    assert found["requests_in_1s"] <= RATE
