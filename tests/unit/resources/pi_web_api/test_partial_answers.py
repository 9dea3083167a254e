"""An answer with an error in any part is never a complete one, and a part that is missing or odd is never zero."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pipelines.ports import Pulled
from pipelines.samples import empty
from pipelines.timeline import TICK_NS, Interval, parse
from resources.pi_web_api.pace import Bounds
from resources.rereading import read_again
from tests.unit.resources.pi_web_api.fake_plant import Event, FakePlant

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 1_000 * TICK_NS)
TEXT = "An error occurred"
ERRORS = [{"FieldName": "Value", "Message": [TEXT]}]
Spoil = Callable[[Any], Any]
"""What becomes of one stream: a set's item, or the whole answer about one stream."""


def plant_of(**options: Any) -> FakePlant:
    events: dict[str, list[Event]] = {
        name: [(START + at * TICK_NS, float(at)) for at in range(3 + place)] for place, name in enumerate("abcdef")
    }
    return FakePlant(events, **options)


def counts(tally: Any) -> dict[str, int]:
    return dict(zip(*(tally.table[name].to_pylist() for name in ("point", "events")), strict=True))


def with_(**more: Any) -> Spoil:
    return lambda stream: {**stream, **more}


def without(name: str) -> Spoil:
    return lambda stream: {key: each for key, each in stream.items() if key != name}


def becomes(what: Any) -> Spoil:
    return lambda stream: what


def last(**more: Any) -> Spoil:
    """Of one stream the last event, or the last summary, is spoilt."""

    def spoil(stream: Any) -> Any:
        if not stream["Items"]:
            return stream
        *others, item = stream["Items"]
        place = item["Value"] if "Type" in item else item
        spoilt = {key: each for key, each in {**place, **more}.items() if each is not ...}
        return {**stream, "Items": [*others, {**item, "Value": spoilt} if "Type" in item else spoilt]}

    return spoil


ANY: dict[str, Spoil] = {
    "errors, no items": with_(Items=[], Errors=[TEXT]),
    "errors, items null": with_(Items=None, Errors=ERRORS),
    "errors beside items": with_(Errors=[TEXT]),
    "web exception, no items": with_(Items=[], WebException={"StatusCode": 500, "Errors": [TEXT]}),
    "web exception beside items": with_(WebException={"StatusCode": 500, "Errors": []}),
    "message, no items": with_(Items=[], Message=TEXT),
    "exception, no items": with_(Items=[], Exception={"Errors": [TEXT]}),
    "a message only": becomes({"WebId": "c", "Message": TEXT}),
    "null": becomes(None),
    "a number": becomes(0),
    "a text": becomes(TEXT),
    "a web page": becomes(f"<html><body>{TEXT}</body></html>"),
    "a list": becomes([]),
    "items null": with_(Items=None),
    "no items": without("Items"),
    "items are an object": with_(Items={}),
    "items are a text": with_(Items=""),
    "an item is null": with_(Items=[None]),
    "an item is a number": with_(Items=[0]),
    "an item without anything": with_(Items=[{}]),
    "errors beside a value": last(Errors=ERRORS),
    "web exception beside a value": last(WebException={"StatusCode": 500, "Errors": [TEXT]}),
    "errors beside null": last(Value=None, Errors=ERRORS),
    "errors in the place of a value": last(Value={"Errors": [TEXT]}),
    "errors in the place of a bad value": last(Value={"Errors": [TEXT]}, Good=False),
    "errors within a state": last(Value={"Name": "Open", "Value": 1, "IsSystem": False, "Errors": [TEXT]}),
    "a good null": last(Value=None),
    "no value": last(Value=...),
}
IN_A_SET: dict[str, Callable[[list[Any]], Any]] = {
    "left out": lambda items: [each for each in items if each["WebId"] != "c"],
    "twice, the other empty": lambda items: [*items, {"WebId": "c", "Items": []}],
    "twice, empty first": lambda items: [{"WebId": "c", "Items": []}, *items],
    "without its name": lambda items: [without("WebId")(each) if each["WebId"] == "c" else each for each in items],
    "named null": lambda items: [{**each, "WebId": None} if each["WebId"] == "c" else each for each in items],
    "named as a stranger": lambda items: [{**each, "WebId": "z"} if each["WebId"] == "c" else each for each in items],
}
SETS: dict[str, Spoil] = {
    "errors beside items": with_(Errors=[TEXT]),
    "errors and no items": with_(Items=[], Errors=[TEXT]),
    "message and no items": with_(Items=[], Message=TEXT),
    "items null": with_(Items=None),
    "no items": with_(Items=[]),
    "null": becomes(None),
    "a list": becomes([]),
    "a number": becomes(0),
    "a text": becomes(TEXT),
}
COUNTS: dict[str, Spoil] = {
    "no summaries": with_(Items=[]),
    "another kind": with_(Items=[{"Type": "Total", "Value": {"Value": 0.0, "Good": True}}]),
    "the kind twice": with_(Items=[{"Type": "Count", "Value": {"Value": at, "Good": True}} for at in (0, 5)]),
    "errors in a summary": with_(Items=[{"Type": "Count", "Value": {"Value": 0, "Good": True}, "Errors": [TEXT]}]),
    "another kind with errors": lambda stream: {
        **stream, "Items": [*stream["Items"], {"Type": "Total", "Value": {"Value": {"Errors": [TEXT]}}, "Errors": [1]}],
    },
    "a value that is null": with_(Items=[{"Type": "Count", "Value": None}]),
    "no data, with errors": last(Value={"Name": "No Data", "Value": 248, "IsSystem": True}, Good=False, Errors=ERRORS),
    "another state": last(Value={"Name": "Calc Failed", "Value": 249, "IsSystem": True}, Good=False),
    "a text": last(Value="0"),
    "a truth": last(Value=False),
    "seconds": last(Value=0.00001),
    "fewer than none": last(Value=-1),
    "beyond any double": last(Value=10**400),
    "not a number": last(Value="NaN"),
    "a bad zero": last(Value=0, Good=False),
}  # fmt: skip


def spoiling(spoil: Spoil, *, alone: bool) -> Callable[[str, Any], Any]:
    """Spoils stream c in sets, and `alone` wherever it is asked for."""

    def mangle(target: str, body: Any) -> Any:
        body = copy.deepcopy(body)
        if "/streamsets/" in target:
            return {"Items": [spoil(each) if each["WebId"] == "c" else each for each in body["Items"]]}
        return spoil(body) if alone and "/streams/c/" in target else body

    return mangle


@pytest.mark.parametrize("spoil", ANY.values(), ids=ANY)
def test_a_stream_of_a_set_that_is_spoilt_is_asked_for_alone(spoil: Spoil) -> None:
    plant = plant_of(mangle=spoiling(spoil, alone=False))
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()} and not tally.failed
    asked = [target for target in plant.asked if "/streams/c/" in target]
    assert [each for each in asked if "recorded" in each] and [each for each in asked if "summary" in each]
    assert not [target for target in plant.asked if "summary" in target and "webId=c" in target]


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("spoil", ANY.values(), ids=ANY)
def test_what_is_spoilt_everywhere_is_named_and_never_zero(spoil: Spoil, batches: bool) -> None:
    plant = plant_of(mangle=spoiling(spoil, alone=True), batches=batches)
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert set(failed) == {"c"} and failed["c"]
    assert found == {name: events for name, events in plant.events.items() if name != "c"}
    assert counts(tally) == {name: len(events) for name, events in plant.events.items() if name in counts(tally)}
    assert set(counts(tally)) | set(tally.failed) == set(plant.events)
    assert len(plant.asked) < 120


@pytest.mark.parametrize("spoil", IN_A_SET.values(), ids=IN_A_SET)
def test_a_set_that_has_other_streams_than_it_was_asked_for(spoil: Callable[[list[Any]], Any]) -> None:
    def mangle(target: str, body: Any) -> Any:
        return {"Items": spoil(body["Items"])} if "/streamsets/" in target else body

    plant = plant_of(mangle=mangle)
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()} and not tally.failed


@pytest.mark.parametrize("spoil", SETS.values(), ids=SETS)
def test_a_set_that_is_spoilt_as_a_whole(spoil: Spoil) -> None:
    plant = plant_of(mangle=lambda target, body: spoil(body) if "/streamsets/" in target else body)
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()} and not tally.failed
    assert not [target for target in plant.asked if "summary" in target and "webId=" in target]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("spoil", COUNTS.values(), ids=COUNTS)
def test_a_count_that_is_none(spoil: Spoil, alone: bool) -> None:
    """What cannot be counted is read."""
    mangle = spoiling(spoil, alone=alone)
    plant = plant_of(mangle=lambda target, body: mangle(target, body) if "summary" in target else body)
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()} and not tally.failed
    origins = dict(zip(*(tally.table[name].to_pylist() for name in ("point", "origin")), strict=True))
    assert origins == {name: "re-read" if alone and name == "c" else "independent" for name in plant.events}


PARTS: dict[str, Spoil] = {
    "left out": becomes(...),
    "null": becomes(None),
    "a number": becomes(200),
    "no status": without("Status"),
    "a status that is none": with_(Status="200"),
    "no content": without("Content"),
    "content null": with_(Content=None),
    "another success": with_(Status=204, Content={"Items": []}),
    "a redirection": with_(Status=302, Content={"Items": []}),
    "no status at all": with_(Status=0, Content={"Items": []}),
    "a web page": with_(Content="<html></html>"),
    "a list": with_(Content=[]),
}


@pytest.mark.parametrize("times", [1, 10**6])
@pytest.mark.parametrize("spoil", PARTS.values(), ids=PARTS)
def test_a_part_of_a_batch_that_is_spoilt(spoil: Spoil, times: int) -> None:
    left = times

    class Batching(FakePlant):
        def _batch(self, asked: dict[str, Any]) -> httpx.Response:
            nonlocal left
            parts = super()._batch(asked).json()
            for name, each in asked.items():
                if "/streams/c/recorded" in each["Resource"] and left:
                    left -= 1
                    parts[name] = spoil(parts[name])
            return httpx.Response(207, json={name: part for name, part in parts.items() if part is not ...})

    plant = Batching(plant_of().events, sets=False)
    found, failed, _ = plant.outcome(SPAN, 10_000, Bounds())
    if times == 1:
        assert found == plant.events and not failed
    else:  # alone it is not in a batch
        assert found | {"c": []} == plant.events | {"c": []} and set(failed) <= {"c"} and len(found) + len(failed) == 6


@pytest.mark.parametrize("body", [{}, [], None, 0, "x", {"Errors": [TEXT]}, {"Message": TEXT}])
def test_a_batch_that_is_none_is_asked_for_in_parts(body: Any) -> None:
    plant = plant_of(sets=False)

    def spoilt(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(207, json=body) if request.url.path.endswith("/batch") else None

    plant.intrude = spoilt
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()} and not tally.failed


def test_what_the_archive_holds_passes() -> None:
    """A text is a text, whatever it says, and a bad value may be null."""
    texts = [TEXT, "", '{"Errors":["x"]}', {"Value": None, "Good": False}, {"Value": TEXT, "Good": False}]
    plant = FakePlant({"a": [(START + at * TICK_NS, each) for at, each in enumerate(texts)], "b": []})

    async def work() -> Any:
        source = plant.source()
        try:
            return [batch async for batch in source.pull(plant.points("string"), SPAN, 100)]
        finally:
            await source.close()

    [batch] = asyncio.run(work())
    assert batch.samples["text"].to_pylist() == [TEXT, "", '{"Errors":["x"]}', "", TEXT]
    assert batch.samples["quality"].to_pylist() == [192, 192, 192, 0, 0] and not batch.failed


def test_one_value_that_is_never_delivered_costs_few_questions() -> None:
    events: dict[str, list[Event]] = {
        "a": [(START + at * TICK_NS, float(at)) for at in range(900)],
        "b": [(START + at * TICK_NS, {"Value": None, "Good": True, "Errors": ERRORS} if at == 700 else 1.0)
              for at in range(900)],
    }  # fmt: skip
    plant = FakePlant(events)
    found, failed, _ = plant.outcome(SPAN, 10_000, Bounds())
    assert found == {"a": events["a"]} and TEXT in failed["b"] and "00:00:00.00007Z" in failed["b"]
    assert len(plant.asked) < 40


def test_a_size_that_is_never_delivered_is_read_in_smaller_spans() -> None:
    """The error is in the answer, and there as long as it is too long."""
    plant = plant_of()
    plant.events["c"] = [(START + at * TICK_NS, float(at)) for at in range(990)]

    def mangle(target: str, body: Any) -> Any:
        streams = body["Items"] if "/streamsets/" in target else [body]
        for each in streams:
            if len(each["Items"]) > 100:
                each.update(Items=[], Errors=[TEXT])
        return body

    plant.mangle = mangle
    found, failed, tally = plant.outcome(SPAN, 10_000, Bounds())
    assert found == plant.events and not failed
    assert counts(tally) == {name: len(events) for name, events in plant.events.items()}


UPDATES: dict[str, Any] = {
    "an exception": {"Exception": {"Errors": [TEXT]}},
    "errors": {"Errors": [TEXT]},
    "no events": {"Events": ...},
    "events null": {"Events": None},
    "no marker": {"LatestMarker": None},
    "failed": {"Status": "Failed"},
}


@pytest.mark.parametrize("odd", UPDATES.values(), ids=UPDATES)
def test_an_update_with_something_wrong_in_it_is_a_hole(odd: dict[str, Any]) -> None:
    plant = plant_of()
    update = {"RequestedMarker": "m1", "LatestMarker": "m2", "Status": "Updated", "Events": []}

    def intrude(request: httpx.Request) -> httpx.Response:
        item = {key: each for key, each in {**update, **odd}.items() if each is not ...}
        return httpx.Response(200, json={"Items": [item] if request.method == "GET" else []})

    plant.intrude = intrude

    async def work() -> Any:
        source = plant.source()
        try:
            return await source.changes(plant.points()[:1], {"a": "m1"})
        finally:
            await source.close()

    changes = asyncio.run(work())
    assert changes.holes == {"a"} and not changes.markers and not changes.times


def test_a_point_that_a_pull_never_speaks_of_has_no_count() -> None:
    async def pull(points: Any, span: Interval, most: int) -> Any:
        yield Pulled(empty(), ("a",))

    counted = asyncio.run(read_again(pull, plant_of().points()[:2], SPAN, 100))
    assert counts(counted) == {"a": 0} and set(counted.failed) == {"b"}
