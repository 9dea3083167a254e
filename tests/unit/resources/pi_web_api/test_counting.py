"""Tallies: what PI's own counts say, when they are not to be trusted, and reading again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from pipelines.points import Point
from pipelines.ports import SourceTally, Stop
from pipelines.samples import TALLY_SCHEMA
from pipelines.timeline import TICK_NS, Interval, parse
from resources.pi_web_api import source as source_module
from resources.pi_web_api.counting import Counted, _counted
from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.streams import SUMMARY
from tests.unit.resources.pi_web_api.fake_plant import Event, FakePlant

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 1_000 * TICK_NS)
BAD = {"Value": {"Name": "Shutdown", "Value": 254, "IsSystem": True}, "Good": False}


def events_of(count: int, bad: int = 0) -> list[Event]:
    return [(START + at * TICK_NS, BAD if at < bad else float(at)) for at in range(count)]


def tallied(
    plant: FakePlant, pull_first: bool = False, points: list[Point] | None = None, bounds: Bounds | None = None
) -> SourceTally:
    async def work() -> SourceTally:
        source = plant.source(bounds or Bounds(batch=4, url_bytes=700))
        wanted = plant.points() if points is None else points
        if pull_first:
            async for _ in source.pull(wanted, SPAN, 10_000):
                pass
        try:
            return await source.tally(wanted, SPAN)
        finally:
            await source.close()

    return asyncio.run(work())


def counts(tally: SourceTally) -> dict[str, int]:
    return dict(zip(*(tally.table[name].to_pylist() for name in ("point", "events")), strict=True))


@pytest.mark.parametrize("sets", [True, False])
@pytest.mark.parametrize("batches", [True, False])
def test_counts_in_every_form(sets: bool, batches: bool) -> None:
    plant = FakePlant({f"P{at}": events_of(at) for at in range(30)}, sets=sets, batches=batches)
    tally = tallied(plant)
    assert counts(tally) == {f"P{at}": at for at in range(30)}
    assert tally.origin == "independent" and set(tally.table["origin"].to_pylist()) == {"independent"}
    assert all("summary" in target or target.endswith("/batch") for target in plant.asked)


def test_the_end_of_the_window_is_not_counted() -> None:
    plant = FakePlant({"a": [(START, 1.0), (SPAN.end_ns - TICK_NS, 1.0), (SPAN.end_ns, 1.0)]})
    assert counts(tallied(plant)) == {"a": 2}


def test_bad_events_counted_is_found_out_once() -> None:
    plant = FakePlant({"a": events_of(9, bad=4), "b": events_of(3)})
    tally = tallied(plant, pull_first=True)
    assert tally.origin == "independent" and counts(tally) == {"a": 9, "b": 3}


def test_bad_events_not_counted_means_reading_again() -> None:
    plant = FakePlant({"a": events_of(9, bad=4), "b": events_of(3), "c": []}, count_bad=False)
    assert counts(tallied(plant)) == {"a": 5, "b": 3, "c": 0}  # believed: nothing bad was met yet
    tally = tallied(plant, pull_first=True)
    assert tally.origin == "re-read" and counts(tally) == {"a": 9, "b": 3, "c": 0}
    assert tally.table.select(TALLY_SCHEMA.names).schema.equals(TALLY_SCHEMA)
    row = tally.table.to_pylist()[0]
    assert (row["good"], row["numbers"], row["first_ns"]) == (5, 5, START) and row["digest"] is not None


def test_the_others_are_found_out_by_themselves() -> None:
    plant = FakePlant({"a": events_of(9, bad=4), "s": [(START, {"Value": "x", "Good": False})]}, count_bad=False)
    points = [plant.points()[0], Point("s", "s", "string", address="s")]
    assert counts(tallied(plant, pull_first=True, points=points)) == {"a": 9, "s": 1}


@pytest.mark.parametrize("status", [404, 405, 409, 501])
def test_no_summaries_means_reading_again(status: int) -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(status, json={"Errors": ["no"]}) if "summary" in request.url.path else None

    plant = FakePlant({"a": events_of(5), "b": []}, intrude=refuse, batches=False)
    tally = tallied(plant)
    assert tally.origin == "re-read" and counts(tally) == {"a": 5, "b": 0}


def test_one_point_without_a_summary_is_read_again() -> None:
    class Odd(FakePlant):
        def _summary(self, events: list[Event]) -> list[dict[str, Any]]:
            if len(events) == 5:
                return [{"Type": "Count", "Value": {"Value": {"Errors": ["no"]}, "Good": False}}]
            return super()._summary(events)

    tally = tallied(Odd({"a": events_of(5), "b": events_of(2), "c": []}))
    assert counts(tally) == {"a": 5, "b": 2, "c": 0} and tally.origin == "re-read"
    assert tally.table["origin"].to_pylist() == ["re-read", "independent", "independent"]


def test_a_deleted_point_fails_alone() -> None:
    plant = FakePlant({"a": events_of(5), "b": events_of(2)})
    points = [*plant.points(), Point("gone", "gone", "number", address="gone"), Point("nameless", "nameless", "number")]
    tally = tallied(plant, points=points)
    assert counts(tally) == {"a": 5, "b": 2} and set(tally.failed) == {"gone", "nameless"}


def test_slow_summaries_are_asked_for_in_smaller_spans() -> None:
    def slow(request: httpx.Request) -> httpx.Response | None:
        target = str(request.url)
        if "summary" not in target:
            return None
        query = dict(request.url.params)
        if target.count("webId=") > 1 or parse(query["endTime"]) - parse(query["startTime"]) > 300 * TICK_NS:
            raise httpx.ReadTimeout("slow")
        return None

    plant = FakePlant({"a": events_of(901), "b": events_of(7)}, intrude=slow, batches=False)
    tally = tallied(plant, bounds=Bounds(stalls=50))
    assert counts(tally) == {"a": 901, "b": 7} and tally.origin == "independent"


def test_reading_again_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_REREAD_EVENTS", 60)
    plant = FakePlant({"a": events_of(400, bad=3), "b": events_of(70), "c": []}, count_bad=False)
    whole = tallied(plant, pull_first=True).table
    monkeypatch.setattr(source_module, "_REREAD_EVENTS", 10_000)
    assert whole.equals(tallied(plant, pull_first=True).table)


def test_a_refused_login_stops() -> None:
    plant = FakePlant({"a": [], "b": []}, intrude=lambda _: httpx.Response(401))
    with pytest.raises(Stop):
        tallied(plant)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ('{"Type":"Count","Value":{"Value":3}}', Counted(3, None)),
        (
            '{"Type":"Count","Value":{"Value":3}},{"Type":"Total","Value":{"Value":4.5}},'
            '{"Type":"PercentGood","Value":{"Value":100.0}}',
            Counted(3, 4.5, pure=True),
        ),
        (
            '{"Type":"Count","Value":{"Value":3}},{"Type":"Total","Value":{"Value":4.5}},'
            '{"Type":"PercentGood","Value":{"Value":99.9}}',
            Counted(3, 4.5),
        ),
        ('{"Type":"Count","Value":{"Value":3}},{"Type":"Total","Value":{"Value":1e300}}', Counted(3, 1e300)),
        ('{"Type":"Count","Value":{"Value":3}},{"Type":"Total","Value":{"Value":"Infinity"}}', Counted(3, None)),
        ('{"Type":"Count","Value":{"Value":0}}', Counted(0, 0.0, pure=True)),
        (
            '{"Type":"Count","Value":{"Value":{"Name":"No Data","Value":248,"IsSystem":true},"Good":false}}',
            Counted(0, None),
        ),
        ('{"Type":"Count","Value":{"Value":{"Name":"Calc Failed","Value":249,"IsSystem":true},"Good":false}}', None),
        ('{"Type":"Total","Value":{"Value":3}}', None),
        ("", None),
    ],
)
def test_what_a_summary_says(items: str, expected: Counted | None) -> None:
    assert _counted(SUMMARY.read_one(f'{{"Items":[{items}]}}'.encode())) == expected
