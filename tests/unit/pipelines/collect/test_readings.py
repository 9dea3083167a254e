"""Readings as rows of the spool."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipelines.collect import Recorder
from pipelines.ports import SPOOL_SCHEMA, Reading, Tag
from pipelines.samples import Quality

GOOD = int(Quality.GOOD)


def tag(name: str = "A", **more: Any) -> Tag:
    return Tag(
        **{
            "name": name,
            "connection": "c",
            "address": "x",
            "type": "",
            "kind": "number",
            "interval_ns": 100,
            "group": "g",
            **more,
        }
    )


def good(*values: Any, **more: Any) -> Reading:
    return Reading(values, GOOD, **more)


def one_cycle(recorder: Recorder, due_ns: int, received_ns: int, tags: list[Tag], readings: list[Reading]) -> None:
    recorder.cycle("cycle.c.g", due_ns, received_ns, list(zip(tags, readings, strict=True)))


def rows(recorder: Recorder) -> list[dict[str, Any]]:
    batch = recorder.take()
    assert batch is not None
    assert batch.schema == SPOOL_SCHEMA
    found = batch.to_pylist()
    for row in found:
        for name in ("time", "received", "source", "server"):
            row[name] = None if row[name] is None else row[name].value
    return found


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (1.5, (1.5, None, None)),
        (7, (7.0, None, None)),
        (True, (1.0, None, None)),
        (-0.0, (-0.0, None, None)),
        (math.inf, (math.inf, None, None)),
        (2**53, (2.0**53, None, None)),
        (2**53 + 1, (None, str(2**53 + 1), 2**53 + 1)),
        (2**64 - 1, (None, str(2**64 - 1), -1)),
        ("", (None, "", -1)),
        ("läuft", (None, "läuft", -1)),
    ],
)
def test_every_kind_of_value(given: Any, stored: tuple[Any, ...]) -> None:
    recorder = Recorder()
    one_cycle(recorder, 100, 107, [tag()], [good(given)])
    cycle, row = rows(recorder)
    assert (row["value"], row["text"], row["code"]) == stored
    assert (row["point"], row["time"], row["quality"], row["received"]) == ("A", 107, GOOD, 107)
    assert (cycle["point"], cycle["time"], cycle["value"]) == ("cycle.c.g", 100, 7e-9)
    assert recorder.take() is None


def test_an_array_is_a_point_an_element_and_numbers_are_scaled() -> None:
    recorder = Recorder()
    one_cycle(recorder, 100, 107, [tag(length=2, scale=0.5, offset=-1.0)], [good(4, 6)])
    assert [(row["point"], row["value"]) for row in rows(recorder)[1:]] == [("A[0]", 1.0), ("A[1]", 2.0)]


def test_the_times_of_source_and_server_are_kept_apart() -> None:
    recorder = Recorder()
    one_cycle(recorder, 100, 107, [tag()], [good(1, source_ns=90, server_ns=95)])
    row = rows(recorder)[1]
    assert (row["time"], row["server"], row["received"]) == (90, 95, 107)


def test_a_bad_reading_is_stored_with_its_reason() -> None:
    recorder = Recorder()
    one_cycle(recorder, 100, 107, [tag()], [Reading((), int(Quality.BAD_CONFIG), 5, "INVALID_ADDRESS")])
    row = rows(recorder)[1]
    assert (row["value"], row["text"], row["code"]) == (None, "INVALID_ADDRESS", -1)
    assert (row["quality"], row["detail"]) == (int(Quality.BAD_CONFIG), 5)


@pytest.mark.parametrize(
    ("deadband", "stored"),
    [
        (None, [1.0, 1.0, 1.4, 1.5, 2.6, 2.4]),
        (0.0, [1.0, 1.4, 1.5, 2.6, 2.4]),
        (0.5, [1.0, 2.6]),  # 1.5 is not more than 0.5 away from 1.0, and 2.4 not from 2.6
    ],
)
def test_a_deadband_compares_with_what_was_stored(deadband: float | None, stored: list[float]) -> None:
    recorder = Recorder()
    for place, value in enumerate([1.0, 1.0, 1.4, 1.5, 2.6, 2.4]):
        one_cycle(recorder, place, place, [tag(deadband=deadband)], [good(value)])
    assert [row["value"] for row in rows(recorder) if row["point"] == "A"] == stored


def test_a_deadband_is_of_the_scaled_value_and_hides_no_change_of_quality() -> None:
    recorder = Recorder()
    one = tag(deadband=5.0, scale=10.0)
    bad = Reading((), 0, reason="broken wire")
    for place, reading in enumerate([good(1.0), good(1.5), good(1.6), bad, bad, good(1.6)]):
        one_cycle(recorder, place, place, [one], [reading])
    found = [(row["value"], row["text"]) for row in rows(recorder) if row["point"] == "A"]
    assert found == [(10.0, None), (16.0, None), (None, "broken wire"), (16.0, None)]


def test_missed_cycles_are_each_recorded_and_the_tags_turn_bad_once() -> None:
    recorder = Recorder()
    tags = [tag("A"), tag("B", length=2)]
    one_cycle(recorder, 100, 101, tags, [good(1), good(2, 3)])
    recorder.missed("cycle.c.g", [200, 300], 310, tags, "no answer")
    recorder.missed("cycle.c.g", [400], 410, tags, "no answer")
    recorder.missed("cycle.c.g", [], 410, tags, "nothing")
    one_cycle(recorder, 500, 501, tags, [good(1), good(2, 3)])
    found = [(row["point"], row["time"], row["text"], row["quality"]) for row in rows(recorder)]
    missed = [each for each in found if each[2]]
    bad = int(Quality.BAD_COMM)
    assert missed == [
        ("cycle.c.g", 200, "no answer", bad), ("cycle.c.g", 300, "no answer", bad),
        *((name, 200, "no answer", bad) for name in ("A", "B[0]", "B[1]")),
        ("cycle.c.g", 400, "no answer", bad),
    ]  # fmt: skip
    assert [each[0] for each in found if each[1] == 501] == ["A", "B[0]", "B[1]"]


def test_an_event_that_its_source_tells_again_is_one_event_and_after_a_gap_says_that_it_still_holds() -> None:
    recorder = Recorder()
    for at in (100, 200):
        one_cycle(recorder, at, at + 1, [tag()], [good(1.5, source_ns=90)])
    assert [(row["time"], row["value"]) for row in rows(recorder) if row["point"] == "A"] == [(90, 1.5)]
    recorder.missed("cycle.c.g", [300], 305, [tag()], "dead")
    for at in (400, 500):
        one_cycle(recorder, at, at + 1, [tag()], [good(1.5, source_ns=90)])
    found = [(row["time"], row["value"], row["text"]) for row in rows(recorder) if row["point"] == "A"]
    assert found == [(300, None, "dead"), (401, 1.5, None)]
    one_cycle(recorder, 600, 601, [tag()], [good(2.5, source_ns=90)])
    one_cycle(recorder, 700, 701, [tag()], [good(math.nan, source_ns=95)])
    one_cycle(recorder, 800, 801, [tag()], [good(math.nan, source_ns=95)])
    found = [(row["time"], str(row["value"])) for row in rows(recorder) if row["point"] == "A"]
    assert found == [(90, "2.5"), (95, "nan")], (
        "another value of one stamp is a tie, one that comes late is where it was"
    )


def test_a_bad_event_between_two_tellings_of_a_good_one() -> None:
    recorder = Recorder()
    bad = Reading((), 0, 7, "BadSensorFailure", source_ns=150)
    for at, reading in ((100, good(1, source_ns=90)), (200, bad), (300, bad), (400, good(1, source_ns=90)), (500, bad)):
        one_cycle(recorder, at, at + 1, [tag()], [reading])
    found = [(row["time"], row["value"]) for row in rows(recorder) if row["point"] == "A"]
    assert found == [(90, 1.0), (150, None), (401, 1.0), (501, None)]


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    first, second = Recorder(), Recorder({"A": (90, 1.5, None, None, GOOD, 0)})
    for recorder in (first, second):
        for at in (100, 200):
            one_cycle(recorder, at, at + 1, [tag()], [good(1.5, source_ns=90)])
    assert [row["time"] for row in rows(first) if row["point"] == "A"] == [90]
    assert [row["time"] for row in rows(second) if row["point"] == "A"] == [101], "it still holds, once"


def test_what_held_when_collecting_began_is_stored_then_and_what_happens_later_when_it_happens() -> None:
    recorder = Recorder(began_ns=100)
    for at, stamp in ((100, 20), (200, 20), (300, 290), (400, 280)):
        one_cycle(recorder, at, at + 1, [tag()], [good(stamp, source_ns=stamp)])
    found = [(row["time"], row["source"]) for row in rows(recorder) if row["point"] == "A"]
    assert found == [(101, 20), (290, 290), (280, 280)]
