"""The history of an OPC UA server as a Source: discovery, pull, tally. Only reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pipelines.plant import Plant, SourceSettings
from pipelines.points import Point
from pipelines.ports import PULL_BYTES, Pulled, SourceTally
from pipelines.timeline import Interval
from resources.budget import Budget
from resources.opcua.catalogue import discover
from resources.opcua.client import Login
from resources.opcua.pulling import Pace, Pulling
from resources.opcua.server import Patience, Server
from resources.rereading import read_again

_TIMEOUT_S = 60.0
_REREAD_EVENTS = 400_000


class OpcUaSource:
    """One server. Safe for many tasks at once; one process needs one `close`."""

    def __init__(
        self, server: Server, include: Sequence[str] = ("*",), exclude: Sequence[str] = (), pace: Pace | None = None
    ) -> None:
        self.name = server.source
        self._server = server
        self._include, self._exclude = tuple(include), tuple(exclude)
        self._pace = pace or Pace()

    @classmethod
    def from_settings(
        cls, plant: Plant, settings: SourceSettings, url: str, budget: Budget, patience: Patience | None = None
    ) -> OpcUaSource:
        """As the plant file says; `url` takes the place of its url (for a stand-in)."""
        login = Login.of(plant, settings, url, _TIMEOUT_S, session_s=2 * _TIMEOUT_S)
        return cls(Server(settings.name, login, budget, patience), settings.points, settings.exclude)

    async def discover(self) -> list[Point]:
        """Every variable that has history and the plant file selects, by id. Raises Stop, Retry."""
        return await discover(self._server, self._include, self._exclude)

    async def pull(
        self, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int = PULL_BYTES
    ) -> AsyncGenerator[Pulled, None]:
        """All events of [start, end), each point whole and in one batch. Raises Split, Retry, Stop."""
        async with aclosing(
            Pulling(self._server, self._pace, points, span, max_events, max_bytes).batches()
        ) as batches:
            async for batch in batches:
                yield batch

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        """Everything read again: a server counts no raw values. Columns of TALLY_SCHEMA. Raises Retry, Stop."""
        return await read_again(self.pull, points, span, _REREAD_EVENTS)

    async def time_ns(self) -> int | None:
        """The server's clock. Raises Retry, Stop."""
        return await self._server.ask(lambda opened: opened.time_ns())

    async def close(self) -> None:
        """Ends the session; may be called twice."""
        await self._server.close()
