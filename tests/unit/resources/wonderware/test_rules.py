"""Quality of a row, what a statement asks around a span, and how much it asks for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.points import Point
from pipelines.ports import Retry, Stop
from pipelines.timeline import HOUR_NS, Interval, parse
from resources.wonderware.asking import around, count, history, literal
from resources.wonderware.decoding import decode
from resources.wonderware.pace import Bounds, Pace
from resources.wonderware.quality import NO_OPC, made_up, opc_quality
from resources.wonderware.refusals import TooMuch

NOON = parse("2026-01-01T12:00:00Z")
SPAN = Interval(NOON, NOON + HOUR_NS)


@pytest.mark.parametrize(
    ("quality", "detail", "opc", "has_value", "expected"),
    [
        (0, 192, 192, True, 192),
        (0, 202, 192, True, 216),
        (0, 202, 200, True, 200),
        (0, 192, 68, True, 68),  # uncertain, which the Historian stores as Quality 0
        (0, 0x100 | 192, 192, True, 192),
        (16, 192, 192, True, 64),
        (16, 192, 72, True, 72),
        (1, 24, 192, True, 24),
        (1, 24, 0, False, 24),
        (1, 0x200 | 10, 0, False, 24),
        (1, 1, 0, False, 8),
        (1, 64, 0, False, 4),
        (1, 249, 0, False, 0),
        (1, 249, 12, False, 12),
        (0, 192, 192, False, 0),  # NULL is bad, whatever stands beside it
        (0, 192, 20, True, 20),
        (0, 44, NO_OPC, True, 192),
        (0, 202, NO_OPC, True, 216),
        (16, 192, NO_OPC, True, 64),
        (1, 24, NO_OPC, False, 24),
        (0, 1, NO_OPC, False, 8),
    ],
)
def test_quality_of_a_row(quality: int, detail: int, opc: int, has_value: bool, expected: int) -> None:
    arrays = (np.array([each], np.int64) for each in (quality, detail, opc))
    assert opc_quality(*arrays, np.array([has_value])).tolist() == [expected]


def test_rows_that_the_engine_made_up() -> None:
    quality, detail = np.array([133, 0, 1, 16]), np.array([192, 192, 65_536, 65_535])
    assert made_up(quality, detail).tolist() == [True, False, True, False]


@given(st.integers(-(10**12), 10**19 // 6), st.integers(1, 10**15))
def test_what_is_asked_holds_the_span(start_ns: int, length_ns: int) -> None:
    """(start, end], whole milliseconds, and little more than the span."""
    span = Interval(start_ns, start_ns + length_ns)
    asked = around(span)
    assert asked.start_ns < span.start_ns and span.end_ns - 1 <= asked.end_ns
    assert asked.start_ns % 10**6 == asked.end_ns % 10**6 == 0
    assert asked.length_ns <= span.length_ns + 3 * 10**6


def test_statements_have_a_marker_for_every_value() -> None:
    names = ["it's", "[a].b; --", "50%"]
    for statement, values in (history("numbers", names, around(SPAN)), count(names, around(SPAN), SPAN)):
        assert statement.count("?") == len(values)
        assert not any(name in statement for name in names)
    assert literal(NOON + 1_000_000) == "20260101 12:00:00.001"


def rows(*times: int) -> pa.Table:
    count_ = len(times)
    return pa.table(
        {
            "TagName": ["tag"] * count_, "TimeNs": list(times), "Value": [1.0] * count_, "Quality": [0] * count_,
            "QualityDetail": [192] * count_, "OPCQuality": [192] * count_,
        }
    )  # fmt: skip


def test_rows_outside_the_span_are_cut_and_ties_numbered() -> None:
    point = Point("TAG", "TAG", "number", address="TAG")
    asked = around(SPAN)
    found = decode([point], rows(NOON + 5, asked.start_ns + 1, NOON, NOON + 5, asked.end_ns), SPAN, asked)
    assert found["time"].cast(pa.int64()).to_pylist() == [NOON, NOON + 5, NOON + 5]
    assert found["tie"].to_pylist() == [0, 0, 1]


def test_rows_of_a_tag_that_was_not_asked_for_are_nobodys() -> None:
    """A collation that ignores accents gives them; another case of the same name is the same tag."""
    points = [Point("a", "Über", "number", address="Über"), Point("b", "tag", "number", address="tag")]
    table = rows(NOON, NOON + 1, NOON + 2).set_column(0, "TagName", pa.array(["Uber", "TAG", "Über"]))
    found = decode(points, table, SPAN, around(SPAN))
    assert found["point"].to_pylist() == ["a", "b"]
    assert found["time"].cast(pa.int64()).to_pylist() == [NOON + 2, NOON + 1]


def test_a_server_that_answers_in_its_own_zone_is_not_believed() -> None:
    point = Point("TAG", "TAG", "number", address="TAG")
    with pytest.raises(Stop, match="wwTimeZone"):
        decode([point], rows(NOON + 2 * HOUR_NS), SPAN, around(SPAN))


def test_a_discrete_with_an_odd_number_keeps_it() -> None:
    point = Point("D", "D", "digital", address="tag", attributes={"message0": "Zu", "message1": "Auf"})
    odd = [1.0, 7.0, None, 0.5, -1.0, 1e300]
    table = rows(*range(NOON, NOON + 6)).set_column(2, "Value", pa.array(odd))
    found = decode([point], table, SPAN, around(SPAN))
    assert found["text"].to_pylist() == ["Auf", "", "", None, None, None]
    assert found["code"].to_pylist() == [1, 7, -1, None, None, None]
    assert found["value"].to_pylist() == [None, None, None, 0.5, -1.0, 1e300]


def test_fewer_tags_when_refused_or_slow_and_more_while_served() -> None:
    pace = Pace(Bounds(rows=1_000, first_names=4, names=100))
    assert pace.names(60.0, 10**6) == 4
    pace.served(4, 400, 60.0, 0.1)  # 100 rows a tag
    assert pace.names(60.0, 10**6) == 7
    pace.refused(TooMuch("too long", "statement"), 8)
    assert pace.names(1.0, 10**6) == 4
    for _ in range(20):
        pace.served(4, 8, 1.0, 0.1)
    assert pace.names(1.0, 10**6) == 100
    pace.served(100, 200, 1.0, 200.0)
    assert pace.names(1.0, 10**6) == 10


def test_a_server_that_hangs_is_left_alone_for_a_while() -> None:
    pace = Pace(Bounds(stalls=3))
    for _ in range(2):
        pace.refused(TooMuch("late", "time"), 1)
    with pytest.raises(Retry, match="3 times in a row"):
        pace.refused(TooMuch("late", "time"), 1)
