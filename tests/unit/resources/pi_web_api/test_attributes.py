"""Attributes of points and digital sets, from the stand-in's application in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pipelines.points import Point
from pipelines.ports import ATTRIBUTE_SCHEMA, AttributePage
from resources.budget import Budget
from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.transport import Patience, Transport
from simulators.pi_web_api import Plant, Settings
from simulators.pi_web_api.faults import Fault
from simulators.pi_web_api.server import application

QUICK = Patience(tries=3, first_wait_s=0.0, longest_wait_s=0.001, read_s=20.0, whole_s=40.0)


class Case:
    def __init__(self) -> None:
        self.plant = Plant(Settings(points=30, hours=1, rate_limit=0))
        self.gate = application(self.plant)
        self.requests = 0

    def ask(self, change: Any = lambda points: points) -> tuple[list[Point], list[AttributePage], AttributePage]:
        wire = httpx.ASGITransport(self.gate)
        transport = Transport("pi1", "http://plant/piwebapi", Budget(1e6), concurrency=2, patience=QUICK, wire=wire)
        source = PiWebApiSource(transport, bounds=Bounds(batch=8))

        async def work() -> tuple[list[Point], list[AttributePage], AttributePage]:
            points = change(await source.discover())
            before = self.gate.requests
            pages = [page async for page in source.attributes(points)]
            self.requests = self.gate.requests - before
            return points, pages, await source.digital_sets()

        return asyncio.run(work())

    def order(self, **fault: Any) -> None:
        self.gate.faults.orders = [Fault(**fault)]


@pytest.fixture
def case() -> Iterator[Case]:
    yield Case()


def bodies(pages: list[AttributePage]) -> dict[str, dict[str, Any]]:
    return {row["subject"]: json.loads(row["body"]) for page in pages for row in page.table.to_pylist()}


def test_every_point_has_all_of_its_attributes(case: Case) -> None:
    points, pages, _ = case.ask()
    assert all(page.table.schema.equals(ATTRIBUTE_SCHEMA) and not page.unread for page in pages)
    found = bodies(pages)
    assert sorted(found) == [point.id for point in points] and case.requests == 4  # batches of eight
    wanted = {"compdev", "compmax", "compmin", "compressing", "excdev", "excmax", "excmin", "pointsource", "location1",
              "location5", "instrumenttag", "archiving", "shutdown", "digitalset"}  # fmt: skip
    for point in points:
        mine = found[point.id]
        assert wanted <= mine.keys() and mine["tag"] == point.name and mine["zero"] == point.zero
    [body] = [row["body"] for page in pages for row in page.table.to_pylist() if row["subject"] == points[0].id]
    assert list(json.loads(body)) == sorted(json.loads(body))  # the same for the same, whatever the order


def test_the_digital_sets_have_all_their_states(case: Case) -> None:
    _, _, sets = case.ask()
    found = bodies([sets])
    assert found["Modes"]["7"] == "Störung" and found["OnOff"] == {"0": "Off", "1": "On"} and not sets.unread
    assert found["SYSTEM"]["246"] == "I/O Timeout" and len(found) == 1 + len(case.plant.digital_sets)


def test_what_no_database_holds_is_replaced(case: Case) -> None:
    number = case.plant.catalogue.numbers()[0]
    case.plant.attributes[number] = {"exdesc": "a\x00b \\ \u2028"}
    points, pages, _ = case.ask()
    name = case.plant.catalogue.spec(number).name
    point = next(each for each in points if each.name == name)
    assert bodies(pages)[point.id]["exdesc"] == "a\ufffdb \\ \u2028"


@pytest.mark.parametrize("kind", ["403", "404", "501"])
def test_a_server_that_refuses_them_is_named_and_not_asked_on(case: Case, kind: str) -> None:
    case.order(kind=kind, path="/(attributes|enumerationsets)", times=-1, inside_batch=True)
    points, pages, _ = case.ask()
    assert len(pages) == 1 and case.requests == 1
    assert "refuses points/…/attributes" in pages[0].refusal and kind in pages[0].refusal and points
    case.order(kind=kind, path="/enumerationsets", times=-1)
    assert "refuses dataservers/…/enumerationsets" in case.ask()[2].refusal


def test_a_point_that_is_refused_spoils_no_other(case: Case) -> None:
    def with_stranger(points: list[Point]) -> list[Point]:
        return [*points[:10], replace(points[10], address=points[10].address[:26] + "____fw"), *points[11:]]

    points, pages, _ = case.ask(with_stranger)
    unread = {point: why for page in pages for point, why in page.unread.items()}
    assert list(unread) == [points[10].id] and "404" in unread[points[10].id]
    assert len(bodies(pages)) == len(points) - 1 and not any(page.refusal for page in pages)


def test_what_fails_on_its_way_is_asked_for_again(case: Case) -> None:
    case.order(kind="500", path="/attributes", times=3, inside_batch=True)
    points, pages, _ = case.ask()
    assert sorted(bodies(pages)) == [point.id for point in points] and case.gate.faults.struck == 3
