"""Requests to one PI Web API over HTTP/1.1 keep-alive, with every transport retry that there is.

Nothing else in the product retries a request: callers see Trouble or Unreachable (both Retry) when patience is over,
TooMuch when less must be asked, Refused for an answer that will stay the same, Stop for a person.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import httpx
import msgspec
import tenacity

from pipelines.ports import FerryError, Stop, Unreachable
from resources.budget import Budget
from resources.pi_web_api.auth import cure
from resources.pi_web_api.refusals import Denied, TimedOut, TooMuch, Trouble, refusal, seconds_of
from resources.pi_web_api.trust import Trust, tls_error
from resources.pi_web_api.wire import Broken, complaint_in
from resources.silence import telling

T = TypeVar("T")
_HEADERS = {"Accept": "application/json", "X-Requested-With": "historian-ferry"}  # the latter: CSRF defence
BODY_BYTES = 256 << 20
"""More than any answer that is asked for without a bound: a page of points, or one event."""
_INLINE_BYTES = 32_768  # smaller bodies are read faster here than they are handed to another thread


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a request is tried."""

    tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0
    connect_s: float = 10.0
    read_s: float = 60.0
    whole_s: float = 300.0  # of one try, against a server that sends a byte at a time


class _Faltered(Exception):
    """One try failed in a way that another may not."""

    def __init__(
        self,
        message: str,
        status: int = 0,
        after_s: float = 0.0,
        unreachable: bool = False,
        timed_out: bool = False,
    ) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.status = status
        self.after_s = after_s
        self.unreachable = unreachable


@dataclass(slots=True)
class _Session:
    client: httpx.AsyncClient
    gate: asyncio.Semaphore


class Transport:
    """The one way to a server. May be used from several event loops; each has its own connections."""

    def __init__(
        self,
        source: str,
        url: str,
        budget: Budget,
        login: httpx.Auth | None = None,
        user: str = "",
        concurrency: int = 4,
        trust: Trust | None = None,
        patience: Patience | None = None,
        wire: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.source = source
        self.url = _address(source, url)
        self.budget = budget
        self.concurrency = concurrency
        self.patience = patience or Patience()
        self._login = login
        self._user = user
        self._wire = wire
        self._trust = trust or Trust(source)
        self._tls = self._trust.context(self.url)
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, _Session] = WeakKeyDictionary()
        self._reader: ThreadPoolExecutor | None = None
        self._answered = False  # with JSON, once

    async def get(self, path: str, read: Callable[[bytes], T], most_bytes: int = BODY_BYTES) -> T:
        """GETs `path` (with its query, under the base URL) and reads the body with `read`.

        Of a body that has more than `most_bytes` no more is taken: TooMuch.
        """
        return await self._tried("GET", path, None, read, most_bytes)

    async def post(self, path: str, body: object, read: Callable[[bytes], T], most_bytes: int = BODY_BYTES) -> T:
        """POSTs JSON, or nothing. Only for what may be sent twice: a batch of GETs, a registration for updates."""
        return await self._tried("POST", path, None if body is None else msgspec.json.encode(body), read, most_bytes)

    async def apart(self, work: Callable[[], T], size_bytes: int) -> T:
        """Does `work` in the reader thread when it is big enough to hold the event loop up."""
        if size_bytes < _INLINE_BYTES:
            return work()
        if self._reader is None:
            # One thread: reading JSON holds the interpreter's lock, two would only hold two pages in memory.
            self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{self.source}-reader")
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    async def close(self) -> None:
        """Closes this loop's connections and the reader; may be called twice. A later request opens them again."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.client.aclose()
        if self._reader is not None:
            self._reader.shutdown(wait=False, cancel_futures=True)
            self._reader = None

    async def _tried(
        self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T], most_bytes: int
    ) -> T:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Faltered),
            stop=self._enough,
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return await retrying(self._once, method, path, body, read, most_bytes)
        except _Faltered as error:
            message = f"{self._who()}: {error} ({self.patience.tries} tries)"
            if error.unreachable:
                raise Unreachable(message, after_s=self.patience.longest_wait_s) from None
            after_s = error.after_s or self.patience.longest_wait_s
            if (error.timed_out or error.status == 502) and await self._answers(self._session().client):
                raise TooMuch(message, "time") from None  # perhaps a gateway's own limit: it is asked for less
            raise Trouble(message, error.status, after_s, exhausted=True) from None

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        """Timeouts are not waited for more than twice."""
        error = state.outcome.exception() if state.outcome else None
        timed_out = isinstance(error, _Faltered) and error.timed_out
        return state.attempt_number >= (min(2, self.patience.tries) if timed_out else self.patience.tries)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished_s = error.after_s if isinstance(error, _Faltered) else 0.0
        if wished_s:
            return wished_s
        backoff = tenacity.wait_random_exponential(self.patience.first_wait_s, self.patience.longest_wait_s)
        return backoff(state)

    async def _once(self, method: str, path: str, body: bytes | None, read: Callable[[bytes], T], most_bytes: int) -> T:
        session = self._session()
        async with session.gate:
            await self.budget.admit()
            response, content = await self._sent(session.client, method, path, body, most_bytes)
        status = response.status_code
        if status in (200, 201, 207):
            return await self._read(response, content, read)
        if status in range(300, 400):
            raise Stop(f"{self._who()}: redirects to {response.headers.get('Location', 'nowhere')}; use that url")
        error = refusal(status, complaint_in(content), seconds_of(response.headers.get("Retry-After")))
        if isinstance(error, Denied) and not (status == 403 and await self._lets_in(session.client)):
            todo = cure(self._login) if status == 401 else ""
            raise Stop(f"{self._who()}: the login as {self._user or 'nobody'} was refused ({error}){todo}")
        if isinstance(error, Trouble):
            if error.after_s or error.status == 429:
                self.budget.pause(error.after_s or self.patience.first_wait_s)
            raise _Faltered(str(error), error.status, error.after_s, timed_out=isinstance(error, TimedOut))
        raise error

    async def _sent(
        self, client: httpx.AsyncClient, method: str, path: str, body: bytes | None, most_bytes: int
    ) -> tuple[httpx.Response, bytes]:
        """The answer and its body. Raises TooMuch for a longer one."""
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            with telling(self._who()):
                async with asyncio.timeout(self.patience.whole_s):
                    asked = client.stream(method, f"{self.url}/{path}", content=body, headers=headers)
                    async with asked as response:
                        return response, await self._body(response, most_bytes)
        except Unreachable as error:  # what the login needs: a token endpoint, a KDC
            raise _Faltered(str(error), after_s=error.after_s, unreachable=True) from None
        except FerryError:
            raise
        except (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError):
            waited = f"{self._who()}: no whole answer within {self.patience.read_s:.0f} s"
            if not await self._answers(client):
                raise Unreachable(
                    f"{waited}, and none to anything else: is its process stopped?", self.patience.longest_wait_s
                ) from None
            raise TooMuch(waited, "time") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if (tls := tls_error(error)) is not None:
                raise Stop(self._trust.told(self._who(), self.url, tls)) from None
            raise _Faltered(f"nobody answers: {str(error) or type(error).__name__}", unreachable=True) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Stop(f"{self._who()}: not a URL of a server: {error}") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Faltered(f"broken connection: {str(error) or type(error).__name__}") from None
        except Exception as error:
            if self._login is None:
                raise
            # Kerberos and NTLM raise what their libraries please: no ticket, an answer out of turn.
            text = f"{type(error).__name__}: {error}"
            raise Stop(f"{self._who()}: the login as {self._user or 'nobody'} failed ({text})") from None

    async def _body(self, response: httpx.Response, most_bytes: int) -> bytes:
        """Raises TooMuch for a longer one, of which no more is taken."""
        found = bytearray()
        async for part in response.aiter_bytes():
            found += part
            if len(found) > most_bytes:
                raise TooMuch(f"{self._who()}: more than {most_bytes >> 20} MiB in one answer", "bytes")
        return bytes(found)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        """Whether anything is answered: a server that is stopped goes on taking questions."""
        try:
            response = await client.get(f"{self.url}/system/status", timeout=self.patience.connect_s)
        except Exception:  # whatever it is, a login's library may raise it
            return False
        return response.status_code not in (408, 502, 503, 504)

    async def _lets_in(self, client: httpx.AsyncClient) -> bool:
        """Whether the login works, so that a 403 is about what was asked for: it worked before, or does for a list."""
        if not self._answered:
            await self.budget.admit()
            with contextlib.suppress(httpx.HTTPError):
                found = await client.get(f"{self.url}/dataservers?selectedFields=Items.Name")
                self._answered = found.status_code == 200 and "html" not in found.headers.get("Content-Type", "")
        return self._answered

    async def _read(self, response: httpx.Response, body: bytes, read: Callable[[bytes], T]) -> T:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            if self._answered:
                raise _Faltered("a web page in the place of an answer", status=502)
            raise Stop(f"{self._who()}: answered with a web page, not with JSON: is this the address of PI Web API?")
        try:
            found = await self.apart(lambda: read(body), len(body))
        except Broken as error:
            if error.lasting:
                raise Trouble(f"{self._who()}: {error}", 200, exhausted=True) from None
            raise _Faltered(str(error), status=200) from None
        self._answered = True
        return found

    def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            waits = httpx.Timeout(self.patience.read_s, connect=self.patience.connect_s)
            # The gate bounds them. A pool with a bound loses places to requests that are cancelled (httpcore 1.0),
            # until every request waits for a place that never comes.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
            client = httpx.AsyncClient(
                auth=self._login,
                headers=_HEADERS,
                timeout=waits,
                limits=limits,
                verify=self._tls,
                transport=self._wire,
            )
            session = self._sessions[loop] = _Session(client, asyncio.Semaphore(self.concurrency))
        return session

    def _who(self) -> str:
        return f"source {self.source} at {self.url}"


def _address(source: str, url: str) -> str:
    """The base URL without a slash at its end. Raises Stop for one that is no URL or holds a password."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Stop(f"source {source}: url is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Stop(f"source {source}: url must look like https://server.example/piwebapi")
    if parsed.userinfo:
        raise Stop(f"source {source}: url holds a login; name the user and password_env under auth instead")
    return url.rstrip("/")
