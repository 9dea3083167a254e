"""The PI client against the stand-in server when things go wrong: every event exactly once, or an honest error."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from pipelines.plant import Auth, SourceSettings
from pipelines.points import Point
from pipelines.ports import Pulled, Retry, Stop, Unreachable
from pipelines.timeline import HOUR_NS, Interval, parse
from resources.pi_web_api import Bounds, Patience, PiWebApiSource
from simulators.pi_web_api import Plant, Settings, truth
from tests.contract.source_contract import (
    MAX_EVENTS,
    counts_of,
    drained,
    events_of,
    failures_of,
    of_points,
    same,
)
from tests.contract.stand_in import running

BEGIN = "2026-01-01T00:00:00Z"
POINTS, HOURS = 60, 6
SIZE = ("--points", str(POINTS), "--hours", str(HOURS))
SPAN = Interval(parse(BEGIN), parse(BEGIN) + HOURS * HOUR_NS)
QUICK = Patience(tries=5, first_wait_s=0.01, longest_wait_s=0.05, read_s=20.0)
SMALL = Bounds(items=8_000, expected=2_000, first_count=300, url_bytes=2_000, batch=10)
PLANT = Plant(Settings(points=POINTS, hours=HOURS))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(*SIZE) as address:
        yield address


@pytest.fixture
def faults(url: str) -> Iterator[Callable[..., None]]:
    def strike(**fault: Any) -> None:
        httpx.post(f"{url}/_plant/faults", json=fault).raise_for_status()

    yield strike
    httpx.delete(f"{url}/_plant/faults").raise_for_status()


def struck(url: str) -> int:
    return int(httpx.get(f"{url}/_plant/faults").json()["struck"])


def settings_at(url: str, **more: Any) -> SourceSettings:
    given = {"name": "pi1", "kind": "pi_web_api", "url": url, "start": BEGIN, "requests_per_s": 2_000.0}
    return SourceSettings.model_validate({**given, **more})


def run(
    url: str,
    work: Callable[[PiWebApiSource], Awaitable[Any]],
    patience: Patience = QUICK,
    bounds: Bounds = SMALL,
    **settings: Any,
) -> Any:
    async def main() -> Any:
        source = PiWebApiSource.from_settings(settings_at(url, **settings), patience=patience, bounds=bounds)
        try:
            return await work(source)
        finally:
            await source.close()

    return asyncio.run(main())


async def everything(source: PiWebApiSource) -> list[Pulled]:
    return await drained(source, await source.discover(), SPAN)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "429", "times": 3},
        {"kind": "429", "times": 2, "retry_after": "1"},
        {"kind": "503", "times": 3},
        {"kind": "502", "times": 3},
        {"kind": "500", "times": 3},
        {"kind": "truncated", "times": 3},
        {"kind": "web_exception", "times": 3},
        {"kind": "web_page", "times": 3},
        {"kind": "504", "times": -1, "over": 20.0},
        {"kind": "500", "times": -1, "over": 20.0, "text": "[-11091] Event collection exceeded the maximum allowed"},
        {"kind": "400", "times": 3, "text": "[-10735] PINET: Session Manager Transaction List Full"},
        {"kind": "value_errors", "times": -1, "path": "streamsets"},
        {"kind": "stream_errors", "times": -1, "path": "streamsets"},
        {"kind": "left_out", "times": -1, "path": "streamsets", "point": "UNIT1.TEMP.TI002.PV"},
        {"kind": "twice", "times": -1, "path": "streamsets", "point": "UNIT1.TEMP.TI002.PV"},
        {"kind": "cut", "times": 3},
        {"kind": "reset", "times": 3},
        {"kind": "slow", "times": 2, "seconds": 0.2},
        {"kind": "429", "times": 5, "inside_batch": True},
        {"kind": "503", "times": 5, "inside_batch": True},
        {"kind": "500", "times": 5, "inside_batch": True},
        {"kind": "truncated", "times": 5, "inside_batch": True},
        {"kind": "web_exception", "times": 5, "inside_batch": True},
        {"kind": "503", "probability": 0.2},
        {"kind": "reset", "probability": 0.2},
        {"kind": "truncated", "probability": 0.2},
        {"kind": "web_exception", "probability": 0.1},
    ],
    ids=lambda fault: "-".join(str(part) for part in fault.values()),
)
def test_every_event_once_through_faults(url: str, faults: Callable[..., None], fault: dict[str, Any]) -> None:
    before = struck(url)
    patience = Patience(tries=12, first_wait_s=0.005, longest_wait_s=0.02) if "probability" in fault else QUICK
    faults(**{"path": "recorded", **fault})
    batches = run(url, everything, patience)
    assert not failures_of(batches)
    same(events_of(batches), truth(PLANT, None, SPAN.start_ns, SPAN.end_ns))
    assert struck(url) > before


def test_a_slow_server_is_asked_for_less(url: str, faults: Callable[..., None]) -> None:
    faults(kind="slow", seconds=1.2, times=2, path="recorded")
    patience = Patience(tries=3, first_wait_s=0.01, longest_wait_s=0.05, read_s=0.8)
    batches = run(url, everything, patience)
    same(events_of(batches), truth(PLANT, None, SPAN.start_ns, SPAN.end_ns))


def test_a_tally_through_faults(url: str, faults: Callable[..., None]) -> None:
    expected = counts_of(truth(PLANT, None, SPAN.start_ns, SPAN.end_ns), run(url, lambda source: source.discover()))
    for kind in ("429", "503", "truncated", "web_exception", "reset"):
        faults(kind=kind, times=2, path="summary")

    async def work(source: PiWebApiSource) -> None:
        counted = await source.tally(await source.discover(), SPAN)
        found = dict(zip(*(counted.table[name].to_pylist() for name in ("point", "events")), strict=True))
        assert found == expected and counted.origin == "independent"

    run(url, work, Patience(tries=12, first_wait_s=0.01, longest_wait_s=0.02))


def test_discovery_through_faults(url: str, faults: Callable[..., None]) -> None:
    for kind in ("503", "truncated", "web_exception", "reset"):
        faults(kind=kind, times=1, path="points")
    assert len(run(url, lambda source: source.discover())) == POINTS


@pytest.mark.parametrize("kind", ["value_errors", "stream_errors", "403"])
def test_what_cannot_be_had_is_named_alone(url: str, faults: Callable[..., None], kind: str) -> None:
    name = "UNIT1.TEMP.TI002.PV"
    for inside in (False, True):
        faults(kind=kind, times=-1, path="recorded|summary" if not inside else "", point=name, inside_batch=inside)

    async def work(source: PiWebApiSource) -> None:
        points = [point for point in await source.discover() if point.name.startswith("UNIT1.TEMP")]
        points += [point for point in await source.discover() if point.name.startswith("UNIT1.PRESSURE")]
        batches = await drained(source, points, SPAN)
        assert set(failures_of(batches)) == {name}
        kept = [point.id for point in points if point.name != name]
        same(events_of(batches), of_points(truth(PLANT, None, SPAN.start_ns, SPAN.end_ns), kept))
        counted = await source.tally(points, SPAN)
        assert set(counted.failed) == {name} and counted.table["point"].to_pylist() == kept

    run(url, work)


def test_a_server_in_trouble_is_a_retry(url: str, faults: Callable[..., None]) -> None:
    faults(kind="503", times=-1, path="recorded")
    with pytest.raises(Retry, match="503"):
        run(url, everything)


def test_a_point_deleted_between_discovery_and_pull_fails_alone() -> None:
    async def work(source: PiWebApiSource) -> list[Pulled]:
        points = await source.discover()
        async with httpx.AsyncClient() as client:
            for name in ("UNIT1.TEMP.TI002.PV", "Pump 🚰 19"):
                answer = await client.post(f"{url}/_plant/points", json={"op": "delete", "name": name})
                answer.raise_for_status()
        return await drained(source, points, SPAN)

    with running(*SIZE) as url:
        batches = run(url, work)
    lost = {"UNIT1.TEMP.TI002.PV", "Pump%20%F0%9F%9A%B0%2019"}
    assert set(failures_of(batches)) == lost
    whole = truth(PLANT, None, SPAN.start_ns, SPAN.end_ns)
    kept = sorted(set(whole["point"].to_pylist()) - lost)
    same(events_of(batches), of_points(whole, kept))


def test_a_rename_in_between_changes_nothing() -> None:
    async def work(source: PiWebApiSource) -> list[Pulled]:
        points = await source.discover()
        order = {"op": "rename", "name": "UNIT1.TEMP.TI002.PV", "to": "UNIT1.TEMP.TI002.NEW"}
        async with httpx.AsyncClient() as client:
            (await client.post(f"{url}/_plant/points", json=order)).raise_for_status()
        again = {point.source_key: point for point in await source.discover()}
        assert {point.source_key for point in points} == set(again)
        return await drained(source, points, SPAN)

    with running(*SIZE) as url:
        same(events_of(run(url, work)), truth(PLANT, None, SPAN.start_ns, SPAN.end_ns))


def test_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_GOOD", "geheim")
    monkeypatch.setenv("PI_WRONG", "falsch")
    good = Auth(kind="basic", username="anna", password_env="PI_GOOD")
    wrong = Auth(kind="basic", username="anna", password_env="PI_WRONG")
    with running(*SIZE, "--auth", "basic", FERRY_SIM_USER="anna", FERRY_SIM_PASSWORD="geheim") as url:
        assert len(run(url, lambda source: source.discover(), auth=good)) == POINTS
        with pytest.raises(Stop, match="anna") as caught:
            run(url, lambda source: source.discover(), auth=wrong)
        assert "pi1" in str(caught.value) and url in str(caught.value) and "falsch" not in str(caught.value)
        with pytest.raises(Stop):
            run(url, lambda source: source.discover())
    with running(*SIZE, "--auth", "bearer", FERRY_SIM_TOKEN="geheim") as url:
        assert len(run(url, lambda source: source.discover(), auth=Auth(kind="bearer", token_env="PI_GOOD"))) == POINTS
        with pytest.raises(Stop):
            run(url, lambda source: source.discover(), auth=Auth(kind="bearer", token_env="PI_WRONG"))


def test_nobody_at_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/piwebapi"
    with pytest.raises(Unreachable, match="pi1"):
        run(address, lambda source: source.discover())


def test_tls_to_a_server_that_speaks_none(url: str) -> None:
    with pytest.raises(Stop, match="TLS"):
        run(url.replace("http:", "https:"), lambda source: source.discover())


def test_a_budget_is_kept(url: str) -> None:
    httpx.delete(f"{url}/_plant/stats").raise_for_status()
    run(
        url,
        everything,
        bounds=Bounds(items=2_000, expected=200, first_count=100, batch=4),
        requests_per_s=15.0,
        concurrency=3,
    )
    stats = httpx.get(f"{url}/_plant/stats").json()
    assert stats["requests"] > 25
    assert stats["max_requests_in_1s"] <= 15 + 4 + 2
    assert stats["max_in_flight"] <= 3


def test_strings_and_bare_tokens_mean_the_same() -> None:
    strings = truth(PLANT, None, SPAN.start_ns, SPAN.end_ns)
    with running(*SIZE, "--nonfinite", "tokens") as url:
        same(events_of(run(url, everything, bounds=Bounds())), strings)


def test_edits_are_seen_by_the_next_pull(url: str) -> None:
    point = "UNIT1.SPARSE.XI022.PV"
    stamp = "2026-01-01T01:00:00.0000001Z"
    odd: list[Any] = [1.5, "text", {"Name": "Shutdown", "Value": 254, "IsSystem": True}, 2**60]

    async def work(source: PiWebApiSource) -> list[Pulled]:
        points: list[Point] = [each for each in await source.discover() if each.name == point]
        edits = [{"point": point, "op": "add", "time": stamp, "value": value} for value in odd]
        async with httpx.AsyncClient() as client:
            (await client.post(f"{url}/_plant/edits", json=edits)).raise_for_status()
        at = parse(stamp)
        return [batch async for batch in source.pull(points, Interval(at, at + 100), MAX_EVENTS)]

    rows = events_of(run(url, work)).to_pylist()
    assert [row["tie"] for row in rows] == [0, 1, 2, 3]
    assert [(row["value"], row["text"], row["code"]) for row in rows] == [
        (1.5, None, None), (None, "text", -1), (None, "Shutdown", 254), (None, "", 2**60),
    ]  # fmt: skip
