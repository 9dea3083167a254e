"""Annotations of flagged events, from the stand-in's application in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.points import Point
from pipelines.ports import ANNOTATION_SCHEMA
from pipelines.samples import flagged, times_ns
from pipelines.timeline import HOUR_NS, Interval
from resources.budget import Budget
from resources.pi_web_api.annotations import _Found
from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.streams import NOTED
from resources.pi_web_api.transport import Patience, Transport
from simulators.pi_web_api import Plant, Settings
from simulators.pi_web_api.notes import notes_of
from simulators.pi_web_api.server import application

BASE = "http://plant/piwebapi"
QUICK = Patience(tries=3, first_wait_s=0.0, longest_wait_s=0.001, read_s=20.0, whole_s=40.0)
MIB = 1 << 20


class Wire(httpx.AsyncBaseTransport):
    """The application, and what it was asked; `spoil` takes the place of some answers."""

    def __init__(self, plant: Plant) -> None:
        self.app = httpx.ASGITransport(application(plant))
        self.asked: list[str] = []
        self.spoil: Callable[[str], httpx.Response | None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = (await request.aread()).decode()
        self.asked.append(f"{request.url}{body}")
        return self.spoil(self.asked[-1]) or await self.app.handle_async_request(request)

    def association_requests(self) -> int:
        return sum("associations" in text for text in self.asked)


@dataclass
class Case:
    plant: Plant
    wire: Wire
    source: PiWebApiSource
    points: list[Point]
    events: pa.Table

    def ask(self, max_bytes: int = MIB, events: pa.Table | None = None) -> list[dict[str, Any]]:
        given = self.events if events is None else events
        found = asyncio.run(self.source.annotations(self.points, given, max_bytes))
        assert found.schema.equals(ANNOTATION_SCHEMA)
        return found.to_pylist()

    def marks(self) -> list[tuple[str, int, int]]:
        marked = flagged(self.events)
        return sorted(
            zip(marked["point"].to_pylist(), times_ns(marked).tolist(), marked["tie"].to_pylist(), strict=True)
        )


def case(mood: str = "told", points: int = 40, hours: int = 12, batch: int = 6) -> Case:
    plant = Plant(Settings(points=points, hours=hours, rate_limit=0, annotations=mood))  # type: ignore[arg-type]
    wire = Wire(plant)
    transport = Transport("pi1", BASE, Budget(1e6), concurrency=2, patience=QUICK, wire=wire)
    source = PiWebApiSource(transport, bounds=Bounds(batch=batch))

    async def pulled() -> tuple[list[Point], pa.Table]:
        found = await source.discover()
        span = Interval(plant.settings.start_ns, plant.settings.start_ns + hours * HOUR_NS)
        parts = [batch.samples async for batch in source.pull(found, span, 1_000_000)]
        return found, samples.ordered(pa.concat_tables(parts).unify_dictionaries())

    found = asyncio.run(pulled())
    wire.asked.clear()
    return Case(plant, wire, source, *found)


@pytest.fixture(scope="module")
def told() -> Case:
    return case()


def test_every_flagged_event_has_its_annotations(told: Case) -> None:
    rows = told.ask()
    marks = told.marks()
    assert len(marks) > 20 and sorted({(row["point"], row["time_ns"], row["tie"]) for row in rows}) == marks
    numbers = {point.id: int(point.source_key.rpartition(":")[2]) for point in told.points}
    for point, time_ns, tie in marks:
        mine = [row for row in rows if (row["point"], row["time_ns"], row["tie"]) == (point, time_ns, tie)]
        notes = notes_of(told.plant, told.plant.catalogue.spec(numbers[point]), time_ns)
        assert [row["place"] for row in mine] == list(range(len(notes)))
        for row, note in zip(mine, notes, strict=True):
            assert (row["state"], row["reason"], row["author"]) == ("told", "", "PLANT\\operator")
            if isinstance(note["Value"], str):
                assert row["text"] == note["Value"]
            else:
                assert row["text"] == '{"Reason":"calibration","Code":7}'
            assert row["created_ns"] == (time_ns + HOUR_NS) and row["modified_by"] == "PLANT\\engineer"
            assert row["id"] == note["Id"] and row["title"] == note["Name"] and row["description"]


def test_they_are_asked_for_in_batches_and_not_with_all_events(told: Case) -> None:
    told.wire.asked.clear()
    told.ask()
    stretches = told.wire.association_requests()
    assert sum(text.count("associations") for text in told.wire.asked) <= len(told.marks())
    assert len(told.wire.asked) == stretches == -(-sum(text.count("associations") for text in told.wire.asked) // 6)


def test_nothing_is_asked_where_nothing_is_flagged(told: Case) -> None:
    told.wire.asked.clear()
    bare = told.events.set_column(8, samples.SCHEMA.field("annotated"), pa.nulls(len(told.events), pa.bool_()))
    assert told.ask(events=bare) == [] and not told.wire.asked


def test_an_edited_text_is_read_again(told: Case) -> None:
    point, time_ns, _ = told.marks()[0]
    number = next(int(each.source_key.rpartition(":")[2]) for each in told.points if each.id == point)
    told.plant.notes[number, time_ns] = ["edited ✎"]
    try:
        mine = [row["text"] for row in told.ask() if (row["point"], row["time_ns"]) == (point, time_ns)]
        assert mine[0] == "edited ✎"
    finally:
        told.plant.notes.clear()


@pytest.mark.parametrize(
    ("mood", "why"),
    [("omitted", "the server answers without annotations"), ("refused", "the server refuses associations=Annotations")],
)
def test_a_server_that_offers_none_is_named_once(mood: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    given = case(mood)
    with caplog.at_level(logging.WARNING):
        rows = given.ask()
        again = len(given.wire.asked)
        assert [row["state"] for row in given.ask()] == [row["state"] for row in rows]
    assert [(row["point"], row["time_ns"], row["tie"]) for row in rows] == given.marks()
    assert {row["state"] for row in rows} == {"not_offered"} and all(why in row["reason"] for row in rows)
    assert len(given.wire.asked) == again  # it is known by now
    said = [each for each in caplog.messages if "offers no annotations" in each]
    assert len(said) == 1 and "pi1" in said[0] and why in said[0]


def test_what_does_not_fit_is_named(told: Case) -> None:
    rows = told.ask(max_bytes=600)
    kept = sum(len(str(row[name]).encode()) for row in rows if row["state"] == "told" for name in ("text", "title"))
    states = {row["state"] for row in rows}
    assert 0 < kept <= 600 and states == {"told", "lacking"}
    assert sorted({(row["point"], row["time_ns"], row["tie"]) for row in rows}) == told.marks()
    assert all("more than" in row["reason"] for row in rows if row["state"] == "lacking")


def test_a_point_that_is_refused_spoils_no_other(told: Case) -> None:
    lost = told.marks()[0][0]
    gone = next(each for each in told.points if each.id == lost)
    name = told.plant.catalogue.find(gone.name).name
    told.plant.catalogue.conceal(name)
    try:
        rows = told.ask()
    finally:
        told.plant.catalogue.reveal(name)
    assert {row["state"] for row in rows if row["point"] == lost} == {"lacking"}
    assert all("404" in row["reason"] for row in rows if row["point"] == lost)
    assert {row["state"] for row in rows if row["point"] != lost} == {"told"}


def test_a_point_that_is_no_longer_listed_is_named(told: Case) -> None:
    lost = told.marks()[0][0]
    given = Case(told.plant, told.wire, told.source, [each for each in told.points if each.id != lost], told.events)
    assert {row["reason"] for row in given.ask() if row["point"] == lost} == {"the source no longer lists the point"}


def test_an_answer_that_is_too_much_is_asked_for_in_smaller_ones(told: Case) -> None:
    whole = told.ask()

    def spoil(text: str) -> httpx.Response | None:
        if text.count("associations") > 2:
            return httpx.Response(413, json={"Message": "The request entity is too large."})
        return None

    told.wire.spoil = spoil
    try:
        assert told.ask() == whole
    finally:
        told.wire.spoil = lambda _: None


def test_half_a_character_in_a_text_stays_to_be_seen() -> None:
    body = b'{"Items":[{"Timestamp":"2026-01-01T00:00:00Z","Annotations":[{"Value":"a\\ud800b"}]}]}'
    [item] = NOTED.read_one(body).items
    found = _Found(MIB)
    found.take("P", (0, 0), item.annotations)
    assert found.table()["text"].to_pylist() == ["a\\ud800b"]
