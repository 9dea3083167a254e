"""The stand-in's application, asked without a server process, over a plant whose clock stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from simulators.pi_web_api import Plant, Settings
from simulators.pi_web_api.clock import Clock, parse_iso
from simulators.pi_web_api.server import application

BASE = "http://plant/piwebapi"
CSRF = {"X-Requested-With": "test"}


class StandingClock(Clock):
    """Goes on only when told to."""

    def __init__(self, now_ns: int) -> None:
        super().__init__()
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, by_ns: int) -> None:
        self._now_ns += by_ns


class Stage:
    """One plant and its application."""

    def __init__(self, settings: Settings) -> None:
        self.plant = Plant(settings)
        self.plant.clock = StandingClock(settings.clock_ns)
        self.app = application(self.plant)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **rest: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE) as client:
                return await client.request(method, path, headers=CSRF if headers is None else headers, **rest)

        return asyncio.run(asked())

    def get(self, path: str, /, **parameters: Any) -> Any:
        """The document of a GET that must succeed."""
        answer = self.ask("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, document: Any = None, /, **parameters: Any) -> Any:
        """The document of a POST that must succeed."""
        body = {} if document is None else {"json": document}
        answer = self.ask("POST", path, params=parameters, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def web_id(self, name: str) -> str:
        return self.get("/points", path=f"\\\\FERRYSIM\\{name}")["WebId"]


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """Makes a stage; the plant's present is 30 hours after its start."""

    def made(**settings: Any) -> Stage:
        clock_ns = parse_iso("2026-01-02T06:00:00Z")
        return Stage(Settings(**{"points": 40, "hours": 72, "clock_ns": clock_ns, "rate_limit": 0, **settings}))

    return made
