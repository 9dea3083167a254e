"""Access tokens by OAuth2 client credentials (RFC 6749, 4.4), fetched when they are needed and renewed in time.

PI Web API takes them as Bearer tokens where AVEVA Identity Manager is set up (facts/historians.md 1.11). Our own, as
libraries for httpx block the event loop while they ask and do not tell a token endpoint that is down from one that
refuses.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus
from weakref import WeakKeyDictionary

import httpx

from pipelines.plant import Auth, secret
from pipelines.ports import FerryError, Stop, Unreachable
from pipelines.ports.secrecy import forget, guard
from resources.pi_web_api.refusals import seconds_of
from resources.pi_web_api.trust import Trust, tls_error

_MARGIN_S = 60.0
"""So long before its end a token is renewed, or for a fifth of its life where that is shorter."""
_SAID_MAX = 300


@dataclass(slots=True)
class _Token:
    text: str
    renew_at_s: float
    after_refusal: bool
    """It took the place of one that the server refused before its time."""
    worked: bool = False


class ClientCredentials(httpx.Auth):
    """A bearer token that is renewed shortly before it expires, and once when the server refuses it before that.

    May be used from several event loops. `ticks` gives monotonic seconds. Requests raise Unreachable while the token
    endpoint is down, Stop when it refuses the client.
    """

    cure = "; its token is new: is the client id mapped to an identity of PI's, and its scope or audience right?"

    def __init__(
        self,
        auth: Auth,
        trust: Trust,
        wire: httpx.AsyncBaseTransport | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auth, self._trust, self._wire, self._ticks = auth, trust, wire, ticks
        self._secret = secret(auth.client_secret_env)
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
        self._basic = b64encode(pair.encode()).decode()
        guard(self._basic)
        self._in_body = False
        """The endpoint takes id and secret in the form only."""
        self._token: _Token | None = None
        self._before = ""
        self._failed_s = -1.0
        self._failure: FerryError | None = None
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return "ClientCredentials(…)"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Not offered."""
        raise NotImplementedError

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the header; asks a second time with a new token when the server refuses this one."""
        token = self._token
        if token is None or self._ticks() >= token.renew_at_s:
            token = await self._renewed(token, request)
        response = yield _with(request, token)
        if response.status_code != 401:
            token.worked = True
        elif token.worked or not token.after_refusal:  # a new one that was refused too is not the matter
            token = await self._renewed(token, request, after_refusal=True)
            response = yield _with(request, token)
            token.worked = response.status_code != 401

    async def _renewed(self, old: _Token | None, request: httpx.Request, after_refusal: bool = False) -> _Token:
        """A newer token than `old`, fetched once for all who wait for one. Raises Unreachable, Stop."""
        asked_s = self._ticks()
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._token is not None and self._token is not old:
                return self._token
            if self._failure is not None and self._failed_s > asked_s:  # while this one waited
                raise self._failure
            try:
                text, life_s = await self._fetched(httpx.Timeout(**request.extensions["timeout"]))
            except FerryError as error:
                self._failed_s, self._failure = self._ticks(), error
                raise
            guard(text)
            forget(self._before)  # the last one may still be on its way
            self._before = old.text if old else ""
            margin_s = min(_MARGIN_S, life_s / 5)
            self._token = _Token(text, asked_s + life_s - margin_s, after_refusal)
            return self._token

    async def _fetched(self, timeout: httpx.Timeout) -> tuple[str, float]:
        """A token and its life in seconds, endless where the endpoint names none. Raises Unreachable, Stop."""
        url = self._auth.token_url
        tls = self._trust.context(url)
        async with httpx.AsyncClient(verify=tls, timeout=timeout, transport=self._wire) as client:
            answer = await self._answer(client)
            if answer.status_code in (400, 401) and _error(answer) in ("invalid_client", "invalid_request"):
                # Some take what the standard leaves open, id and secret in the form, and not what it demands.
                self._in_body = not self._in_body
                other = await self._answer(client)
                if other.status_code == 200:
                    answer = other
                else:
                    self._in_body = not self._in_body
        return self._read(answer)

    async def _answer(self, client: httpx.AsyncClient) -> httpx.Response:
        form = {"grant_type": "client_credentials", "scope": self._auth.scope, "audience": self._auth.audience}
        headers = {"Accept": "application/json"}
        if self._in_body:
            form |= {"client_id": self._auth.client_id, "client_secret": self._secret}
        else:
            headers["Authorization"] = f"Basic {self._basic}"
        url = self._auth.token_url
        try:
            sent = {name: text for name, text in form.items() if text}
            return await client.post(url, data=sent, headers=headers)
        except httpx.TimeoutException:
            raise Unreachable(f"{self._endpoint()} gives no answer in time") from None
        except httpx.TransportError as error:
            if (tls := tls_error(error)) is not None:
                raise Stop(f"source {self._trust.source}: {self._trust.told(self._endpoint(), url, tls)}") from None
            raise Unreachable(f"{self._endpoint()}: {str(error) or type(error).__name__}") from None

    def _read(self, answer: httpx.Response) -> tuple[str, float]:
        status = answer.status_code
        if status in (408, 429) or status >= 500:
            wait_s = seconds_of(answer.headers.get("Retry-After"))
            raise Unreachable(f"{self._endpoint()} answers {_said(answer)}", wait_s)
        where = f"source {self._trust.source}: {self._endpoint()}"
        if status in range(300, 400):
            raise Stop(f"{where} redirects to {answer.headers.get('Location', 'nowhere')}; use that token_url")
        if status != 200 and _error(answer):
            raise Stop(
                f"{where} refuses client {self._auth.client_id!r} ({_said(answer)}); check client_id, the secret in "
                f"{self._auth.client_secret_env}, scope and audience"
            )
        found = _object(answer) if status == 200 else {}
        token, kind = found.get("access_token"), str(found.get("token_type", "bearer"))
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise Stop(f"{where} answers {status} without an access_token: is token_url a token endpoint's?")
        if kind.lower() != "bearer":
            raise Stop(f"{where} gives tokens of type {kind!r}: expected Bearer")
        return token, _life_s(found.get("expires_in"))

    def _endpoint(self) -> str:
        return f"token endpoint {self._auth.token_url}"


def _with(request: httpx.Request, token: _Token) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token.text}"
    return request


def _life_s(told: Any) -> float:
    """`expires_in`, a number or, of some, a text; endless where nothing can be made of it: a 401 ends it then."""
    try:
        life_s = float(told)
    except (TypeError, ValueError):
        return float("inf")
    return life_s if life_s > 0 else float("inf")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(answer: httpx.Response) -> str:
    """The error's code (RFC 6749, 5.2); '' where the answer is none of a token endpoint."""
    return str(_object(answer).get("error", ""))


def _said(answer: httpx.Response) -> str:
    found = _object(answer)
    words = ": ".join(str(found[key]) for key in ("error", "error_description") if found.get(key))
    return f"{answer.status_code} {' '.join(words.split())[:_SAID_MAX]}".strip()
