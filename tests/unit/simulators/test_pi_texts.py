"""Small parts of the PI stand-in: time strings, WebIds, selected fields, rendered text."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest

from simulators.pi_web_api import selection, webids
from simulators.pi_web_api.clock import Clock, TimeTextError, interval_ns, iso, parse_iso
from simulators.pi_web_api.events import HOUR_NS, Shape, blank
from simulators.pi_web_api.rendering import rendered

NOW = parse_iso("2026-03-29T10:30:00.1234567Z")  # a Sunday, the day Berlin's clocks go forward


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("*", "2026-03-29T10:30:00.1234567Z"),
        ("", "2026-03-29T10:30:00.1234567Z"),
        ("*-1d", "2026-03-28T10:30:00.1234567Z"),
        ("t", "2026-03-28T23:00:00Z"),
        ("t+12h", "2026-03-29T11:00:00Z"),
        ("y", "2026-03-27T23:00:00Z"),
        ("y-30m", "2026-03-27T22:30:00Z"),
        ("fri", "2026-03-26T23:00:00Z"),
        ("2026-01-01T00:00:00.0000001Z", "2026-01-01T00:00:00.0000001Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-07-01T02:00:00", "2026-07-01T00:00:00Z"),
        ("2026-01-01", "2025-12-31T23:00:00Z"),
        ("2026-01-01T00:00:00Z-1d", "2025-12-31T00:00:00Z"),
    ],
)
def test_time_strings_in_the_servers_zone(text: str, wanted: str) -> None:
    assert iso(Clock("Europe/Berlin").read(text, NOW)) == wanted


@pytest.mark.parametrize("text", ["tomorrowish", "*-1x", "2026-13-01", "*-", "2026-01-01T00:00:00 Mars"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TimeTextError):
        Clock().read(text, NOW)


def test_intervals() -> None:
    assert interval_ns("1h30m") == HOUR_NS * 3 // 2
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(100) == "1970-01-01T00:00:00.0000001Z"
    assert iso(500_000_000) == "1970-01-01T00:00:00.5Z"


def test_web_ids_of_the_documented_samples() -> None:
    guid = uuid.UUID("7f16bd6b-c14c-4e03-822e-457da2f35081")
    assert webids.of_point("IDOnly", guid, 8, "x") == "I1DPa70Wf0zBA06CLkV9ovNQgQCAAAAA"
    assert webids.of_point("PathOnly", guid, 8, "PISRV1\\sinusoid") == "P1DPUElTUlYxXFNJTlVTT0lE"
    assert webids.read("I1DPa70Wf0zBA06CLkV9ovNQgQCAAAAA") == webids.Target("DP", guid, 8, "")
    assert webids.read("P1DPUElTUlYxXFNJTlVTT0lE").path == "PISRV1\\SINUSOID"
    full = webids.of_point("Full", guid, -5, "SRV\\Größe 1")
    assert full.startswith("F1DP") and webids.read(full) == webids.Target("DP", guid, -5, "")


@pytest.mark.parametrize("text", ["", "F1DP", "I1DPshort", "X1DPa70Wf0zBA06CLkV9ovNQgQCAAAAA", "P1DP_w", "F1Em123"])
def test_other_web_ids_are_refused(text: str) -> None:
    with pytest.raises(webids.WebIdError):
        webids.read(text)


def test_selected_fields() -> None:
    tree = selection.read("Items.WebId;Items.Items.Timestamp;Items.Items.Value; Links.Next")
    document = {
        "Links": {"Next": 1, "Last": 2},
        "Items": [{"WebId": 3, "Name": 4, "Items": [{"Timestamp": 5, "Good": 6}]}],
    }
    assert selection.pruned(document, tree) == {
        "Links": {"Next": 1},
        "Items": [{"WebId": 3, "Items": [{"Timestamp": 5}]}],
    }
    assert selection.pruned(document, selection.read("")) == document
    assert selection.pruned(document, selection.read("Items.Items.Good;Items")) == {"Items": document["Items"]}
    assert selection.pruned(document, selection.read("Items;Items.WebId")) == {"Items": document["Items"]}


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 12.0, -3.0, 0.1 + 0.2, 5e-324, 1e15, 1e300, 12.34567, 2.0**53, 123456789012345.0]
)
def test_doubles_survive_their_text(number: float) -> None:
    events = blank(np.array([parse_iso("2026-01-01T00:00:00.12Z")]))
    events.numbers[:] = number
    text = bytes(rendered(events, selection.VALUE_FIELDS).part(0, 1))
    found = json.loads(text)
    assert isinstance(found["Value"], float)
    assert np.float64(found["Value"]).tobytes() == np.float64(number).tobytes()
    assert list(found) == list(selection.VALUE_FIELDS)
    assert found["Timestamp"] == "2026-01-01T00:00:00.12Z"


def test_texts_of_times_agree_with_the_plain_writer() -> None:
    draw = np.random.default_rng(1)
    fractions = np.concatenate([draw.integers(0, 10**7, 500), np.arange(0, 10**7, 10**5), 10 ** np.arange(7)]) * 100
    times = np.sort(parse_iso("2026-05-05T00:00:00Z") + draw.integers(0, 86_400, len(fractions)) * 10**9 + fractions)
    page = rendered(blank(times, Shape.FLOAT), ("Timestamp",))
    found = [json.loads(part)["Timestamp"] for part in map(bytes, page.reversed_parts(0, len(times)))]
    assert found[::-1] == [iso(int(time)) for time in times]


def test_nonfinite_values_as_strings_or_bare_tokens() -> None:
    events = blank(np.arange(3) * 100)
    events.numbers[:] = (float("nan"), float("inf"), float("-inf"))
    assert (
        bytes(rendered(events, ("Value",)).part(0, 3)) == b'{"Value":"NaN"},{"Value":"Infinity"},{"Value":"-Infinity"}'
    )
    assert bytes(rendered(events, ("Value",), True).part(1, 3)) == b'{"Value":Infinity},{"Value":-Infinity}'
