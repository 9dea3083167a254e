"""PI Web API as a Source: discovery, pull, tally. Only reads; every request goes through one budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import httpx
import pyarrow as pa

from pipelines.plant import SourceSettings
from pipelines.points import NUMERIC_KINDS, Point
from pipelines.ports import PULL_BYTES, AttributePage, Changes, Pulled, SourceTally, Stop
from pipelines.timeline import Interval, iso, parse
from resources.budget import Budget
from resources.pi_web_api.annotations import Annotations
from resources.pi_web_api.attributes import Attributes
from resources.pi_web_api.catalogue import discover, find_server
from resources.pi_web_api.counting import Counting
from resources.pi_web_api.cursors import recorded_query
from resources.pi_web_api.feed import Feed
from resources.pi_web_api.opening import transport_of
from resources.pi_web_api.pace import Bounds, Pace
from resources.pi_web_api.pulling import Pulling
from resources.pi_web_api.refusals import Denied
from resources.pi_web_api.specimens import Specimens
from resources.pi_web_api.streams import RECORDED, Ask, Streams
from resources.pi_web_api.tallies import combined
from resources.pi_web_api.transport import Patience, Transport
from resources.pi_web_api.trust import Trust
from resources.rereading import read_again

_REREAD_EVENTS = 400_000


class PiWebApiSource:
    """One Data Archive behind one PI Web API. Safe for many tasks at once; one event loop needs one `close`."""

    def __init__(
        self,
        transport: Transport,
        data_server: str = "",
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        bounds: Bounds | None = None,
    ) -> None:
        self.name = transport.source
        self._transport = transport
        self._data_server = data_server
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._streams = Streams(transport)
        self._pace = Pace(bounds)
        self._counting = Counting(self._streams, self._pace)
        self._specimens = Specimens()
        self._feed = Feed(transport, self._pace)
        self._annotations = Annotations(self._streams, self._pace)
        self._attributes = Attributes(self._streams, self._pace, data_server)

    @classmethod
    def from_settings(
        cls,
        settings: SourceSettings,
        url: str | None = None,
        patience: Patience | None = None,
        bounds: Bounds | None = None,
        budget: Budget | None = None,
        trust: Trust | None = None,
        entrance: httpx.Auth | None = None,
    ) -> PiWebApiSource:
        """As the plant file says (opening.transport_of). Raises Stop."""
        transport = transport_of(settings, url or "", budget, patience, trust, entrance)
        return cls(transport, settings.data_server, settings.points, settings.exclude, bounds)

    async def discover(self) -> list[Point]:
        """Every point that the login may see and the plant file selects, by id. Raises Stop, Retry."""
        return await discover(self._transport, self._data_server, self._include, self._exclude)

    async def pull(
        self, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int = PULL_BYTES
    ) -> AsyncGenerator[Pulled, None]:
        """All events of [start, end), batches of about 100,000 events, each point whole and in one of them.

        Raises Split when one point alone has more than `max_events`, or the server refuses even the least; Retry, Stop.
        """
        by_id = {point.id: point for point in points}
        pulling = Pulling(self._streams, self._pace, points, span, max_events, max_bytes)
        async with aclosing(pulling.batches()) as batches:
            async for batch in batches:
                self._specimens.look(batch, by_id, span)
                yield batch
        if by_id and pulling.denied == by_id.keys() and not await self._any_readable(span):
            raise Stop(f"source {self.name}: the login may list points, and read none of them: every one is refused")

    async def tally(self, points: Sequence[Point], span: Interval) -> SourceTally:
        """Event counts by PI's own summaries, read again for points where those cannot tell. Raises Retry, Stop.

        Columns: see `tallies.combined`.
        """
        await self._find_out()
        trusted = [p for p in points if self._specimens.counts_bad(p.kind in NUMERIC_KINDS)]
        doubted = [p for p in points if not self._specimens.counts_bad(p.kind in NUMERIC_KINDS)]
        tallied = await self._counting.count(trusted, span)
        again = await read_again(self.pull, doubted + tallied.unable, span, _REREAD_EVENTS)
        counts = tallied.counts
        if not self._specimens.sums_usable:
            counts = {name: each if each.pure else each._replace(total=None) for name, each in counts.items()}
        return combined(points, counts, again.table, again.failed)

    async def changes(self, points: Sequence[Point], markers: Mapping[str, str]) -> Changes:
        """What PI's stream updates tell (ports.ChangeFeed). Raises Retry, Stop."""
        return await self._feed.changes(points, markers)

    async def annotations(self, points: Sequence[Point], events: pa.Table, max_bytes: int) -> pa.Table:
        """What people wrote to the flagged of the events (ports.Annotating). Raises Retry, Stop."""
        return await self._annotations.of(points, events, max_bytes)

    def attributes(self, points: Sequence[Point]) -> AsyncGenerator[AttributePage, None]:
        """All attributes of the points, in batches (ports.Attributed). Raises Retry, Stop."""
        return self._attributes.of(points)

    async def digital_sets(self) -> AttributePage:
        """Every digital set with its states (ports.Attributed). Raises Retry, Stop."""
        return await self._attributes.sets()

    async def time_ns(self) -> int | None:
        """The Data Archive's clock; None where it does not tell. Raises Retry, Stop."""
        server = await find_server(self._transport, self._data_server)
        try:
            return parse(server.server_time)
        except ValueError:
            return None

    async def close(self) -> None:
        """Closes connections; may be called twice."""
        await self._transport.close()

    async def _any_readable(self, span: Interval) -> bool:
        """Whether the login may read any point at all."""
        query = recorded_query(iso(span.start_ns), iso(span.start_ns), 1)
        asks = [Ask(point.address, query) for point in await self.discover()]
        for low in range(0, len(asks), self._pace.bounds.batch):
            answers = await self._streams.each(RECORDED, asks[low : low + self._pace.bounds.batch])
            if not all(isinstance(answer, Denied) for answer in answers):
                return True
        return False

    async def _find_out(self) -> None:
        """Whether Count takes bad events, as far as a pull has met some."""
        for specimen in self._specimens.open_questions():
            counted = (await self._counting.count([specimen.point], specimen.span)).counts.get(specimen.point.id)
            if counted is not None:
                self._specimens.answer(specimen, counted.events, counted.total)
