"""AVEVA Historian as a Source: discovery, pull, tally. Only reads; every statement goes through one budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import pyarrow as pa

from pipelines.plant import SourceSettings, secret
from pipelines.points import Point
from pipelines.ports import PULL_BYTES, Pulled, SourceTally
from pipelines.timeline import SECOND_NS, Interval
from resources.budget import Budget
from resources.wonderware import asking, counting, journal
from resources.wonderware.catalogue import discover
from resources.wonderware.driver import Connect
from resources.wonderware.login import Login, address
from resources.wonderware.pace import Bounds, Pace
from resources.wonderware.pulling import Pulling
from resources.wonderware.server import Patience, Server


class WonderwareSource:
    """One Historian's Runtime database. Safe for many tasks at once; one event loop needs one `close`."""

    def __init__(
        self, server: Server, include: Sequence[str] = ("*",), exclude: Sequence[str] = (), bounds: Bounds | None = None
    ) -> None:
        self.name = server.login.source
        self._server = server
        self._include, self._exclude = tuple(include), tuple(exclude)
        self._pace = Pace(bounds)
        self.left_out: Mapping[str, Sequence[str]] = {}
        """Tags that the last discovery left out, by why."""

    @classmethod
    def from_settings(
        cls,
        settings: SourceSettings,
        where: str | None = None,
        patience: Patience | None = None,
        bounds: Bounds | None = None,
        connect: Connect | None = None,
        budget: Budget | None = None,
    ) -> WonderwareSource:
        """As the plant file says; `where` takes the place of its address (for a stand-in). Raises Stop."""
        budget = budget or Budget(settings.requests_per_s, settings.quiet_hours)
        server = Server(login_of(settings, where), budget, settings.concurrency, patience, connect)
        return cls(server, settings.points, settings.exclude, bounds)

    async def discover(self) -> list[Point]:
        """Every tag that the login may see and the plant file selects, by id. Raises Stop, Retry."""
        found = await discover(self._server, self._include, self._exclude)
        self.left_out = found.left_out
        return found.points

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
        """Rows and sums that SQL Server counts: point, events, total, origin. Raises Retry, Stop."""
        return await counting.tally(self._server, self._pace, points, span)

    async def journal(self, span: Interval) -> pa.Table:
        """Alarms and operators' writes of the half-open span, JOURNAL_SCHEMA, by time and id. Raises Retry, Stop."""
        return await journal.entries(self._server, span)

    async def count_journal(self, span: Interval) -> int:
        """How many there are, counted by SQL Server. Raises Retry, Stop."""
        return await journal.count(self._server, span)

    async def time_ns(self) -> int | None:
        """SQL Server's clock, whole seconds. Raises Retry, Stop."""
        found = await self._server.ask_whole(*asking.probe())
        return None if found is None else int(found["NowS"][0].as_py()) * SECOND_NS

    async def close(self) -> None:
        """Closes connections; may be called twice."""
        await self._server.close()


def login_of(settings: SourceSettings, where: str | None = None) -> Login:
    """The login of a source; a stand-in on this machine is spoken to in the clear. Raises Stop."""
    host, port, instance = address(settings.name, where or settings.address)
    return Login(
        source=settings.name,
        host=host,
        port=port,
        database=settings.database or "Runtime",
        user=settings.auth.username,
        password=secret(settings.auth.password_env),
        tls=settings.tls and settings.simulate is None,
        ca_file=settings.ca_file,
        instance=instance,
    )
