"""A pull gives every event once, whatever the ties, the page sizes and the forms of asking."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.points import Point
from pipelines.ports import PULL_BYTES, Pulled, Retry, Split, Stop, Unreachable
from pipelines.samples import times_ns
from pipelines.timeline import TICK_NS, Interval, iso, parse
from resources.pi_web_api import pulling
from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.source import PiWebApiSource
from tests.unit.resources.pi_web_api.fake_plant import QUICK, Event, FakePlant

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 1_000 * TICK_NS)
TINY = Bounds(items=40, expected=12, first_count=3, url_bytes=900, batch=3)


async def pulled(
    source: PiWebApiSource, points: list[Point], span: Interval, most: int, most_bytes: int = PULL_BYTES
) -> list[Pulled]:
    try:
        return [batch async for batch in source.pull(points, span, most, most_bytes)]
    finally:
        await source.close()


def pull(
    plant: FakePlant,
    bounds: Bounds = TINY,
    span: Interval = SPAN,
    most: int = 100_000,
    points: list[Point] | None = None,
    **options: Any,
) -> tuple[dict[str, list[Event]], dict[str, str]]:
    """Events by point as (time, value), and the failed points."""
    wanted = plant.points() if points is None else points
    batches = asyncio.run(pulled(plant.source(bounds, **options), wanted, span, most))
    found: dict[str, list[Event]] = {}
    failed: dict[str, str] = {}
    for batch in batches:
        failed |= batch.failed
        for name in batch.points:
            assert name not in found, "a point in two batches"
            found[name] = []
        rows = batch.samples
        for name, time_ns, value in zip(
            rows["point"].to_pylist(), times_ns(rows).tolist(), rows["value"].to_pylist(), strict=True
        ):
            found[name].append((time_ns, value))
    assert {*found, *failed} == {point.id for point in wanted}
    return found, failed


def held(plant: FakePlant, span: Interval = SPAN) -> dict[str, list[Event]]:
    return {
        name: [event for event in events if span.start_ns <= event[0] < span.end_ns]
        for name, events in plant.events.items()
    }


@st.composite
def plants(draw: st.DrawFn) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = {}
    for number in range(draw(st.integers(1, 9))):
        # (gap in ticks to the stamp before, events at this stamp)
        steps = draw(st.lists(st.tuples(st.integers(1, 60), st.sampled_from((1, 1, 1, 2, 3, 7, 19, 38))), max_size=25))
        times, at = [], -1
        for gap, ties in steps:
            at += gap
            times += [START + at * TICK_NS] * ties
        events[f"P{number}"] = [(time, float(place)) for place, time in enumerate(times)]
    return events


@settings(max_examples=150, deadline=None)
@given(
    events=plants(),
    first=st.integers(1, 9),
    items=st.integers(39, 200),
    most=st.integers(39, 200),
    width=st.integers(1, 60),
    forms=st.sampled_from(((True, True), (True, False), (False, True), (False, False))),
    per_call=st.booleans(),
    names_limit=st.booleans(),
)
def test_any_ties_and_any_pages_give_every_event_once(
    events: dict[str, list[Event]],
    first: int,
    items: int,
    most: int,
    width: int,
    forms: tuple[bool, bool],
    per_call: bool,
    names_limit: bool,
) -> None:
    sets, batches = forms
    plant = FakePlant(events, most=most, per_call=per_call, sets=sets, batches=batches, names_limit=names_limit)
    if not names_limit:
        plant.most = max(most, items)  # halving below what a tie needs is another test
    bounds = Bounds(items=items, expected=width, first_count=first, url_bytes=2_000, batch=3)
    found, failed = pull(plant, bounds)
    assert not failed
    assert found == held(plant)


def test_more_ties_than_the_server_ever_gives_fail_that_point_only() -> None:
    plant = FakePlant({"ties": [(START, 1.0)] * 41, "good": [(START, 1.0)] * 39}, most=40)
    found, failed = pull(plant)
    assert list(failed) == ["ties"] and "40" in failed["ties"]
    assert found == {"good": plant.events["good"]}


def test_half_open_and_nothing_outside() -> None:
    events = [(START - TICK_NS, 1.0), (START, 2.0), (SPAN.end_ns - TICK_NS, 3.0), (SPAN.end_ns, 4.0)]
    assert pull(FakePlant({"a": events}))[0] == {"a": events[1:3]}


def test_a_span_between_two_ticks_is_empty() -> None:
    plant = FakePlant({"a": [(START, 1.0)]})
    assert pull(plant, span=Interval(START + 1, START + 99))[0] == {"a": []}
    assert not plant.asked


def test_stamps_go_back_as_they_came_with_seven_digits() -> None:
    plant = FakePlant({"a": [(START + at * 1_234_567_00, float(at)) for at in range(8)]})
    pull(plant, span=Interval(START, START + 10**9))
    starts = [text.split("startTime=")[1].split("&")[0] for text in plant.asked]
    assert starts[0] == "2026-01-01T00:00:00.0000000Z"
    assert any(start.endswith("2469134Z") for start in starts[1:])


def test_a_stream_left_out_of_a_set_is_asked_for_alone() -> None:
    plant = FakePlant({name: [(START, 1.0)] for name in "abcdef"}, drop={"c"})
    assert pull(plant)[0] == held(plant)


def test_a_deleted_point_fails_alone() -> None:
    plant = FakePlant({name: [(START, 1.0)] for name in "abcdef"})
    points = plant.points()
    del plant.events["d"]
    found, failed = pull(plant, points=points)
    assert found == held(plant)
    assert list(failed) == ["d"] and "not found" in failed["d"]


@pytest.mark.parametrize("beyond", [1, 2, 500, 5_000])
@pytest.mark.parametrize("sets", [True, False])
@pytest.mark.parametrize("bounds", [Bounds(), TINY, Bounds(first_count=4), Bounds(first_count=5)])
def test_events_that_nobody_asked_for_are_dropped(
    beyond: int, sets: bool, bounds: Bounds, caplog: pytest.LogCaptureFixture
) -> None:
    """After the asked end of pages that are short, full, and of a part of the time."""

    class Sloppy(FakePlant):
        def _answers(self, web_ids: list[str], action: str, query: dict[str, str], alone: bool) -> tuple[int, Any]:
            high = parse(query["endTime"]) + beyond * TICK_NS
            return super()._answers(web_ids, action, {**query, "endTime": iso(high)}, alone)

    outside: list[Event] = [(START + at * TICK_NS, -1.0) for at in range(1_000, 1_700, 70)]
    inside: list[Event] = [(START + at * TICK_NS, float(at)) for at in (0, 1, 2, 2, 600, 600, 998, 999)]
    plant = Sloppy({"a": sorted([*outside, *inside]), "b": sorted(outside), "c": inside}, sets=sets)
    found, failed = pull(plant, bounds)
    assert {**failed, **found} == {name: [e for e in events if e[1] >= 0] for name, events in plant.events.items()}
    assert "outside of the asked span" in caplog.text


def test_events_before_the_asked_start_are_dropped() -> None:
    early, late = [(START - 50 * TICK_NS, 0.0)], [(SPAN.end_ns + TICK_NS, 9.0)]

    class Sloppy(FakePlant):
        def _recorded(self, found: dict[str, list[Event]], count: int) -> dict[str, Any]:
            return super()._recorded({name: [*early, *events, *late] for name, events in found.items()}, count)

    plant = Sloppy({"a": [(START, 1.0), (START + TICK_NS, 2.0)], "b": []})
    assert pull(plant, Bounds())[0] == held(plant)


def test_a_page_of_half_the_time_gives_nothing_of_the_other_half_twice() -> None:
    """A server that is too slow for all of the span, and gives more than it was asked for."""

    class Sloppy(FakePlant):
        def _answers(self, web_ids: list[str], action: str, query: dict[str, str], alone: bool) -> tuple[int, Any]:
            low, high = parse(query["startTime"]), parse(query["endTime"])
            if high - low > 200 * TICK_NS:
                raise httpx.ReadTimeout("slow")
            return super()._answers(web_ids, action, {**query, "endTime": iso(high + 50 * TICK_NS)}, alone)

    events: list[Event] = [(START + at * TICK_NS, float(at)) for at in range(0, 1_000, 7)]
    plant = Sloppy({"a": events, "b": events[:3]}, batches=False)
    assert pull(plant, Bounds(stalls=50)) == (held(plant), {})


def test_a_page_out_of_order_is_sorted_if_it_is_whole() -> None:
    events = [(START + 2 * TICK_NS, 2.0), (START, 0.0), (START + TICK_NS, 1.0)]
    plant = FakePlant({"a": events})
    assert pull(plant, Bounds())[0] == {"a": sorted(events)}
    found, failed = pull(plant, Bounds(items=3, first_count=3))
    assert not found and "order of time" in failed["a"]


def test_an_unreadable_time_fails_its_point_only() -> None:
    plant = FakePlant({"a": [(START, 1.0)], "b": [(START, {"Value": 1, "Good": True, "Timestamp": "9999-12-31Z"})]})
    found, failed = pull(plant, Bounds())
    assert found == {"a": [(START, 1.0)]}
    assert "9999-12-31Z" in failed["b"]


def test_one_point_bigger_than_a_batch_is_a_split() -> None:
    plant = FakePlant({"a": [(START + at * TICK_NS, 1.0) for at in range(100)], "b": [(START, 1.0)]})
    assert pull(plant, most=100)[0] == held(plant)
    with pytest.raises(Split):
        pull(plant, most=99)


def test_items_that_selected_fields_took_away() -> None:
    def bare(request: httpx.Request) -> httpx.Response | None:
        if b"selectedFields" in request.url.raw_path:
            return httpx.Response(200, json={"UnitsAbbreviation": ""})
        return None

    plant = FakePlant({"a": [(START, 1.0)]}, sets=False, batches=False, intrude=bare)
    assert pull(plant)[0] == held(plant)


def test_never_any_items_fails_the_point() -> None:
    plant = FakePlant({"a": []}, sets=False, batches=False, intrude=lambda _: httpx.Response(200, json={}))
    found, failed = pull(plant)
    assert not found and "without Items" in failed["a"]


@pytest.mark.parametrize(
    "body", [b'{"Items":[{"Timest', b'{"Items":[],"WebException":{"Errors":["x"],"StatusCode":500}}']
)
def test_a_broken_answer_is_asked_for_again(body: bytes) -> None:
    broken = iter([True, True])

    def once(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, content=body) if next(broken, False) else None

    plant = FakePlant({"a": [(START, 1.0)], "b": [(START, 2.0)]}, intrude=once)
    assert pull(plant)[0] == held(plant)


def test_a_point_that_is_always_broken_fails_alone() -> None:
    plant = FakePlant({"a": [(START, 1.0)], "b": [(START, 2.0)]}, batches=False)

    def never(request: httpx.Request) -> httpx.Response | None:
        asks_a = b"/a/" in request.url.raw_path or b"webId=a" in request.url.raw_path
        return httpx.Response(500, json={"Errors": ["boom"]}) if asks_a else None

    plant.intrude = never
    found, failed = pull(plant)
    assert found == {"b": [(START, 2.0)]}
    assert "boom" in failed["a"]


@pytest.mark.parametrize(("status", "error"), [(503, Retry), (429, Retry), (401, Stop), (403, Stop), (302, Stop)])
def test_a_whole_server_that_refuses(status: int, error: type[Exception]) -> None:
    plant = FakePlant({"a": [], "b": []}, intrude=lambda _: httpx.Response(status, json={"Message": "no"}))
    with pytest.raises(error, match="pi1"):
        pull(plant)


def test_nobody_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unreachable, match=r"pi1 at http://plant\.test/piwebapi"):
        pull(FakePlant({"a": [], "b": []}, intrude=refuse))


def test_a_server_too_slow_for_much_is_asked_for_less() -> None:
    events = {name: [(START + at * TICK_NS, float(at)) for at in range(60)] for name in "abcd"}
    plant = FakePlant(events)

    def slow(request: httpx.Request) -> httpx.Response | None:
        target = request.url.raw_path.decode()
        if target.endswith("/batch"):
            raise httpx.ReadTimeout("slow")
        count = int(target.split("maxCount=")[1].split("&")[0])
        if target.count("webId=") * count > 30 or count > 30:
            raise httpx.ReadTimeout("slow")
        return None

    plant.intrude = slow
    plant.batches = True
    assert pull(plant, Bounds(items=400, expected=400, first_count=100, stalls=20))[0] == held(plant)


def test_a_server_that_hangs_is_a_retry() -> None:
    def hang(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ReadTimeout("slow")

    plant = FakePlant({"a": [], "b": []}, intrude=hang)
    with pytest.raises(Retry, match="times in a row"):
        pull(plant)
    assert len(plant.asked) < 20


@pytest.mark.parametrize("status", [413, 414])
def test_a_request_too_big_is_made_smaller(status: int) -> None:
    plant = FakePlant({f"P{number}": [(START, float(number))] for number in range(40)})

    def picky(request: httpx.Request) -> httpx.Response | None:
        too_long = len(request.url.raw_path) > 700 if status == 414 else len(request.content) > 2_500
        return httpx.Response(status, text="too big") if too_long else None

    plant.intrude = picky
    plant.sets = status == 414
    bounds = Bounds(url_bytes=4_000, batch=20)
    assert pull(plant, bounds)[0] == held(plant)


@pytest.mark.parametrize("status", [413, 414])
def test_a_request_for_one_point_that_is_too_big_needs_a_person(status: int) -> None:
    plant = FakePlant({"a": [], "b": []}, intrude=lambda _: httpx.Response(status))
    with pytest.raises(Stop, match="one point"):
        pull(plant)


def test_a_server_that_gives_not_even_one_event_is_a_split() -> None:
    with pytest.raises(Split):
        pull(FakePlant({"a": [(START, 1.0)], "b": []}, most=0, names_limit=False))


def test_trouble_inside_a_batch_is_asked_for_again_and_then_given_up() -> None:
    plant = FakePlant({"a": [(START, 1.0)], "b": [(START, 2.0)], "c": [(START, 3.0)]}, sets=False)
    answers = plant._one
    left = {"a": 2}

    def moody(target: str) -> tuple[int, Any]:
        if "/a/" in target and left["a"]:
            left["a"] -= 1
            return 429, {"Message": "Rate limit was reached"}
        if "/b/" in target:
            return 403, "PI Point access denied"
        return answers(target)

    plant._one = moody  # type: ignore[method-assign]
    found, failed = pull(plant)
    assert found == {"a": [(START, 1.0)], "c": [(START, 3.0)]}
    assert "access denied" in failed["b"]


def test_a_batch_that_stays_throttled_is_a_retry() -> None:
    plant = FakePlant({"a": [], "b": []}, sets=False)
    plant._one = lambda target: (429, {"Message": "Rate limit was reached"})  # type: ignore[method-assign]
    with pytest.raises(Retry, match="Rate limit"):
        pull(plant)


def test_a_point_without_a_web_id_fails_alone() -> None:
    plant = FakePlant({"a": [(START, 1.0)]})
    points = [*plant.points(), Point("nameless", "nameless", "number")]
    found, failed = pull(plant, points=points)
    assert found == held(plant)
    assert list(failed) == ["nameless"]


def test_what_was_learned_stays_learned() -> None:
    plant = FakePlant({f"P{number}": [] for number in range(30)}, most=25)

    async def work() -> list[int]:
        source = plant.source(Bounds())
        sizes = []
        for _ in range(2):
            plant.asked.clear()
            async for _batch in source.pull(plant.points(), SPAN, 1_000):
                pass
            sizes.append(len(plant.asked))
        await source.close()
        return sizes

    first, second = asyncio.run(work())
    assert second <= first
    assert second <= 2


def test_few_requests_in_flight_and_none_left_behind() -> None:
    plant = FakePlant({f"P{number}": [(START, 1.0)] for number in range(50)})
    flying = most = 0

    async def watched(request: httpx.Request) -> httpx.Response:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            await asyncio.sleep(0.001)
            return plant.answer(request)
        finally:
            flying -= 1

    async def work() -> None:
        source = plant.source(TINY, concurrency=3, patience=QUICK)
        source._transport._wire = httpx.MockTransport(watched)
        pulling = source.pull(plant.points(), SPAN, 50)
        await anext(pulling)
        await pulling.aclose()
        assert flying == 0
        await source.close()

    asyncio.run(work())
    assert most == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 900)), max_size=40),
    st.sampled_from([(True, True), (True, False), (False, False)]),
)
def test_an_answer_is_bounded_in_bytes_and_every_event_comes(
    given_events: list[tuple[str, int, int]], forms: tuple[bool, bool]
) -> None:
    events: dict[str, list[Event]] = {name: [] for name in "abc"}
    for number, (name, tick, length) in enumerate(sorted(given_events, key=lambda each: each[1])):
        events[name].append((START + tick * TICK_NS, f"{number}{'x' * length}"))
    plant = FakePlant(events, sets=forms[0], batches=forms[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulling, "_ANSWER_BYTES", 6_000)
        batches = asyncio.run(pulled(plant.source(TINY), plant.points("string"), SPAN, 100_000, 1_000_000))
    found = sorted((row["point"], row["text"]) for batch in batches for row in batch.samples.to_pylist())
    assert found == sorted((name, text) for name in "abc" for _, text in events[name])
    assert not any(batch.failed for batch in batches)


def test_an_event_that_is_too_long_for_any_answer_is_its_points_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "_ANSWER_BYTES", 2_000)
    monkeypatch.setattr(pulling, "BODY_BYTES", 10_000)
    plant = FakePlant({"a": [(START + TICK_NS, "x" * 20_000)], "b": [(START, "y")], "c": [(START, "z" * 9_000)]})
    batches = asyncio.run(pulled(plant.source(TINY), plant.points("string"), SPAN, 1_000, 1_000))
    failed = {name: why for batch in batches for name, why in batch.failed.items()}
    assert failed.keys() == {"a"}
    assert "2026-01-01T00:00:00Z" in failed["a"]
    assert sorted(row["point"] for batch in batches for row in batch.samples.to_pylist()) == ["b", "c"]


def test_a_point_of_long_texts_is_split() -> None:
    texts: list[Event] = [(START + tick * TICK_NS, "x" * 400) for tick in range(10)]
    plant = FakePlant({"a": texts})
    with pytest.raises(Split):
        asyncio.run(pulled(plant.source(TINY), plant.points("string"), SPAN, 1_000, 2_000))
