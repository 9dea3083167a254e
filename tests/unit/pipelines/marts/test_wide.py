"""Wide tables: what each rule makes of events, gaps and bad values, and how the table looks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.marts import Rule, WideInput, write_wide
from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.timeline import HOUR_NS, MINUTE_NS, SECOND_NS, Interval, parse

SPAN = Interval(parse("2026-01-01T00:00:00Z"), parse("2026-01-01T00:06:00Z"))
POINTS = [
    Point("A", "Kessel 1", "number", unit="°C", description="Boiler"),
    Point("B", "pump", "boolean"),
    Point("C", "VALVE", "digital", step=True),
]
ROWS = [
    ("A", "2026-01-01T00:00:00Z", 0.0, 192),
    ("A", "2026-01-01T00:02:00Z", 20.0, 192),
    ("A", "2026-01-01T00:03:00Z", "I/O Timeout", 0),
    ("A", "2026-01-01T00:04:30Z", 40.0, 64),
    ("B", "2026-01-01T00:00:30Z", 1.0, 192),
    ("B", "2026-01-01T00:03:15Z", 0.0, 192),
    ("C", "2026-01-01T00:00:00Z", "Open", 192),
    ("C", "2026-01-01T00:02:30Z", "Bad", 0),
    ("C", "2026-01-01T00:04:00Z", "Closed", 192),
]


@pytest.fixture
def table(land: Any, tmp_path: Path) -> Any:
    """Writes the rows, with what is told otherwise, and gives the columns."""

    def written(rule: Rule, rows: Any = ROWS, covered: Any = (SPAN,), **more: Any) -> dict[str, list[Any]]:
        given = WideInput(
            POINTS, land(rows, SPAN), (), (), {point.id: list(covered) for point in POINTS}, SPAN, tmp_path / "out",
            "pi1", ("*",), 256 << 20, MINUTE_NS, rule,
        )  # fmt: skip
        result = write_wide(dataclasses.replace(given, **more))
        columns = pq.read_table(result.path).to_pydict()
        assert result.known == sum(cell is not None for name in columns if name != "time" for cell in columns[name])
        assert (result.rows, result.points) == (len(columns["time"]), 3)
        return columns

    return written


def test_the_last_event_before_each_row(table: Any) -> None:
    """A bad event ends what was known; the one before it is not carried over it."""
    found = table("last")
    assert [each.minute for each in found["time"]] == [0, 1, 2, 3, 4, 5]
    assert found["Kessel 1"] == [0.0, 0.0, 20.0, None, None, 40.0]
    assert found["pump"] == [None, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert found["VALVE"] == ["Open", "Open", "Open", None, "Closed", "Closed"]


def test_an_event_counts_for_the_tolerance(table: Any) -> None:
    """Also just so long; then nothing is known."""
    found = table("last", tolerance_ns=MINUTE_NS)
    assert found["Kessel 1"] == [0.0, 0.0, 20.0, None, None, 40.0]
    assert found["pump"] == [None, 1.0, None, None, 0.0, None]
    assert found["VALVE"] == ["Open", "Open", None, None, "Closed", "Closed"]


def test_lines_between_events(table: Any) -> None:
    """Level up to a bad event and after the last; a point of steps is never a line."""
    found = table("interpolated")
    assert found["Kessel 1"] == [0.0, 10.0, 20.0, None, None, 40.0]
    assert found["pump"] == [None, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_no_line_is_drawn_over_more_than_the_tolerance(table: Any) -> None:
    found = table("interpolated", tolerance_ns=90 * SECOND_NS)
    assert found["Kessel 1"] == [0.0, None, 20.0, None, None, 40.0]


def test_means_over_the_time_in_which_a_point_is_known(table: Any) -> None:
    found = table("time-weighted")
    assert found["Kessel 1"] == pytest.approx([5.0, 15.0, 20.0, None, 40.0, 40.0])
    assert found["pump"] == pytest.approx([1.0, 1.0, 1.0, 0.25, 0.0, 0.0])
    assert found["VALVE"] == ["Open", "Open", "Open", None, "Closed", "Closed"]


def test_nothing_is_known_where_nothing_was_moved(table: Any) -> None:
    """Neither held nor drawn over a gap: what happened in it is not known."""
    at = SPAN.start_ns
    gap = [Interval(at, at + 30 * SECOND_NS), Interval(at + 90 * SECOND_NS, SPAN.end_ns)]
    assert table("interpolated", covered=gap)["Kessel 1"] == [0.0, None, 20.0, None, None, 40.0]
    half = [Interval(at, at + 90 * SECOND_NS), Interval(at + 100 * SECOND_NS, SPAN.end_ns)]
    assert table("interpolated", covered=half)["Kessel 1"] == [0.0, 0.0, 20.0, None, None, 40.0]
    assert table("last", covered=half)["VALVE"] == ["Open", "Open", None, None, "Closed", "Closed"]
    assert set(table("last", covered=())["VALVE"]) == {None}


def test_what_lies_beside_the_span_reaches_into_it(land: Any, tmp_path: Path) -> None:
    """A value from before holds into it, and a line goes to the event after it."""
    wide = Interval(SPAN.start_ns - HOUR_NS, SPAN.end_ns + HOUR_NS)
    rows = [
        ("A", "2025-12-31T23:58:00Z", 0.0, 192), ("A", "2026-01-01T00:08:00Z", 10.0, 192),
        ("C", "2025-12-31T23:30:00Z", "Open", 192),
    ]  # fmt: skip
    pieces = land(rows, wide)
    given = WideInput(
        POINTS, pieces, pieces, pieces, {point.id: [wide] for point in POINTS}, SPAN, tmp_path / "out", "pi1", ("*",),
        256 << 20, MINUTE_NS, "interpolated",
    )  # fmt: skip
    found = pq.read_table(write_wide(given).path).to_pydict()
    assert found["Kessel 1"] == pytest.approx([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert found["VALVE"] == ["Open"] * 6


def test_columns_say_what_they_are(table: Any, land: Any, tmp_path: Path) -> None:
    """Names that differ in case only are one to most readers: the second is called by its id, then numbered."""
    points = [Point("time", "time", "number"), Point("T%201", "t 1", "number"), Point("t%201", "T 1", "number")]
    given = WideInput(
        [*POINTS, *points], land(ROWS, SPAN), (), (), {}, SPAN, tmp_path / "out", "pi1", ("*",), 256 << 20, MINUTE_NS,
        "last",
    )  # fmt: skip
    schema = pq.read_schema(write_wide(given).path)
    assert schema.names == ["time", "Kessel 1", "T 1", "VALVE", "pump", "T%201", "time~2"]
    boiler = schema.field("Kessel 1").metadata
    assert (boiler[b"unit"].decode(), boiler[b"point"], boiler[b"description"]) == ("°C", b"A", b"Boiler")
    assert (schema.metadata[b"rule"], schema.metadata[b"every"], schema.metadata[b"source"]) == (
        b"last",
        b"1min",
        b"pi1",
    )


def test_csv(table: Any, land: Any, tmp_path: Path) -> None:
    given = WideInput(
        POINTS, land(ROWS, SPAN), (), (), {point.id: [SPAN] for point in POINTS}, SPAN, tmp_path / "out", "pi1",
        ("*",), 256 << 20, 2 * MINUTE_NS, "last", None, True,
    )  # fmt: skip
    path = write_wide(given).path
    assert path == tmp_path / "out/wide/pi1-2min-last.csv"
    assert path.read_text(encoding="utf-8").splitlines() == [
        '"time","Kessel 1","VALVE","pump"',
        '"2026-01-01T00:00:00Z",0,"Open",',
        '"2026-01-01T00:02:00Z",20,"Open",1',
        '"2026-01-01T00:04:00Z",,"Closed",0',
    ]


def test_many_chunks_are_one_table(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {rule: table(rule) for rule in ("last", "interpolated", "time-weighted")}
    monkeypatch.setattr("pipelines.marts.wide._CHUNK_ROWS", 4)
    for rule, found in whole.items():
        assert table(rule) == found


def test_a_table_has_one_choice_of_points_and_tolerance(table: Any) -> None:
    table("last")
    table("last", span=Interval(SPAN.start_ns, SPAN.start_ns + MINUTE_NS))
    with pytest.raises(Stop, match="another choice"):
        table("last", tolerance_ns=MINUTE_NS)


@pytest.mark.parametrize(("every_ns", "said"), [(HOUR_NS, "no row"), (1, "whole milliseconds"), (0, "milliseconds")])
def test_steps_that_do_not_fit(table: Any, every_ns: int, said: str) -> None:
    inside = Interval(SPAN.start_ns + 1, SPAN.end_ns)
    with pytest.raises(Stop, match=said):
        table("last", every_ns=every_ns, span=inside)
