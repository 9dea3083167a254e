"""Tokens by client credentials: fetched, renewed in time and after a 401, and what a token endpoint does wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import ValidationError

from pipelines.landing import Landing
from pipelines.planning import Density
from pipelines.plant import Auth, plant_of
from pipelines.ports import Stop, Unreachable
from pipelines.ports.secrecy import without_secrets
from pipelines.timeline import HOUR_NS, Interval, parse
from pipelines.transfer import Bounds, RectangleRun, Transfer
from resources.budget import Budget
from resources.outside import Outside
from resources.pi_web_api import pace
from resources.pi_web_api.auth import login
from resources.pi_web_api.oauth import ClientCredentials
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.transport import Transport
from resources.pi_web_api.trust import Trust
from simulators.pi_web_api import Plant, Settings
from simulators.pi_web_api.faults import read_fault
from simulators.pi_web_api.gate import Gate
from simulators.pi_web_api.server import application
from simulators.pi_web_api.tokens import TOKEN_PATH, Tokens
from tests.memory import MemoryLedger, MemoryStore
from tests.unit.resources.pi_web_api.fake_plant import QUICK, URL

TOKEN_URL = f"http://plant.test{TOKEN_PATH}"
BEGIN = "2026-01-01T00:00:00Z"
SPAN = Interval(parse(BEGIN), parse(BEGIN) + 6 * HOUR_NS)
T = TypeVar("T")


class World(httpx.AsyncBaseTransport):
    """A stand-in plant with its token endpoint in this process; every request of the plant's takes a second."""

    def __init__(self, **settings: Any) -> None:
        self.now_s = 100.0
        given = Settings(points=20, hours=6, auth="bearer", **settings)
        self.gate: Gate = application(Plant(given))
        self.gate.tokens = Tokens(given, self.ticks)
        self._wire = httpx.ASGITransport(self.gate)
        self.token_forms: list[str] = []
        self.token_headers: list[httpx.Headers] = []
        self.before: Callable[[httpx.Request], Awaitable[None] | None] = lambda _: None

    def ticks(self) -> float:
        return self.now_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        waited = self.before(request)
        if waited is not None:
            await waited
        if request.url.path == TOKEN_PATH:
            self.token_forms.append(request.content.decode())
            self.token_headers.append(request.headers)
        else:
            self.now_s += 1.0
        return await self._wire.handle_async_request(request)

    def transport(self, **auth: Any) -> Transport:
        given = {"kind": "bearer", "token_url": TOKEN_URL, "client_id": "ferry-client", "client_secret_env": "SECRET"}
        entrance = ClientCredentials(Auth.model_validate(given | auth), Trust("pi1"), self, self.ticks)
        return Transport("pi1", URL, Budget(1e6), entrance, "ferry-client", patience=QUICK, wire=self)

    def do(self, work: Callable[[Transport], Awaitable[T]], **auth: Any) -> T:
        async def done() -> T:
            transport = self.transport(**auth)
            try:
                return await work(transport)
            finally:
                await transport.close()

        return asyncio.run(done())

    def fault(self, **given: Any) -> None:
        self.gate.faults.orders.append(read_fault(given))

    @property
    def issued(self) -> int:
        return self.gate.tokens.issued


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "ferry-secret")


async def once(transport: Transport) -> bytes:
    return await transport.get("system", bytes)


async def five_times(transport: Transport) -> None:
    for _ in range(5):
        await once(transport)


def test_one_token_serves_many_requests() -> None:
    world = World()
    world.do(five_times)
    assert world.issued == 1
    assert world.token_forms == ["grant_type=client_credentials"]


@pytest.mark.parametrize("settings", [{"token_s": 5.0}, {"token_requests": 3}], ids=["expires", "is refused early"])
def test_a_whole_backfill_over_several_renewals(settings: dict[str, Any], tmp_path: Path) -> None:
    world = World(**settings)

    async def moved(transport: Transport) -> tuple[bool, int]:
        source = PiWebApiSource(transport, bounds=pace.Bounds(items=2_000, expected=500, first_count=200))
        points = await source.discover()
        store = MemoryStore()
        transfer = Transfer(source, store, MemoryLedger(), Landing(tmp_path), Bounds(slice_events=5_000))  # type: ignore[arg-type]
        run = RectangleRun(transfer, {"g000": points}, slices_at_once=2, within=SPAN, density=Density())
        [result] = [each async for each in run.run([("g000", SPAN)])]
        ids = [point.id for point in points]
        return result.proved, sum(len(part) for part in store.read("pi1", ids, SPAN))

    proved, events = world.do(moved)
    assert proved and events > 1_000
    assert world.issued >= 4
    # What is told to expire is renewed before it does; what is refused early is asked for once more.
    assert (world.gate.statuses[401] == 0) == ("token_s" in settings)


def test_sources_of_one_plant_share_a_token(tmp_path: Path) -> None:
    """Each pass of a sync makes its client anew."""
    plant = plant_of(
        f'''
        [plant]
        name = "unit"
        [[source]]
        name = "pi1"
        kind = "pi_web_api"
        url = "{URL}"
        auth = {{ kind = "bearer", token_url = "{TOKEN_URL}", client_id = "c", client_secret_env = "SECRET" }}
        start = {BEGIN}
        ''',
        tmp_path / "ferry.toml",
    )
    outside, [settings] = Outside(plant), plant.source
    logins = {id(outside.source(settings)._transport._login) for _ in range(3)}  # type: ignore[attr-defined]
    assert len(logins) == 1


def test_requests_at_once_renew_once() -> None:
    world = World()

    async def work(transport: Transport) -> None:
        await asyncio.gather(*(once(transport) for _ in range(4)))
        world.gate.tokens.revoke()
        await asyncio.gather(*(once(transport) for _ in range(4)))

    world.do(work)
    assert world.issued == 2


def test_a_refusal_that_a_new_token_does_not_mend_is_one_of_the_login() -> None:
    world = World()

    async def work(transport: Transport) -> None:
        await once(transport)
        world.fault(kind="401", times=-1, path="/piwebapi/")
        await once(transport)

    with pytest.raises(Stop, match=r"as ferry-client was refused .*mapped to an identity"):
        world.do(work)
    assert world.issued == 2


def test_an_endpoint_that_is_back_in_time() -> None:
    world = World()
    world.fault(kind="503", times=2, path="connect/token")
    world.do(once)
    assert world.issued == 1


@pytest.mark.parametrize(
    "error", [503, 429, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("reset")], ids=str
)
def test_an_endpoint_that_is_down(error: Any) -> None:
    world = World()

    def strike(request: httpx.Request) -> None:
        if request.url.path == TOKEN_PATH and isinstance(error, Exception):
            raise error

    world.before = strike
    if isinstance(error, int):
        world.fault(kind=str(error), times=-1, path="connect/token")
    with pytest.raises(Unreachable, match=r"source pi1 .*token endpoint http://plant\.test/.*\(3 tries\)"):
        world.do(once)
    assert sum(world.gate.statuses.values()) == (3 if isinstance(error, int) else 0)  # nothing went to the plant


@pytest.mark.parametrize("failure", ["down", "refused"])
def test_who_waits_for_a_token_that_is_not_to_be_had_does_not_ask_again(failure: str) -> None:
    """Four at once are one refused login to an identity server, which may lock the account after some."""
    world = World(client_secret="ferry-secret" if failure == "down" else "another")
    asked = 0

    async def slow(request: httpx.Request) -> None:
        nonlocal asked
        asked += "client_secret" not in request.content.decode()
        await asyncio.sleep(0)
        world.now_s += 10.0
        if failure == "down":
            raise httpx.ConnectTimeout("slow")

    world.before = slow

    async def work(transport: Transport) -> None:
        flows = [transport._login.async_auth_flow(_request()) for _ in range(4)]  # type: ignore[union-attr]
        failed = await asyncio.gather(*(anext(flow) for flow in flows), return_exceptions=True)
        assert all(isinstance(each, Unreachable if failure == "down" else Stop) for each in failed)

    world.do(work)
    assert asked == 1


def _request() -> httpx.Request:
    waits = {"connect": 1.0, "read": 1.0, "write": 1.0, "pool": 1.0}
    return httpx.Request("GET", f"{URL}/system", extensions={"timeout": waits})


@pytest.mark.parametrize(
    ("auth", "says"),
    [
        ({"client_id": "nobody"}, r"refuses client 'nobody' \(401 invalid_client: .*the secret in SECRET"),
        ({"scope": "else"}, r"refuses client 'ferry-client' \(400 invalid_scope: Unknown scope else"),
        ({"token_url": URL}, "without an access_token: is token_url a token endpoint's"),
    ],
)
def test_a_refusal_needs_a_person(auth: dict[str, Any], says: str) -> None:
    world = World()
    with pytest.raises(Stop, match=f"source pi1: token endpoint http://plant.test/.*{says}"):
        world.do(once, **auth)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"json": {"token_type": "Bearer"}}, "without an access_token"),
        ({"json": {"access_token": "a\nb"}}, "without an access_token"),
        ({"json": {"access_token": "abc", "token_type": "mac"}}, "type 'mac': expected Bearer"),
        ({"html": "<html>sign in</html>"}, "without an access_token"),
        ({"status_code": 302, "headers": {"Location": "https://elsewhere.test"}}, "redirects to https://elsewhere"),
    ],
)
def test_answers_that_are_no_tokens(answer: dict[str, Any], says: str) -> None:
    wire = httpx.MockTransport(lambda _: httpx.Response(**{"status_code": 200, **answer}))
    with pytest.raises(Stop, match=says):
        asyncio.run(_fetched(wire))


async def _fetched(wire: httpx.AsyncBaseTransport) -> str:
    auth = Auth(kind="bearer", token_url=TOKEN_URL, client_id="c", client_secret_env="SECRET")
    flow = ClientCredentials(auth, Trust("pi1"), wire).async_auth_flow(_request())
    async with contextlib.aclosing(flow):
        return (await anext(flow)).headers["Authorization"]


@pytest.mark.parametrize("told", [None, "3600", 3600, 0, "soon"])
def test_how_long_a_token_lasts_is_told_in_many_ways(told: Any) -> None:
    body = {"access_token": "abc", "expires_in": told}
    wire = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    assert asyncio.run(_fetched(wire)) == "Bearer abc"


@pytest.mark.parametrize("place", ["header", "form"])
def test_where_a_client_shows_its_secret(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a:b/c +ü%")
    world = World(client_login=place, client_secret="a:b/c +ü%", token_requests=3)
    world.do(five_times, scope="piwebapi")
    assert world.issued == 2
    assert len(world.token_forms) == (2 if place == "header" else 3)  # asked in the other way once only


def test_tokens_and_the_secret_are_masked_in_whatever_a_server_says() -> None:
    world = World()

    async def work(transport: Transport) -> str:
        await once(transport)
        [token] = world.gate.tokens._good
        world.fault(kind="400", text=f"Authorization: Bearer {token}, {world.token_headers[0]['Authorization']}")
        with pytest.raises(Exception, match="Authorization") as caught:
            await once(transport)
        assert token not in str(caught.value) and token not in repr(transport._login)
        assert world.token_headers[0]["Authorization"].split()[1] not in str(caught.value)
        return token

    first = world.do(work)
    assert without_secrets(first) != first
    assert without_secrets("it is ferry-secret") != "it is ferry-secret"


def test_tokens_that_were_replaced_long_ago_are_no_secrets_any_more() -> None:
    """There would be ever more of them in a process that runs for months."""
    world = World(token_requests=1)
    texts: list[str] = []

    async def work(transport: Transport) -> None:
        for _ in range(4):
            await once(transport)
            texts.append(list(world.gate.tokens._good)[-1])

    world.do(work)
    assert [without_secrets(text) == text for text in texts] == [True, True, False, False]


def test_a_static_token_still_works_and_says_what_to_do_when_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_TOKEN", "ferry-token")
    world = World()

    async def work() -> None:
        entrance = login(Auth(kind="bearer", token_env="PI_TOKEN"))
        transport = Transport("pi1", URL, Budget(1e6), entrance, patience=QUICK, wire=world)
        await once(transport)
        world.fault(kind="401", times=-1)
        await once(transport)

    with pytest.raises(Stop, match=r"the token in PI_TOKEN may have expired.*token_url, client_id and client_secret"):
        asyncio.run(work())


@pytest.mark.parametrize(
    "given",
    [
        {"token_url": TOKEN_URL, "client_id": "c"},
        {"token_url": TOKEN_URL, "client_id": "c", "client_secret_env": "S", "token_env": "T"},
        {"token_url": "plant.test/token", "client_id": "c", "client_secret_env": "S"},
        {"token_url": "https://c:s@plant.test/token", "client_id": "c", "client_secret_env": "S"},
        {},
    ],
)
def test_settings_that_will_not_do(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Auth.model_validate({"kind": "bearer", **given})
