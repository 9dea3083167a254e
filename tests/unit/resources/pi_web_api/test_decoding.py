"""What JSON values mean, and that the fast path and the careful path agree."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.points import Kind, Point
from pipelines.samples import NO_CODE
from resources.pi_web_api.decoding import Given, Page, decode
from resources.pi_web_api.states import reading
from resources.pi_web_api.streams import RECORDED
from resources.pi_web_api.wire import Broken, Event, StreamSet, complaint_in, read_batch, reader

POINT = Point("p", "p", "number")
STAMP = "2026-01-02T03:04:05.1234567Z"
_read = reader(StreamSet)


def decoded(*events: dict[str, Any], kind: Kind = "number") -> Page:
    return page_of(json.dumps({"Items": [{"WebId": "a", "Items": list(events)}]}).encode(), kind)


def page_of(body: bytes, kind: Kind = "number") -> Page:
    streams = _read(body).items
    assert isinstance(streams, list)
    point = Point("p", "p", kind)
    return decode([Given(place, point, each.items) for place, each in enumerate(streams)])  # type: ignore[arg-type]


def state(name: str, number: int, system: bool) -> dict[str, Any]:
    return {"Name": name, "Value": number, "IsSystem": system}


CASES: list[tuple[str, dict[str, Any], Kind, tuple[Any, ...]]] = [
    ("float", {"Value": 1.5}, "number", (1.5, None, None, 192, 0)),
    ("integer", {"Value": 7}, "integer", (7.0, None, None, 192, 0)),
    ("2^53", {"Value": 2**53}, "number", (2.0**53, None, None, 192, 0)),
    ("beyond 2^53", {"Value": 2**53 + 1}, "number", (None, "", 2**53 + 1, 192, 0)),
    ("least int64", {"Value": -(2**63)}, "number", (None, "", -(2**63), 192, 0)),
    ("beyond int64", {"Value": 2**63}, "number", (None, str(2**63), NO_CODE, 192, 0)),
    ("true", {"Value": True}, "boolean", (1.0, None, None, 192, 0)),
    ("false, bad", {"Value": False, "Good": False}, "boolean", (0.0, None, None, 0, 0)),
    ("number, bad", {"Value": 3.0, "Good": False, "Questionable": True}, "number", (3.0, None, None, 0, 0)),
    ("questionable", {"Value": 3.0, "Questionable": True}, "number", (3.0, None, None, 64, 0)),
    ("substituted", {"Value": 3.0, "Substituted": True}, "number", (3.0, None, None, 216, 0)),
    ("both", {"Value": 3.0, "Questionable": True, "Substituted": True}, "number", (3.0, None, None, 72, 0)),
    ("flags null", {"Value": 3.0, "Good": None, "Questionable": None}, "number", (3.0, None, None, 192, 0)),
    ("digital", {"Value": state("Open", 2, False)}, "digital", (None, "Open", 2, 192, 0)),
    ("digital, bad", {"Value": state("Open", 2, False), "Good": False}, "digital", (None, "Open", 2, 0, 0)),
    ("named as a system state", {"Value": state("Bad Input", 0, False)}, "digital", (None, "Bad Input", 0, 192, 0)),
    ("shutdown", {"Value": state("Shutdown", 254, True), "Good": False}, "number", (None, "Shutdown", 254, 28, 254)),
    ("unknown state", {"Value": state("Locked", 307, True), "Good": False}, "string", (None, "Locked", 307, 0, 307)),
    ("nameless state", {"Value": state(None, 1, False)}, "digital", (None, "", 1, 192, 0)),  # type: ignore[arg-type]
    ("text", {"Value": "Störung"}, "string", (None, "Störung", NO_CODE, 192, 0)),
    ("NaN as text", {"Value": "NaN"}, "string", (None, "NaN", NO_CODE, 192, 0)),
    ("NaN", {"Value": "NaN"}, "number", (math.nan, None, None, 192, 0)),
    ("-Infinity, bad", {"Value": "-Infinity", "Good": False}, "number", (-math.inf, None, None, 0, 0)),
    ("text in a number", {"Value": "Tag not found", "Good": False}, "number", (None, "Tag not found", NO_CODE, 0, 0)),
    ("a digit as text", {"Value": "12.5"}, "number", (None, "12.5", NO_CODE, 192, 0)),
    ("null", {"Value": None, "Good": False}, "number", (None, "", NO_CODE, 0, 0)),
    ("array", {"Value": [1, "ä"]}, "number", (None, '[1,"ä"]', NO_CODE, 192, 0)),
    ("object", {"Value": {"A": 1}}, "blob", (None, '{"A":1}', NO_CODE, 192, 0)),
    ("errors, null", {"Value": 5.0, "Errors": None}, "number", (5.0, None, None, 192, 0)),
    ("errors, none", {"Value": 5.0, "Errors": []}, "number", (5.0, None, None, 192, 0)),
    (
        "a state, errors null",
        {"Value": {**state("Open", 2, False), "Errors": None}},
        "digital",
        (None, "Open", 2, 192, 0),
    ),
]
LOST: dict[str, tuple[dict[str, Any], str]] = {
    "no value": ({}, "without a value"),
    "good null": ({"Value": None}, "null"),
    "errors as value": ({"Value": {"Errors": [" a ", "b"]}, "Good": False}, "a; b"),
    "no errors as value": ({"Value": {"Errors": []}, "Good": False}, "error"),
    "errors in a state": ({"Value": {**state("Open", 2, False), "Errors": ["late"]}}, "late"),
    "errors beside it": ({"Value": 5.0, "Errors": [{"FieldName": "Value", "Message": ["late"]}]}, "late"),
    "errors beside null": ({"Value": None, "Good": False, "Errors": ["late"]}, "late"),
    "web exception beside it": ({"Value": 5.0, "WebException": {"Errors": ["late"]}}, "late"),
}


@pytest.mark.parametrize(("event", "kind", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_value_means(event: dict[str, Any], kind: Kind, expected: tuple[Any, ...]) -> None:
    event = {"Timestamp": STAMP, **event}
    for neighbours in ([], [{"Timestamp": STAMP, "Value": 1.0}, {"Timestamp": STAMP, "Value": state("x", 1, True)}]):
        row = decoded(*neighbours, event, kind=kind).rows.to_pylist()[-1]
        found = tuple(row[name] for name in ("value", "text", "code", "quality", "detail"))
        assert str(found) == str(expected)  # NaN is one NaN, -0.0 is not 0.0


@pytest.mark.parametrize(("event", "why"), LOST.values(), ids=LOST)
def test_a_value_that_was_not_delivered_is_no_event(event: dict[str, Any], why: str) -> None:
    plain = {"Timestamp": STAMP, "Value": 1.5}
    streams = [[plain], [plain, {"Timestamp": STAMP, **event}], [{**plain, "Value": "text"}]]
    body = {"Items": [{"WebId": str(place), "Items": items} for place, items in enumerate(streams)]}
    page = page_of(json.dumps(body).encode())
    assert page.ends == (1, 1, 2) and not page.bad
    assert list(page.lost) == [1] and STAMP in page.lost[1] and why in page.lost[1]


def test_minus_zero_stays() -> None:
    value = page_of(b'{"Items":[{"WebId":"a","Items":[{"Timestamp":"2026-01-01T00:00:00Z","Value":-0.0}]}]}')
    assert math.copysign(1, value.rows["value"][0].as_py()) == -1


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2026-01-02T03:04:05Z", 1_767_323_045_000_000_000),
        ("2026-01-02T03:04:05.1Z", 1_767_323_045_100_000_000),
        (STAMP, 1_767_323_045_123_456_700),
        ("2026-01-02T03:04:05.0000001Z", 1_767_323_045_000_000_100),
        ("2026-01-02T04:04:05+01:00", 1_767_323_045_000_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_times(text: str, time_ns: int) -> None:
    assert decoded({"Timestamp": text, "Value": 1.0}).times.tolist() == [time_ns]


@pytest.mark.parametrize(
    "text", [None, "", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "2026-01-02T03:04:05"]
)
def test_an_unreadable_time_spoils_its_stream_only(text: str | None) -> None:
    good, bad = {"Timestamp": STAMP, "Value": 1.0}, {"Timestamp": text, "Value": 1.0}
    body = {
        "Items": [{"WebId": name, "Items": items} for name, items in (("a", [good]), ("b", [good, bad]), ("c", [good]))]
    }
    page = page_of(json.dumps(body).encode())
    assert list(page.bad) == [1] and repr(text) in page.bad[1]
    assert page.ends == (1, 1, 2)
    assert page.rows["point"].to_pylist() == [0, 2]


_events = st.fixed_dictionaries(
    {
        "Timestamp": st.just(STAMP),
        "Value": st.one_of(
            st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**64), 2**64), st.booleans(),
            st.sampled_from(["NaN", "x"]), st.builds(state, st.text(max_size=3), st.integers(0, 400), st.booleans()),
        ),
        "Good": st.booleans(),
        "Questionable": st.booleans(),
        "Substituted": st.booleans(),
        "Annotated": st.booleans(),
    }
)  # fmt: skip


@given(st.lists(st.lists(_events, max_size=6), max_size=4))
def test_a_page_is_its_events_read_one_by_one(streams: list[list[dict[str, Any]]]) -> None:
    body = json.dumps({"Items": [{"WebId": str(place), "Items": each} for place, each in enumerate(streams)]}).encode()
    page = page_of(body)
    expected = []
    for place, stream in enumerate(streams):
        for each in stream:
            event = Event(
                each["Timestamp"], each["Good"], each["Questionable"], each["Substituted"], value=each["Value"]
            )
            expected.append((place, *reading(event, POINT), each["Annotated"] or None))
    found = [
        tuple(row[name] for name in ("point", "value", "text", "code", "quality", "detail", "annotated"))
        for row in page.rows.to_pylist()
    ]
    assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("told", "annotated"),
    [({}, None), ({"Annotated": False}, None), ({"Annotated": None}, None), ({"Annotated": True}, True)],
)
def test_whether_an_event_is_annotated_is_asked_for_and_kept(told: dict[str, Any], annotated: bool | None) -> None:
    assert "Items.Annotated" in RECORDED.of_one(()) and "Items.Items.Annotated" in RECORDED.of_set(())
    page = decoded({"Timestamp": STAMP, "Value": 1.5, **told}, {"Timestamp": STAMP, "Value": 2.5})
    assert page.rows["annotated"].to_pylist() == [annotated, None]
    assert page.rows["quality"].to_pylist() == [192, 192]


def test_bare_tokens_are_read_though_they_are_no_json() -> None:
    body = (
        b'{"Items":[{"WebId":"a","Items":['
        + b",".join(
            b'{"Timestamp":"2026-01-01T00:00:00Z","Value":%s}' % token
            for token in (b"NaN", b"Infinity", b"-Infinity", b"1")
        )
        + b"]}]}"
    )
    assert np.array_equal(page_of(body).rows["value"].to_numpy(), [np.nan, np.inf, -np.inf, 1.0], equal_nan=True)
    parts = read_batch(b'{"a":{"Status":200,"Headers":{},"Content":{"Items":[NaN]}},"b":{"Status":404,"Content":"x"}}')
    assert bytes(parts["a"].content) == b'{"Items": [NaN]}' and parts["b"].status == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b'{"Items":[{"WebId":"a","Items":[{"Timest', b'{"Items":5}', b"\xff\xfe{"]
)
def test_broken_bodies(body: bytes) -> None:
    with pytest.raises(Broken):
        _read(body)
    with pytest.raises(Broken):
        read_batch(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"Errors":["a","b"]}', "a; b"),
        (b'{"Message":"no"}', "no"),
        (b'"plain"', "plain"),
        (b"not json\n at all", "not json at all"),
        (b"", ""),
        (b"{}", ""),
    ],
)
def test_error_bodies(body: bytes, text: str) -> None:
    assert complaint_in(body) == text


def test_no_streams() -> None:
    page = decode([])
    assert page.rows.num_rows == 0 and page.ends == () and page.rows.schema.field("point").type == pa.int32()


@pytest.mark.parametrize(
    ("poison", "said"),
    [
        ("a\ud800b", r"2026-01-02T03:04:05.1234567Z cannot be kept \(surrogates not allowed\): 'a\\ud800b'"),
        ({"Name": "a\udfff", "Value": 1}, r"surrogates not allowed.*'Name'"),
        ({"odd": ["\ud800"]}, "surrogates not allowed"),
    ],
)
def test_what_cannot_be_kept_is_its_points_alone(poison: Any, said: str) -> None:
    events = [[{"Timestamp": STAMP, "Value": value}] for value in (1.5, poison, "text")]
    body = json.dumps({"Items": [{"WebId": str(place), "Items": each} for place, each in enumerate(events)]})
    page = page_of(body.encode(), "string")
    assert page.ends == (1, 1, 2)
    assert set(page.bad) == {1}
    assert re.search(said, page.bad[1]), page.bad[1]
    assert page.rows["point"].to_pylist() == [0, 2]


@pytest.mark.parametrize("token", [b"1e999", b"-1e999", b"1e99999999", b"2" + b"0" * 400])
def test_a_number_that_no_double_holds_is_no_infinity(token: bytes) -> None:
    """Python reads 1e999 as infinity: a sum with that in it agrees with every sum."""
    stream = b'{"WebId":"a","Items":[{"Timestamp":"2026-01-01T00:00:00Z","Value":%s}]}'
    body = b'{"Items":[' + b",".join(stream % each for each in (b"1.5", token)) + b"]}"
    batch = b'{"1":{"Status":200,"Headers":{},"Content":' + body + b"}}"
    for content in (body, bytes(read_batch(batch)["1"].content)):
        page = page_of(content)
        assert page.rows["value"].to_pylist() == [1.5]
        assert "a number that no double holds" in page.bad[1]


@pytest.mark.parametrize(("value", "code"), [(True, 1), (False, 0), (1, 1), (0, 0)])
def test_a_state_numbered_by_a_truth_value(value: Any, code: int) -> None:
    page = decoded({"Timestamp": STAMP, "Value": {"Name": "a", "Value": value}}, kind="digital")
    assert page.bad == {}
    assert page.rows["code"].to_pylist() == [code]
    assert page.rows["text"].to_pylist() == ["a"]


@pytest.mark.parametrize("read", [_read, read_batch])
def test_a_body_nested_too_deep_is_broken(read: Any) -> None:
    deep = "[" * 3_000 + "]" * 3_000
    body = f'{{"Items": [{{"WebId": "a", "Items": [{{"Timestamp": "{STAMP}", "Value": {deep}}}]}}]}}'
    with pytest.raises(Broken, match="unreadable") as caught:
        read(body.encode() if read is _read else f'{{"a": {{"Status": {deep}}}}}'.encode())
    assert caught.value.lasting
