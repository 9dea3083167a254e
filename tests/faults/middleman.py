"""Stands between ferry and the stand-in, and says what no honest server would: poisoned values, points that the login
does not see any more, counts that lie, another GUID; and holds a request while something happens at the source."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.contract.stand_in import in_thread

DEEP = b"[" * 3_000 + b"]" * 3_000
POISONS = {  # raw JSON in the place of a value
    "surrogate": rb'"\ud800 alone"',
    "odd state": b'{"Name":"a","Value":true,"IsSystem":false}',
    "deep": DEEP,
    "huge": b"1e999",
}
MARK = 1_234_567.5  # a single, too
"""The number that the stand-in holds where a poisoned value is to be told."""
_COUNT = re.compile(rb'("Type":\s*"Count",\s*"Value":\s*\{[^{}]*?"Value":\s*)(\d+)(\.0)?')
_DROPPED = {"content-length", "transfer-encoding", "connection", "content-encoding"}


@dataclass
class Middleman:
    """Everything that it does to answers; nothing at first."""

    upstream: str
    """http://host:port of the stand-in."""
    poison: bytes = b""
    hidden: set[str] = field(default_factory=set)
    """Names that are left out of the catalogue."""
    lie: int = 0
    """Added to every count that is not 0."""
    guid: tuple[bytes, bytes] | None = None
    """The one that the archive has, and the one that is told."""
    hold: Callable[[], None] | None = None
    """Called once, in the middle of the next pull after it was set, while the request waits."""
    hold_after: int = 0
    """So many pulls pass before."""
    hold_answered: bool = True
    """Whether the source has answered by then."""

    def calm(self) -> None:
        """Tells the truth again."""
        self.poison, self.hidden, self.lie, self.guid, self.hold = b"", set(), 0, None, None

    async def answer(self, request: Request) -> Response:
        """One request, passed on."""
        body = await request.body()
        held = self._holding(b"recorded" in body or "recorded" in str(request.url))
        if held and not self.hold_answered:
            await anyio.to_thread.run_sync(held)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"}
        path = request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        url = f"{self.upstream}{path}" + (f"?{query}" if query else "")
        async with httpx.AsyncClient(timeout=120) as client:
            told = await client.request(request.method, url, content=body, headers=headers)
        if held and self.hold_answered:
            await anyio.to_thread.run_sync(held)
        kept = {name: value for name, value in told.headers.items() if name.lower() not in _DROPPED}
        return Response(self._bent(path, told.content), told.status_code, kept)

    def _holding(self, is_pull: bool) -> Callable[[], None] | None:
        if not is_pull or self.hold is None:
            return None
        self.hold_after -= 1
        if self.hold_after >= 0:
            return None
        held, self.hold = self.hold, None
        return held

    def _lied(self, found: re.Match[bytes]) -> bytes:
        count = int(found[2])
        return found[1] + str(max(0, count + self.lie) if count else 0).encode()

    def _bent(self, path: str, body: bytes) -> bytes:
        if self.poison:
            body = body.replace(str(MARK).encode(), self.poison)
        if self.lie:
            body = _COUNT.sub(
                lambda found: found[1] + str(int(found[2]) + self.lie * (found[2] != b"0")).encode(), body
            )
        if self.guid:
            body = body.replace(*self.guid)
        if self.hidden and re.search(r"/dataservers/[^/]+/points", path, re.IGNORECASE):
            document: dict[str, Any] = json.loads(body)
            document["Items"] = [each for each in document.get("Items", []) if each.get("Name") not in self.hidden]
            body = json.dumps(document).encode()
        return body


@contextlib.contextmanager
def between(url: str) -> Iterator[tuple[Middleman, str]]:
    """A middleman before the stand-in at this base URL, and the base URL to ask instead."""
    man = Middleman(url.removesuffix("/piwebapi"))
    app = Starlette(routes=[Route("/{path:path}", man.answer, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])])
    config = uvicorn.Config(app, log_level="error", lifespan="off", access_log=False)
    with in_thread(config) as port:
        yield man, f"http://127.0.0.1:{port}/piwebapi"
