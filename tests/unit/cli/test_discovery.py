"""What a source no longer lists: missing until a person says that it is gone, and then kept with all of its history."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets_defs.following import sweep
from pipelines.plant import load_plant
from pipelines.points import Point
from tests.unit.cli.conftest import DAY, POINTS, Ferry, events

MANY = [Point(f"P{number:03d}", f"P{number:03d}", "number", source_key=f"a:{number}") for number in range(300)]
GONE = "2026-02-01T00:00:00Z"


def stored(ferry: Ferry, *points: str) -> int:
    return sum(len(table) for table in ferry.store.read("pi1", points, DAY))


def moved(ferry: Ferry) -> None:
    assert ferry("discover").code == 0
    assert ferry("backfill").code == 0


def test_points_that_vanish_together_are_not_believed_gone(ferry: Ferry) -> None:
    moved(ferry)
    new = Point("N", "N", "number", source_key="N")
    ferry.source.points = [*POINTS[:1], new]
    ferry.source.gone = {"A2", "B1"}  # as a login that may no longer see them
    answer = ferry("discover", "--json")
    assert answer.code == 1
    assert answer.json["missing"] == ["A2", "B1"]
    assert answer.json["newcomers"] == 1
    assert "2 points are no longer listed by source 'pi1'" in answer.err
    assert "A2, B1" in answer.err
    assert "--accept-loss" in answer.err
    status = ferry("status", "--json")
    assert status.code == 1
    assert [each["point"] for each in status.json["sources"][0]["missing"]] == ["A2", "B1"]
    assert status.json["sources"][0]["points"] == 4
    verified = ferry("verify", "--json")
    assert verified.code == 1
    assert verified.json["unproved_points"] >= 2, "what is missing is asked for, and is not proved"
    assert "`ferry discover --source pi1 --accept-loss`" in ferry("status").out

    ferry.source.points, ferry.source.gone = [*POINTS, new], set()
    assert ferry("discover", "--json").code == 0
    assert ferry("status", "--json").json["sources"][0]["missing"] == []


def test_what_a_source_leaves_out_is_counted_and_named(ferry: Ferry) -> None:
    ferry.source.left_out = {"summaries: aggregates": ["T1.Hourly", "T2.Hourly"]}  # type: ignore[attr-defined]
    answer = ferry("discover", "--json")
    assert answer.code == 0
    assert answer.json["left_out"] == {"summaries: aggregates": 2}
    assert "2 not read, summaries: aggregates: T1.Hourly, T2.Hourly" in answer.err


def test_a_person_says_that_they_are_gone(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = POINTS[:1]
    assert ferry("discover").code == 1
    answer = ferry("discover", "--accept-loss", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["gone"] == ["A2", "B1"]
    assert answer.json["points"] == 1
    assert ferry("status", "--json").code == 0
    assert ferry.ledger.gone_unasked("pi1") == 0


def test_few_of_many_are_believed_and_not_a_few_every_day(ferry: Ferry) -> None:
    ferry.source.points = MANY
    ferry("discover")
    for left in (299, 298, 297):
        ferry.source.points = MANY[:left]
        answer = ferry("discover", "--json")
        assert answer.code == 0, answer.err
        assert answer.json["gone"] == [MANY[left].name]
    ferry.source.points = MANY[:296]
    assert ferry("discover", "--json").json["missing"] == [MANY[296].name]
    assert ferry("discover", "--accept-loss").code == 0
    ferry.source.points = MANY[:295]
    assert ferry("discover", "--json").json["gone"] == [MANY[295].name]


def test_no_point_at_all_is_never_believed_unasked(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = []
    answer = ferry("discover")
    assert answer.code == 2
    assert "no point at all" in answer.err
    status = ferry("status", "--json")
    assert status.code == 1
    assert len(status.json["sources"][0]["missing"]) == 3
    assert ferry("discover", "--accept-loss").code == 0
    assert len(ferry("status", "--json").json["sources"][0]["gone"]) == 3


def test_what_the_plant_file_no_longer_selects_is_not_missing(ferry: Ferry) -> None:
    moved(ferry)
    text = ferry.plant_file.read_text(encoding="utf-8")
    ferry.plant_file.write_text(text.replace("point_groups", 'exclude = ["A*"]\npoint_groups'), encoding="utf-8")
    ferry.source.points = POINTS[2:]
    answer = ferry("discover", "--json")
    assert answer.code == 0, answer.err
    assert "missing" not in answer.json
    status = ferry("status", "--json").json["sources"][0]
    assert (status["points"], status["gone"]) == (1, [])


def test_a_point_that_is_gone_keeps_its_place(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [point for point in POINTS if point.id != "A2"]
    ferry.source.gone = {"A2"}
    answer = ferry("discover", "--json")
    assert (answer.code, answer.json["gone"]) == (0, ["A2"])
    status = ferry("status", "--json")
    assert status.code == 0
    assert status.json["sources"][0]["points"] == 3
    assert status.json["sources"][0]["events"] == 72
    assert status.json["sources"][0]["gone"] == [{"point": "A2", "since": GONE}]
    for options in ((), ("--deep",)):
        verified = ferry("verify", "--json", *options)
        assert verified.code == 0, verified.err
        found = verified.json
        assert (found["points"], found["unproved_points"], found["drift"]) == (3, 0, [])
        assert [found[f"{side}_events"] for side in ("source", "landed", "stored")] == [48, 72, 72]
        assert found["gone"] == [{"point": "A2", "since": GONE}]
    assert f"A2 is gone at the source since {GONE}" in ferry("verify").out
    pulls = ferry.source.pulls
    again = ferry("backfill", "--json")
    assert (again.code, again.json["points"], again.json["landed_events"]) == (0, 3, 72)
    assert ferry.source.pulls == pulls, "it has no proofs any more, and need not be counted again for that"
    [row] = [each for each in ferry("points", "--json").json["points"] if each["name"] == "A2"]
    assert (row["gone_since"], row["last"]["value"]) == (GONE, 23.0)


@pytest.mark.parametrize("deep", [False, True])
def test_verify_sees_when_the_store_loses_what_is_gone_at_the_source(ferry: Ferry, deep: bool) -> None:
    moved(ferry)
    ferry.source.points = [point for point in POINTS if point.id != "A2"]
    ferry("discover")
    [lost] = ferry.store.read("pi1", ["A2"], DAY)
    ferry.store.delete("pi1", lost.slice(3, 1))
    answer = ferry("verify", "--json", *(["--deep"] if deep else []))
    assert answer.code == 1
    assert [(each["point"], each["landed"] - each["stored"]) for each in answer.json["drift"]] == [("A2", 1)]


def test_pulling_its_group_again_keeps_what_is_gone(ferry: Ferry) -> None:
    moved(ferry)
    gone = POINTS[0]
    ferry.source.points = POINTS[1:]
    ferry.source.events = events(without=(gone.id,))
    ferry("discover")
    assert ferry("restate", "--start", "2026-01-01", "--end", "2026-01-02").code == 0
    answer = ferry("backfill", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["points"], answer.json["landed_events"]) == (3, 72)
    assert stored(ferry, gone.id) == 24
    line = ferry.line(load_plant(ferry.plant_file))
    assert not sweep(line, line.plant.source[0], float("inf"), deep=True, mend=True).drift
    place = ferry.source.events.column_names.index("value")
    values = ferry.source.events["value"]
    changed = pc.if_else(pc.equal(values, 5.0), 105.0, values)
    ferry.source.events = ferry.source.events.set_column(place, "value", changed)
    assert sweep(line, line.plant.source[0], float("inf"), deep=True, mend=True).mended == 2
    assert stored(ferry, gone.id) == 24
    assert ferry("verify", "--deep", "--json").json["landed_events"] == 72


def moved_server(point: Point) -> Point:
    return replace(point, source_key=f"b:{point.source_key}")


def test_another_numbering_of_the_same_points_is_asked_about(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [moved_server(point) for point in POINTS]
    before = list(ferry.ledger.points)
    answer = ferry("discover")
    assert answer.code == 2
    assert "3 of 3 points" in answer.err
    assert "'A1' was A1 and is b:A1" in answer.err
    assert "Of 3 points that were looked at, 3 have their newest stored event there, too" in answer.err
    assert "`ferry discover --source pi1 --same-server`" in answer.err
    assert ferry.ledger.points == before
    assert ferry("status").code == 1, "somebody has to say what is to be done"
    assert ferry("discover", "--same-server", "--json").json["newcomers"] == 0
    assert [(point.id, point.source_key) for point in ferry.ledger.points] == [
        ("A1", "b:A1"), ("A2", "b:A2"), ("B1", "b:B1"),
    ]  # fmt: skip
    assert ferry("status").code == 0
    assert ferry("verify", "--json").json["source_events"] == 72
    assert ferry("discover", "--json").json["changed"] == 0


def test_a_server_that_is_the_same_anyway_keeps_its_renamed_points(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [replace(POINTS[0], name="A1.NEW"), *POINTS[1:]]
    assert ferry("discover", "--same-server", "--json").json["newcomers"] == 0
    assert ferry.ledger.points[0] == replace(POINTS[0], name="A1.NEW")


def test_the_probe_says_that_it_is_another_plant(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [moved_server(point) for point in POINTS]
    place = ferry.source.events.column_names.index("value")
    ferry.source.events = ferry.source.events.set_column(
        place, "value", pa.array([-1.0] * len(ferry.source.events), pa.float64())
    )
    answer = ferry("discover")
    assert "Of 3 points that were looked at, 0 have" in answer.err
    assert ferry("discover", "--accept-loss", "--json").json["newcomers"] == 3
    assert {point.id for point in ferry.ledger.points} == {"A1~2", "A2~2", "B1~2"}
    assert len(ferry("status", "--json").json["sources"][0]["gone"]) == 3


def test_a_source_that_does_not_answer_probes_is_asked_about_all_the_same(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [moved_server(point) for point in POINTS]
    ferry.source.gone = {point.id for point in POINTS}
    answer = ferry("discover")
    assert answer.code == 2
    assert "Of 3 points that were looked at, 0 have" in answer.err


def test_a_single_point_made_anew_begins_another_series(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.points = [moved_server(POINTS[0]), *POINTS[1:]]
    answer = ferry("discover", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["newcomers"], answer.json["gone"]) == (1, ["A1"])
    assert {point.id for point in ferry.ledger.points} == {"A1~2", "A2", "B1"}


def test_answers_are_not_for_what_asks_nothing(ferry: Ferry) -> None:
    assert ferry("discover", "--browse", "--same-server").code == 2


def test_what_was_never_proved_of_a_point_that_is_gone_stays_named(ferry: Ferry) -> None:
    moved(ferry)
    ferry.source.gone = {"A2"}
    ferry("restate", "--start", "2026-01-01", "--end", "2026-01-02")
    assert ferry("backfill").code == 1
    ferry.source.points = [point for point in POINTS if point.id != "A2"]
    assert ferry("discover").code == 0
    answer = ferry("status", "--json")
    assert answer.code == 1
    assert [each["point"] for each in answer.json["sources"][0]["unproved"]] == ["A2"]
