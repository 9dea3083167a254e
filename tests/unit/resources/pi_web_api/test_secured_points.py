"""403: of the login, a stop; of a point, its own exception; of every point, a stop that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.timeline import TICK_NS, Interval, parse
from tests.unit.resources.pi_web_api.fake_plant import Event, FakePlant

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 1_000 * TICK_NS)
DENIED = 403, {"Errors": ["The user does not have read access to the PI Point."]}


class Securing(FakePlant):
    secured: Collection[str] = ()

    def _unspoilt(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        asked = {text for name, text in parse_qsl(parts.query) if name == "webId"} | {*parts.path.split("/")}
        return DENIED if asked & set(self.secured) else super()._unspoilt(target)


def plant_of(secured: Collection[str], **options: Any) -> Securing:
    events: dict[str, list[Event]] = {name: [(START, float(at))] for at, name in enumerate("abcdef")}
    plant = Securing(events, **options)
    plant.secured = secured
    return plant


def outcome(plant: FakePlant, points: list[Point] | None = None, discover: bool = True) -> tuple[dict[str, str], Any]:
    async def work() -> tuple[dict[str, str], Any]:
        source = plant.source()
        wanted = points or plant.points()
        failed: dict[str, str] = {}
        found: set[str] = set()
        try:
            if discover:
                assert len(await source.discover()) == len(plant.events)
            for _ in range(2):
                async for batch in source.pull(wanted, SPAN, 1_000):
                    failed |= batch.failed
                    found |= set(batch.points)
                    assert batch.samples.num_rows == len(batch.points)
            assert found | failed.keys() == {point.id for point in wanted} and not found & failed.keys()
            return failed, await source.tally(wanted, SPAN)
        finally:
            await source.close()

    return asyncio.run(work())


@pytest.mark.parametrize("discover", [True, False])
@pytest.mark.parametrize("forms", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("secured", ["c", "abcde"])
def test_a_secured_point_is_its_own_exception(secured: str, forms: tuple[bool, bool], discover: bool) -> None:
    plant = plant_of(secured, sets=forms[0], batches=forms[1])
    failed, tally = outcome(plant, discover=discover)
    assert set(failed) == set(secured) and all("read access" in why for why in failed.values())
    assert set(tally.failed) == set(secured)
    assert tally.table["point"].to_pylist() == [name for name in "abcdef" if name not in secured]
    assert set(tally.table["origin"].to_pylist()) == {"independent"}


def test_known_secured_points_cost_no_set() -> None:
    plant = plant_of("c")
    outcome(plant)
    sets = [target for target in plant.asked if "recorded?" in target and "webId=" in target]
    assert ["webId=c" in target for target in sets] == [True, False]


def test_a_group_of_secured_points_does_not_stop_the_others() -> None:
    plant = plant_of("ab")
    failed, tally = outcome(plant, plant.points()[:2])
    assert set(failed) == set(tally.failed) == {"a", "b"}


@pytest.mark.parametrize("points", [slice(0, 6), slice(2, 3)])
def test_when_every_point_is_refused_it_stops_and_says_so(points: slice) -> None:
    plant = plant_of("abcdef")
    with pytest.raises(Stop, match="every one is refused"):
        outcome(plant, plant.points()[points])


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_refused_for_everything_stops(status: int) -> None:
    plant = plant_of("", intrude=lambda _: httpx.Response(status, json={"Message": "no"}))
    with pytest.raises(Stop, match="the login as nobody was refused"):
        outcome(plant, discover=False)


def test_a_401_later_on_stops() -> None:
    plant = plant_of("")
    plant.intrude = lambda request: httpx.Response(401) if "recorded" in str(request.url) else None
    with pytest.raises(Stop, match="was refused"):
        outcome(plant)


def test_batches_that_are_forbidden_are_asked_for_one_by_one() -> None:
    plant = plant_of("c", sets=False)
    plant.intrude = lambda request: httpx.Response(403) if request.method == "POST" else None
    assert set(outcome(plant)[0]) == {"c"}


def test_a_feed_of_changes_leaves_secured_points_out() -> None:
    plant = plant_of("")

    def feed(request: httpx.Request) -> httpx.Response | None:
        if "updates" not in request.url.path:
            return None
        asked = request.url.params.get_list("webId")
        if "c" in asked:
            return httpx.Response(*DENIED[:1], json=DENIED[1])
        items = [{"Source": name, "LatestMarker": f"m{name}", "Status": "Succeeded"} for name in asked]
        return httpx.Response(200, json={"Items": items})

    plant.intrude = feed

    async def work() -> Any:
        source = plant.source()
        try:
            await source.discover()
            return await source.changes(plant.points(), {})
        finally:
            await source.close()

    assert set(asyncio.run(work()).markers) == set("abdef")
