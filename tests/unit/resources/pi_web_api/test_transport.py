"""Retries, budgets, quiet hours, logins, and what a refusal means."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import logging
import ssl
from collections.abc import Generator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.plant import Auth, SourceSettings
from pipelines.ports import FerryError, Retry, Stop, Unreachable
from resources.budget import Budget
from resources.pi_web_api import auth as auth_module
from resources.pi_web_api.auth import login
from resources.pi_web_api.pace import Bounds, Pace
from resources.pi_web_api.refusals import Refused, TooMuch, Trouble, refusal, seconds_of
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.streams import identity
from resources.pi_web_api.transport import Patience, Transport
from resources.pi_web_api.trust import Trust
from resources.pi_web_api.wire import Broken
from tests.unit.resources.pi_web_api.fake_plant import QUICK, URL


def asked(answers: list[Any], patience: Patience = QUICK, **options: Any) -> tuple[bytes, list[httpx.Request]]:
    """GETs once against these answers or exceptions, the last one for ever."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        found = answers[min(len(seen), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(*found[:1], **found[1])

    async def work() -> bytes:
        budget = options.pop("budget", Budget(1e6))
        transport = Transport("pi1", URL, budget, patience=patience, wire=httpx.MockTransport(answer), **options)
        try:
            return await transport.get("system", bytes)
        finally:
            await transport.close()

    return asyncio.run(work()), seen


OK = (200, {"content": b"ok"})


@pytest.mark.parametrize(
    "first",
    [
        (429, {"json": {"Message": "Rate limit was reached"}}),
        (429, {"headers": {"Retry-After": "0"}}),
        (500, {"json": {"Errors": ["PINET"]}}),
        (502, {}),
        (503, {}),
        (504, {}),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("cut"),
        httpx.DecodingError("gzip"),
    ],
)
def test_what_is_tried_again(first: Any) -> None:
    body, seen = asked([first, OK])
    assert body == b"ok" and len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        ((429, {"headers": {"Retry-After": "0.01"}}), Trouble, 3),
        ((503, {}), Retry, 3),
        (httpx.ConnectError("refused"), Unreachable, 3),
        (httpx.ReadError("reset"), Trouble, 3),
        (httpx.ReadTimeout("slow"), Unreachable, 2),  # the second asks whether it answers anything
        (
            (400, {"json": {"Errors": ["Parameter 'maxCount' is greater than the maximum allowed (150000)."]}}),
            TooMuch,
            1,
        ),
        ((413, {}), TooMuch, 1),
        ((414, {}), TooMuch, 1),
        ((400, {"json": "bad"}), Refused, 1),
        ((404, {}), Refused, 1),
        ((409, {}), Refused, 1),
        ((501, {}), Refused, 1),
        ((401, {}), Stop, 1),
        ((403, {}), Stop, 2),  # the second asks whether the login works for anything
        ((302, {"headers": {"Location": "http://login"}}), Stop, 1),
        ((200, {"headers": {"Content-Type": "text/html; charset=utf-8"}}), Stop, 1),
        (httpx.UnsupportedProtocol("x"), Stop, 1),
    ],
)
def test_what_is_given_up(answer: Any, error: type[Exception], tries: int) -> None:
    seen = 0

    def counted(request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer[0], **answer[1])

    async def work() -> None:
        transport = Transport("pi1", URL, Budget(1e6), patience=QUICK, wire=httpx.MockTransport(counted))
        await transport.get("x", bytes)

    with pytest.raises(error):
        asyncio.run(work())
    assert seen == tries


def test_a_server_that_answers_something_else_was_asked_too_much() -> None:
    def busy(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/system/status"):
            return httpx.Response(401)
        raise httpx.ReadTimeout("slow")

    async def work() -> None:
        transport = Transport("pi1", URL, Budget(1e6), patience=QUICK, wire=httpx.MockTransport(busy))
        await transport.get("x", bytes)

    with pytest.raises(TooMuch, match="no whole answer"):
        asyncio.run(work())


@pytest.mark.parametrize("error", [httpx.ReadError(""), httpx.ConnectTimeout("")])
def test_a_failure_without_words_is_named(error: Exception) -> None:
    with pytest.raises(Retry, match=type(error).__name__):
        asked([error])


@pytest.mark.parametrize(("lasting", "tries"), [(False, QUICK.tries), (True, 1)])
def test_a_broken_body_is_tried_again_then_given_up(lasting: bool, tries: int) -> None:
    read: list[bytes] = []

    def refuse(body: bytes) -> bytes:
        read.append(body)
        raise Broken("cut short", lasting=lasting)

    async def work() -> None:
        transport = Transport(
            "pi1", URL, Budget(1e6), patience=QUICK, wire=httpx.MockTransport(lambda _: httpx.Response(200))
        )
        await transport.get("x", refuse)

    with pytest.raises(Trouble, match="cut short") as caught:
        asyncio.run(work())
    assert caught.value.personal and caught.value.exhausted
    assert len(read) == tries


def test_a_server_that_dribbles_is_not_waited_for() -> None:
    async def dribble(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5)
        return httpx.Response(200)

    async def work() -> None:
        patience = Patience(tries=2, whole_s=0.05)
        transport = Transport("pi1", URL, Budget(1e6), patience=patience, wire=httpx.MockTransport(dribble))
        await transport.get("x", bytes)

    with pytest.raises(TooMuch):
        asyncio.run(work())


def test_tls_failures_need_a_person() -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    with pytest.raises(Stop, match="ca_file"):
        asked([error])


@pytest.mark.parametrize(
    "url", ["", "plant.test/piwebapi", "ftp://plant.test", "https://user:secret@plant.test/piwebapi"]
)
def test_urls_that_will_not_do(url: str) -> None:
    with pytest.raises(Stop, match="source pi1") as caught:
        Transport("pi1", url, Budget(1))
    assert "secret" not in str(caught.value)


def test_a_missing_ca_file() -> None:
    with pytest.raises(Stop, match=r"ca_file /nowhere\.pem"):
        Transport("pi1", "https://plant.test", Budget(1), trust=Trust("pi1", "/nowhere.pem"))


def test_every_request_passes_the_csrf_defence() -> None:
    _, seen = asked([OK])
    assert seen[0].headers["X-Requested-With"] and "gzip" in seen[0].headers["Accept-Encoding"]


def test_one_source_in_several_event_loops() -> None:
    transport = Transport(
        "pi1", URL, Budget(1e6), patience=QUICK, wire=httpx.MockTransport(lambda _: httpx.Response(200))
    )

    async def work() -> None:
        await transport.get("x", bytes)
        assert await transport.apart(lambda: 5, 10**6) == 5
        await transport.close()

    for _ in range(3):
        asyncio.run(work())


def test_secrets_show_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PI_PASSWORD", "geheim1")
    monkeypatch.setenv("PI_TOKEN", "geheim2")
    caplog.set_level(logging.DEBUG)
    for auth in (
        Auth(kind="basic", username="ferry", password_env="PI_PASSWORD"),
        Auth(kind="bearer", token_env="PI_TOKEN"),
    ):
        entrance = login(auth)
        assert entrance is not None and "geheim" not in repr(entrance)
        with pytest.raises(Stop, match=r"ferry|nobody") as caught:
            asked([(401, {"json": {"Message": "no"}})], login=entrance, user=auth.username)
        assert "geheim" not in str(caught.value)
        _, seen = asked([OK], login=entrance)
        assert seen[0].headers["Authorization"].startswith(auth.kind.capitalize())
    assert "geheim" not in caplog.text


def test_a_secret_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PI_PASSWORD", raising=False)
    settings = SourceSettings(
        name="pi1",
        kind="pi_web_api",
        url=URL,
        start="2026-01-01T00:00:00Z",  # type: ignore[arg-type]
        auth=Auth(kind="basic", username="ferry", password_env="PI_PASSWORD"),
    )
    with pytest.raises(Stop, match="PI_PASSWORD"):
        PiWebApiSource.from_settings(settings)


def test_extras_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_PASSWORD", "x")

    def gone(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(auth_module.importlib, "import_module", gone)
    with pytest.raises(Stop, match=r"historian-ferry\[kerberos\]"):
        login(Auth(kind="kerberos"))
    with pytest.raises(Stop, match=r"historian-ferry\[ntlm\]"):
        login(Auth(kind="ntlm", username="u", password_env="PI_PASSWORD"))


def test_ntlm_against_an_acceptor_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The whole exchange with pyspnego's own NTLM acceptor; no Windows server was there to try."""
    pytest.importorskip("httpx_ntlm")
    spnego = pytest.importorskip("spnego")
    users = tmp_path / "users"
    users.write_text("PLANT:ferry:geheim\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    monkeypatch.setenv("PI_PASSWORD", "geheim")
    acceptor = spnego.server(protocol="ntlm")

    def answer(request: httpx.Request) -> httpx.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "NTLM":
            return httpx.Response(401, headers={"WWW-Authenticate": "NTLM"})
        reply = acceptor.step(base64.b64decode(token))
        if acceptor.complete:
            return httpx.Response(200, content=acceptor.client_principal.encode())
        return httpx.Response(401, headers={"WWW-Authenticate": "NTLM " + base64.b64encode(reply or b"").decode()})

    async def work() -> bytes:
        entrance = login(Auth(kind="ntlm", username="PLANT\\ferry", password_env="PI_PASSWORD"))
        assert "geheim" not in repr(entrance)
        transport = Transport("pi1", URL, Budget(1e6), entrance, patience=QUICK, wire=httpx.MockTransport(answer))
        return await transport.get("system", bytes)

    assert b"ferry" in asyncio.run(work())


def test_a_login_that_fails_in_its_own_way_needs_a_person() -> None:
    class Ticketless(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            raise LookupError("no ticket")
            yield request

    with pytest.raises(Stop, match="LookupError: no ticket"):
        asked([OK], login=Ticketless(), user="ferry")


class Ticking:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_budget_never_gives_more_than_its_rate() -> None:
    ticks = Ticking()
    budget = Budget(10.0, ticks=ticks)
    turns = []
    for _ in range(50):
        turns.append(ticks.now + budget.reserve())
        ticks.now += 0.01
    for first in range(len(turns)):
        within = [turn for turn in turns if turns[first] <= turn < turns[first] + 1.0]
        assert len(within) <= 10 + 3
    assert turns[-1] - turns[0] > 4.5


def test_budget_after_a_rest_gives_a_small_burst_only() -> None:
    ticks = Ticking()
    budget = Budget(100.0, ticks=ticks)
    ticks.now += 1_000
    assert sum(1 for _ in range(100) if budget.reserve() == 0.0) == 25


def test_a_pause_holds_everybody_back() -> None:
    ticks = Ticking()
    budget = Budget(100.0, ticks=ticks)
    budget.pause(7.0)
    assert budget.reserve() == pytest.approx(7.0)
    assert budget.reserve() == pytest.approx(7.01)


@pytest.mark.parametrize(
    ("hours", "at", "left_s"),
    [
        (("22:00-06:00",), "23:00", 7 * 3600),
        (("22:00-06:00",), "05:59", 60),
        (("22:00-06:00",), "06:00", 0),
        (("22:00-06:00",), "12:00", 0),
        (("08:00-09:00", "09:00-10:30"), "08:30", 2 * 3600),
        ((), "08:30", 0),
        (("08:00-08:00",), "08:00", 0),
    ],
)
def test_quiet_hours(hours: tuple[str, ...], at: str, left_s: float) -> None:
    hour, minute = at.split(":")
    budget = Budget(1.0, hours, clock=lambda: 20_000 * 86_400 + int(hour) * 3600 + int(minute) * 60.0)
    assert budget.quiet_left_s() == left_s
    if left_s:
        with pytest.raises(Retry, match="quiet hours") as caught:
            asked([OK], budget=budget)
        assert caught.value.after_s == left_s


def test_a_429_holds_the_other_requests_back_too() -> None:
    budget = Budget(1e6)
    paused: list[float] = []
    budget.pause = paused.append  # type: ignore[method-assign]
    asked([(429, {"headers": {"Retry-After": "0.01"}}), OK], budget=budget)
    assert paused == [0.01]


def test_retry_after() -> None:
    assert seconds_of("3") == 3.0 and seconds_of(None) == 0.0 and seconds_of("soon") == 0.0 and seconds_of("-1") == 0.0
    assert seconds_of("nan") == 0.0 and seconds_of("1e9") == 600.0
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert 25 < seconds_of(format_datetime(later, usegmt=True)) <= 30


def test_the_limit_that_a_server_names_is_kept() -> None:
    error = refusal(400, "Parameter 'maxCount' is greater than the maximum allowed (5000).")
    assert isinstance(error, TooMuch) and error.limit == 5_000
    pace = Pace(Bounds())
    pace.refused(error, 1, 150_000)
    for _ in range(50):
        pace.served(1, 10, 1.0)
    width, count = pace.shape(1.0, 10**9)
    assert pace.most == 5_000 and width * count <= 5_000


def test_pace_shrinks_at_once_and_grows_back() -> None:
    pace = Pace(Bounds())
    pace.refused(TooMuch("slow", "time"), 100, 1_500)
    assert pace.items == 75_000 and pace.width == 50
    pace.refused(TooMuch("slow", "time"), 100, 0)
    assert pace.items == 75_000
    for _ in range(60):
        pace.served(0, 0, 0.0)
    assert pace.items == 150_000 and pace.width == 1e6


def test_pace_follows_the_density() -> None:
    pace = Pace(Bounds(items=10_000, expected=1_000, first_count=100))
    assert pace.shape(3_600.0, 10**9) == (100, 100)
    for _ in range(20):
        pace.served(10, 100, 3_600.0)  # ten events a point and hour
    width, count = pace.shape(3_600.0, 10**9)
    assert 70 <= width <= 80 and count >= 100
    assert pace.shape(360.0, 10**9)[0] > 500


def test_full_and_short_web_ids_name_the_same_point() -> None:
    short = "I1DPa70Wf0zBA06CLkV9ovNQgQCAAAAA"
    assert identity(short) == identity("F" + short[1:] + "UElTUlYxXFNJTlVTT0lE")
    assert identity("P1DPUElTUlYxXFNJTlVTT0lE") == "P1DPUElTUlYxXFNJTlVTT0lE"


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_server_that_says_back_the_login_does_not_spread_it(
    kind: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand in manifests, the ledger, Dagster's log and the report."""
    monkeypatch.setenv("FERRY_TEST_SECRET", "s3cret/w0rd")
    auth = Auth.model_validate(
        {"kind": "basic", "username": "op", "password_env": "FERRY_TEST_SECRET"}
        if kind == "basic"
        else {"kind": "bearer", "token_env": "FERRY_TEST_SECRET"}
    )
    header = "Basic " + base64.b64encode(b"op:s3cret/w0rd").decode() if kind == "basic" else "Bearer s3cret/w0rd"
    echo = (status, {"json": {"Message": f"Authorization: {header}; ?password=s3cret%2Fw0rd"}})
    with pytest.raises(FerryError) as caught:
        asked([echo], login=login(auth))
    said = str(caught.value)
    assert "Authorization" in said
    assert not any(each in said for each in ("s3cret", header.split()[1])), said
