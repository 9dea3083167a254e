"""`ferry points` on a line in memory."""

from __future__ import annotations

from dataclasses import replace

from pipelines.points import Point
from pipelines.ports import Exclusion
from pipelines.timeline import HOUR_NS, Interval
from tests.unit.cli.conftest import POINTS, START, Ferry

HALF = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T12:00:00Z")


def test_points_before_the_first_discovery(ferry: Ferry) -> None:
    answer = ferry("points")
    assert answer.code == 2
    assert "`ferry discover` asks it for them" in answer.err


def test_points_with_their_last_value_and_coverage(ferry: Ferry) -> None:
    units = [replace(POINTS[0], unit="°C", source_type="Float32", description="feed"), *POINTS[1:]]
    ferry.source.points = units
    assert ferry("backfill", *HALF).code == 0
    ferry.ledger.open.append(Exclusion("pi1", "g000", "B1", Interval(START, START + 6 * HOUR_NS), "why not"))
    pulls = ferry.source.pulls
    found = ferry("points", "--json").json
    assert (found["source"], found["total"]) == ("pi1", 3)
    assert (found["start"], found["end"]) == ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert found["points"][0] == {
        "name": "A1", "unit": "°C", "type": "Float32", "kind": "number", "description": "feed",
        "last": {"value": 11.0, "quality": 192, "time": "2026-01-01T11:30:00Z"}, "covered_percent": 50.0,
    }  # fmt: skip
    assert [each["covered_percent"] for each in found["points"]] == [50.0, 50.0, 25.0]
    assert ferry.source.pulls == pulls
    shown = ferry("points").out
    assert "A1    °C    Float32  11          good     2026-01-01T11:30:00Z  50.0 %" in shown


def test_points_by_glob_and_as_many_as_wanted(ferry: Ferry) -> None:
    ferry("discover")
    found = ferry("points", "a*", "--json").json
    assert [each["name"] for each in found["points"]] == ["A1", "A2"]
    assert [each["last"] for each in found["points"]] == [None, None]
    short = ferry("points", "--limit", "1")
    assert "… and 2 more" in short.out
    assert "B1" not in short.out
    none = ferry("points", "C*")
    assert none.code == 2
    assert "'C*' names none of the 3 points of source 'pi1'" in none.err


def test_what_a_plant_writes_moves_no_cursor(ferry: Ferry) -> None:
    ferry.source.points = [Point("x", "ev\x1b[2Jil\n", "number", unit="\x9b31m", description="long " * 30)]
    ferry("discover")
    shown = ferry("points").out
    assert "ev\ufffd[2Jil\ufffd" in shown
    assert not {"\x1b", "\x9b"} & set(shown)
    assert all(len(line) <= 160 for line in shown.splitlines())
    assert ferry("points", "--json").json["points"][0]["name"] == "ev\x1b[2Jil\n"
