"""The door of the server: limits, identity, CSRF defence and faults, before any endpoint sees a request.

Source: facts/historians.md 1.6, 1.10, 1.11.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from simulators.pi_web_api import batches, routes
from simulators.pi_web_api.exchange import Answer, Question, RefusalError, parameters_of
from simulators.pi_web_api.faults import BODY_KINDS, PART_KINDS, Fault, Faults, refusal
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.tokens import TOKEN_PATH, Tokens

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_WINDOW_S = 1.0  # RateLimitDuration
_CONTROL = "/_plant"
_CUT_EVERY = 2  # `cut` sends this part of the body


class Gate:
    """The ASGI application of the stand-in: PI Web API under its base path, `control` for everything else."""

    def __init__(self, service: Service, control: App) -> None:
        self.service, self.control = service, control
        self.settings = service.settings
        self.faults = Faults(self.settings.seed, service.catalogue.web_ids)
        self.tokens = Tokens(self.settings)
        self.clear()

    def clear(self) -> None:
        """Counters back to zero."""
        self.requests = self.sub_requests = self.most_in_1s = self.body_bytes = 0
        self.in_flight = self.most_in_flight = 0
        self.statuses: Counter[int] = Counter()
        self._recent: deque[float] = deque()  # of all requests, for the statistics
        self._admitted: deque[float] = deque()  # of those that used up the rate limit
        self.service.events_served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path.lower() == TOKEN_PATH:
            await self._one(scope, receive, send, self.tokens.answered)
            return
        if scope["type"] != "http" or not path.lower().startswith(batches.BASE_PATH):
            await self.control(scope, receive, send)
            return
        if path[len(batches.BASE_PATH) :].startswith(_CONTROL):
            scope["path"] = path[len(batches.BASE_PATH) :]
            await self.control(scope, receive, send)
            return
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._count()
        try:
            await self._one(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _one(
        self, scope: Scope, receive: Receive, send: Send, apart: Callable[[dict[str, str], bytes], Answer] | None = None
    ) -> None:
        """One request; `apart` answers what is no part of PI Web API, and needs no login."""
        headers = {name.decode().lower(): text.decode("latin-1") for name, text in scope["headers"]}
        target = scope["raw_path"].decode("latin-1") + "?" + scope["query_string"].decode("latin-1")
        fault: Fault | None = None
        try:
            if apart is None:
                self._check(scope, headers, target)
            body = await self._body(receive)
            fault = self.faults.pick(unquote(target))
            if fault is not None:
                if fault.kind == "reset":
                    _reset(send)
                    return
                if fault.kind == "slow":
                    await asyncio.sleep(fault.seconds)
                elif fault.kind.isdigit():
                    raise self._challenged(refusal(fault))
            answer = self._answer(scope, headers, body) if apart is None else apart(headers, body)
            if fault is not None and fault.kind in BODY_KINDS + PART_KINDS:
                answer = self.faults.spoilt(fault, answer)
        except RefusalError as error:
            answer = error.answer()
        await self._reply(answer, headers, send, fault is not None and fault.kind == "cut")

    def _answer(self, scope: Scope, headers: dict[str, str], body: bytes) -> Answer:
        base = f"{scope.get('scheme', 'http')}://{headers.get('host', '127.0.0.1')}{batches.BASE_PATH}"
        path = scope["path"][len(batches.BASE_PATH) :].rstrip("/")
        query = parameters_of(scope["query_string"].decode("latin-1"))
        question = Question(scope["method"], path, query, base, body)
        if path.lower() == "/batch":
            if question.method != "POST":
                text = f"The requested resource does not support http method '{question.method}'."
                raise RefusalError(405, text, "Message")
            return batches.answered(question, self._inside_batch)
        return routes.answered(self.service, question)

    def _inside_batch(self, question: Question) -> Answer:
        self.sub_requests += 1
        try:
            if self.settings.count_batch_items:
                self._admit()
            fault = self.faults.pick(question.path, inside_batch=True)
            if fault is not None and fault.kind.isdigit():
                raise refusal(fault)
            answer = routes.answered(self.service, question)
            return answer if fault is None else self.faults.spoilt(fault, answer)
        except RefusalError as error:
            return error.answer()

    def _count(self) -> None:
        now = time.monotonic()
        self.requests += 1
        self._recent.append(now)
        while self._recent[0] <= now - _WINDOW_S:
            self._recent.popleft()
        self.most_in_1s = max(self.most_in_1s, len(self._recent))

    def _admit(self) -> None:
        """Takes one request from the rate limit. Raises RefusalError."""
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - _WINDOW_S:
            self._admitted.popleft()
        if self.settings.rate_limit and len(self._admitted) >= self.settings.rate_limit:
            raise RefusalError(429, "Rate limit was reached", "Message")
        self._admitted.append(now)

    def _check(self, scope: Scope, headers: dict[str, str], target: str) -> None:
        if len(target) > self.settings.max_url_bytes:
            raise RefusalError(414, "The request URI is too long.", "Message")
        self._admit()
        if not self._known(headers.get("authorization", "")):
            text = "Authorization has been denied for this request."
            raise self._challenged(RefusalError(401, text, "Message"))
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and "x-requested-with" not in headers:
            # To register for updates, a POST without a body, is then a bad request; all else is forbidden.
            registers = scope["method"] == "POST" and scope["path"].rstrip("/").lower().endswith("/updates")
            text = "The request lacks an X-Requested-With header (CSRF defense)."
            raise RefusalError(400 if registers else 403, text, "Message")

    def _known(self, given: str) -> bool:
        settings = self.settings
        if settings.auth == "none":
            return True
        scheme, _, rest = given.partition(" ")
        if settings.auth == "bearer" and scheme.lower() == "bearer" and self.tokens.taken(rest.strip()):
            return True
        if settings.auth == "bearer":
            wanted, expected = "bearer", settings.token
        else:
            pair = f"{settings.username}:{settings.password}".encode()
            wanted, expected = "basic", base64.b64encode(pair).decode()
        return scheme.lower() == wanted and hmac.compare_digest(rest.strip().encode(), expected.encode())

    def _challenged(self, error: RefusalError) -> RefusalError:
        if error.status == 401:
            server = self.service.catalogue.server
            error.headers["WWW-Authenticate"] = (
                "Bearer" if self.settings.auth == "bearer" else f'Basic realm="{server}"'
            )
        return error

    async def _body(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size <= self.settings.max_body_bytes:
                parts.append(part)
            if not message.get("more_body"):
                break
        # All of it is taken before the refusal, so that the caller reads an answer and not a broken pipe.
        if size > self.settings.max_body_bytes:
            raise RefusalError(413, "The request body is too large.", "Message")
        return b"".join(parts)

    async def _reply(self, answer: Answer, asked: dict[str, str], send: Send, cut: bool) -> None:
        self.statuses[answer.status] += 1
        body, headers = answer.body, dict(answer.headers)
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
        if self.settings.gzip and "gzip" in asked.get("accept-encoding", "") and len(body) > 1_000:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        self.body_bytes += len(body)
        pairs = [(name.lower().encode(), text.encode("latin-1")) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        if cut:
            await send({"type": "http.response.body", "body": body[: len(body) // _CUT_EVERY], "more_body": True})
            _leave(send).close()
            return
        await send({"type": "http.response.body", "body": body})


def _leave(send: Send) -> Any:
    """The connection under uvicorn's `send`, a method of its request cycle, which is told that nobody listens.

    ASGI itself shows no connection.
    """
    cycle = send.__self__  # type: ignore[attr-defined]
    cycle.disconnected = True
    return cycle.transport


def _reset(send: Send) -> None:
    """Ends the connection with a TCP reset, as a crashed server or a firewall does."""
    transport = _leave(send)
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
