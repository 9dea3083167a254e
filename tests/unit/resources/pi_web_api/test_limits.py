"""Limits that nobody has told: what is too much is asked for less, points first, then time, until it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from pipelines.ports import Retry
from pipelines.timeline import TICK_NS, Interval, parse
from resources.pi_web_api.refusals import Refused, TimedOut, TooMuch, Trouble, refusal
from tests.unit.resources.pi_web_api.fake_plant import Event, FakePlant

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 4_096 * TICK_NS)
COLLECTED = "[-11091] Event collection exceeded the maximum allowed"
BUSY = "[-10735] PINET: Session Manager Transaction List Full"
REFUSALS: dict[str, tuple[int, Any]] = {
    "504": (504, {}),
    "408": (408, {}),
    "524 of a gateway": (524, {}),
    "502 with time": (502, {"Message": "upstream request timed out"}),
    "503 with time": (503, {"Message": "Backend Timeout"}),
    "500 with PI's time": (500, {"Errors": ["[-10722] PINET: Timeout on PI RPC or System Call"]}),
    "400 of ArcMaxCollect": (400, {"Errors": [COLLECTED]}),
    "500 of ArcMaxCollect": (500, {"Errors": [COLLECTED]}),
    "400 in unknown words": (400, {"Message": "Die Anfrage ist zu umfangreich."}),
    "422": (422, {}),
    "413": (413, {}),
    "500 in unknown words": (500, {"Message": "An error has occurred."}),
    "502 in unknown words": (502, {"Message": "Bad Gateway"}),
}
IN_A_200 = {"ArcMaxCollect": {"Errors": [COLLECTED]}, "unknown words": {"Errors": ["Object reference not set"]}}


def spans_of(target: str) -> list[tuple[int, float]]:
    """(points, share of the span) that a GET asks about."""
    pairs = parse_qsl(urlsplit(target).query)
    query = dict(pairs)
    if "startTime" not in query:
        return []
    share = (parse(query["endTime"]) - parse(query["startTime"])) / SPAN.length_ns
    return [(max(1, sum(name == "webId" for name, _ in pairs)), share)]


def limited(answer: Callable[[], httpx.Response | None], points: float, share: float) -> FakePlant:
    """A plant with something before it that gives `answer` for more than so many points × time, or a longer time."""
    events: dict[str, list[Event]] = {
        f"P{at:02}": [(START + tick * TICK_NS, float(tick)) for tick in range(0, 4_096, 16 + at)] for at in range(10)
    }
    plant = FakePlant(events)

    def intrude(request: httpx.Request) -> httpx.Response | None:
        target = request.url.raw_path.decode()
        asked = spans_of(target)
        if target.endswith("/batch"):
            asked = [each for part in json.loads(request.content).values() for each in spans_of(part["Resource"])]
        over = sum(n * each for n, each in asked) > points * share or any(each > share for _, each in asked)
        return answer() if asked and over else None

    plant.intrude = intrude
    return plant


def whole(plant: FakePlant, most: int) -> None:
    found, failed, tally = plant.outcome(SPAN, 100_000)
    asked = len([target for target in plant.asked if not target.startswith(" ")])
    assert not failed and found == plant.events
    counts = dict(zip(*(tally.table[name].to_pylist() for name in ("point", "events")), strict=True))
    assert counts == {name: len(events) for name, events in plant.events.items()} and not tally.failed
    assert asked < most, asked


@pytest.mark.parametrize(("points", "share", "batches"), [(4, 1.0, False), (2, 0.1, True), (2, 0.2, False)])
@pytest.mark.parametrize("says", REFUSALS.values(), ids=REFUSALS)
def test_a_limit_of_whoever_stands_between(says: tuple[int, Any], points: int, share: float, batches: bool) -> None:
    plant = limited(lambda: httpx.Response(says[0], json=says[1]), points, share)
    plant.batches = batches
    whole(plant, most=2_000 if says[0] == 500 else int(150 + 80 / share))


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_a_limit_that_is_a_silence(share: float) -> None:
    def silent() -> None:
        raise httpx.ReadTimeout("slow")

    whole(limited(silent, 2, share), most=int(150 + 60 / share))


@pytest.mark.parametrize("share", [0.3, 0.1])
@pytest.mark.parametrize("says", IN_A_200.values(), ids=IN_A_200)
def test_a_limit_that_is_said_in_a_200(says: dict[str, Any], share: float) -> None:
    plant = limited(lambda: None, 1, 1.0)

    def mangle(target: str, body: Any) -> Any:
        [(_, asked)] = spans_of(target)
        streams = body["Items"] if "/streamsets/" in target else [body]
        return body if asked <= share else {**body, "Items": [{**e, "Items": [], **says} for e in streams]} | (
            {} if "/streamsets/" in target else {"Items": [], **says})  # fmt: skip

    plant.mangle = mangle
    whole(plant, most=int(600 + 400 / share))


def test_a_limit_of_one_point_is_found_at_the_others_once() -> None:
    """What timed out is not asked of every point anew: somebody waits for it each time."""
    plant = limited(lambda: None, 1, 1.0)
    limit = plant.intrude
    refused = 0

    def intrude(request: httpx.Request) -> httpx.Response | None:
        nonlocal refused
        [*asked] = spans_of(request.url.raw_path.decode())
        if any(share > 0.1 for _, share in asked):
            refused += 1
            return httpx.Response(504)
        return limit(request)

    plant.intrude, plant.batches = intrude, False
    whole(plant, most=2_500)
    assert refused < 120, refused


@pytest.mark.parametrize("status", [400, 409, 500])
def test_a_full_transaction_list_is_a_retry_at_whatever_status(status: int) -> None:
    left = 2

    def busy() -> httpx.Response | None:
        nonlocal left
        left -= 1
        return httpx.Response(status, json={"Errors": [BUSY]}) if left >= 0 else None

    plant = limited(busy, 0, 0.0)
    whole(plant, most=20)
    plant = limited(lambda: httpx.Response(status, json={"Errors": [BUSY]}), 0, 0.0)
    with pytest.raises(Retry, match="10735"):
        plant.outcome(SPAN, 100_000)
    assert len(plant.asked) < 12


def test_a_full_transaction_list_inside_a_200_and_a_batch() -> None:
    plant = limited(lambda: None, 0, 0.0)
    left = 3

    def mangle(target: str, body: Any) -> Any:
        nonlocal left
        left -= "/P03/" in target
        return {"Items": [], "Errors": [BUSY]} if "/P03/" in target and left >= 0 else body

    plant.mangle, plant.sets = mangle, False
    whole(plant, most=40)


@pytest.mark.parametrize("says", [(400, {"Message": "no"}), (500, {"Message": "no"}), (422, {})])
def test_what_is_refused_at_any_size_is_blamed_on_its_point(says: tuple[int, Any]) -> None:
    plant = limited(lambda: None, 0, 0.0)

    def intrude(request: httpx.Request) -> httpx.Response | None:
        target = request.url.raw_path.decode()
        return httpx.Response(says[0], json=says[1]) if "/P03/" in target or "webId=P03" in target else None

    plant.intrude, plant.batches = intrude, False
    found, failed, tally = plant.outcome(SPAN, 100_000)
    assert set(failed) == {"P03"} == set(tally.failed) and str(says[0]) in failed["P03"]
    assert found == {name: events for name, events in plant.events.items() if name != "P03"}
    assert len([target for target in plant.asked if "P03" in target]) < 60


@pytest.mark.parametrize(("alive", "status"), [(False, 504), (True, 504), (False, 502), (True, 502), (True, 503)])
def test_a_server_that_never_answers_is_a_retry_soon(alive: bool, status: int) -> None:
    class Down(FakePlant):
        def answer(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/system/status") and alive:
                return httpx.Response(200, json={"State": "Running"})
            self.asked.append(str(request.url))
            return httpx.Response(status, json={"Message": "no"})

    plant = Down({f"P{at}": [] for at in range(40)})
    with pytest.raises(Retry, match=str(status)):
        plant.outcome(SPAN, 100_000)
    assert len(plant.asked) < 60


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, COLLECTED, TooMuch), (500, COLLECTED, TooMuch), (200, COLLECTED, TooMuch), (404, COLLECTED, TooMuch),
        (400, BUSY, Trouble), (404, BUSY, Trouble), (403, BUSY, Trouble), (200, BUSY, Trouble),
        (408, "", TimedOut), (504, "", TimedOut), (502, "Gateway Time-out", TimedOut), (500, "timed out", TimedOut),
        (502, "Bad Gateway", Trouble), (507, "", Trouble), (520, "", Trouble), (425, "", Trouble),
        (400, "the parameter 'timeout' is not known", Refused), (501, "timeout", TimedOut), (410, "", Refused),
        (500, "'maxCount' is greater than the maximum allowed (10)", TooMuch),
    ],
)  # fmt: skip
def test_what_a_refusal_means(status: int, text: str, kind: type[Exception]) -> None:
    assert type(refusal(status, text)) is kind
