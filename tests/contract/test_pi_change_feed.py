"""PI's stream updates against the stand-in: registered in sets, read by markers, registered again when it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from pipelines.points import Point
from pipelines.ports import ChangeFeed, Changes, Source
from pipelines.timeline import HOUR_NS, iso, parse
from resources.pi_web_api import Bounds
from tests.contract.stand_in import running
from tests.contract.test_pi_web_api_source import BEGIN, START, source_at

SMALL = Bounds(url_bytes=900)
"""So that 40 points are several sets."""


class Plant:
    def __init__(self, url: str) -> None:
        self.url = url
        self.points = self.with_source(lambda source: source.discover())

    def with_source(self, ask: Any) -> Any:
        async def work() -> Any:
            async with source_at(self.url, SMALL)() as source:
                return await ask(source)

        return asyncio.run(work())

    def changes(self, markers: Mapping[str, str], points: list[Point] | None = None) -> Changes:
        def ask(source: Source) -> Any:
            assert isinstance(source, ChangeFeed)
            return source.changes(self.points if points is None else points, markers)

        return self.with_source(ask)

    def control(self, path: str, method: str = "POST", body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.url.removesuffix('/piwebapi')}/_plant/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def edit(self, count: int, kind: str) -> set[tuple[str, int]]:
        span = {"start": BEGIN, "end": iso(START + 2 * HOUR_NS)}
        done = self.control("edits", body={"seed": 3, "count": count, "kinds": [kind], **span})["edits"]
        assert done
        return {(each["point"], parse(each["time"])) for each in done}


def told(changes: Changes) -> set[tuple[str, int]]:
    return {(point, stamp) for point, stamps in changes.times.items() for stamp in stamps}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    clock = ("--live", "--clock", iso(START + 3 * HOUR_NS), "--updates-kept", "500")
    with running("--points", "40", "--hours", "6", *clock) as found:
        yield found


@pytest.fixture
def plant(url: str) -> Plant:
    found = Plant(url)
    found.control("updates", "DELETE")
    return found


def test_points_are_registered_once_and_then_read(plant: Plant) -> None:
    everyone = frozenset(point.id for point in plant.points)
    first = plant.changes({})
    assert first.holes == everyone == first.markers.keys()
    assert not first.times
    assert plant.control("updates", "GET") == {"registered": len(everyone)}
    second = plant.changes(first.markers)
    assert second.holes == frozenset()
    assert second.markers.keys() == everyone


@pytest.mark.parametrize("kind", ["add", "change", "swap", "remove"])
def test_every_edit_is_told_by_its_point_and_time(plant: Plant, kind: str) -> None:
    markers = plant.changes({}).markers
    edits = plant.edit(8, kind)
    changes = plant.changes(markers)
    assert edits <= told(changes)
    assert changes.markers.items() - markers.items(), "the markers go on"
    assert not edits & told(plant.changes(changes.markers)), "told once"
    assert edits <= told(plant.changes(markers)), "an old marker tells it again"


def test_what_is_new_is_told_too(plant: Plant) -> None:
    markers = plant.changes({}).markers
    plant.control("clock", body={"advance_s": 60})
    assert len(told(plant.changes(markers))) > 10


def test_what_the_server_forgot_is_registered_again_and_a_hole(plant: Plant) -> None:
    markers = plant.changes({}).markers
    plant.control("updates", "DELETE")
    again = plant.changes(markers)
    assert again.holes == markers.keys() == again.markers.keys()
    assert plant.changes(again.markers).holes == frozenset()


def test_a_marker_that_is_too_old_is_a_hole_of_its_point_only(plant: Plant) -> None:
    markers = dict(plant.changes({}).markers)
    plant.control("clock", body={"advance_s": 1_200})
    plant.changes(markers)
    point, *_ = sorted(markers)
    markers[point] = markers[point].partition("_")[0] + "_999999"
    changes = plant.changes(markers)
    assert point in changes.holes
    assert point in changes.markers
    assert changes.holes != markers.keys()


def test_a_point_that_is_gone_is_a_hole_without_a_marker(plant: Plant) -> None:
    markers = plant.changes({}).markers
    name = plant.points[0].name
    plant.control("points", body={"op": "delete", "name": name})
    changes = plant.changes(markers)
    assert changes.holes == {plant.points[0].id}
    assert plant.points[0].id not in changes.markers


def test_a_server_without_stream_updates(plant: Plant) -> None:
    plant.control("faults", body={"kind": "404", "path": "updates", "times": -1})
    try:
        changes = plant.changes({})
    finally:
        plant.control("faults", "DELETE")
    assert not changes.markers
    assert len(changes.holes) == len(plant.points)
