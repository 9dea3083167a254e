"""A PLC behind an OPC UA server: read on the beat, or subscribed and collected on the beat.

Each connection has an event loop in a thread of its own: neither a server that is silent nor one whose answers take
long to decode holds up another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from asyncua import ua

from pipelines.ports import Reading, Tag, clock_tags
from pipelines.samples import GOOD, Quality
from pipelines.timeline import MINUTE_NS, SECOND_NS
from resources.opcua.client import CURRENT_TIME, Login, Session, wanted
from resources.opcua.link import Link
from resources.opcua.stamps import ns_of
from resources.opcua.subscribing import Subscribed
from resources.opcua.values import reading_of

Readings = list[tuple[Tag, Reading]]


class OpcUaConnection:
    """One connection (ports.PlcConnection); after any failure it is made anew, with its subscriptions."""

    def __init__(self, name: str, login: Login, *, subscribe: bool = False) -> None:
        self._login, self._subscribe = login, subscribe
        self._clock = _Clock(name)
        self._link: Link | None = None
        self._scans: dict[tuple[Tag, ...], _Scan] = {}

    def read(self, tags: Sequence[Tag]) -> Readings:
        """See ports.PlcConnection; connecting may take three deadlines. Raises Retry, Stop."""
        try:
            if self._link is None:
                self._link = Link(self._login)
            return self._link.does(lambda opened: self._read(opened, tuple(tags)), self._login.timeout_s)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the connection up; may be called twice."""
        if self._link is not None:
            self._link.end()
        self._link = None
        self._scans = {}

    async def _read(self, opened: Session, tags: tuple[Tag, ...]) -> Readings:
        if tags not in self._scans:
            self._scans[tags] = await _Scan.of(opened, tags, subscribe=self._subscribe)
        scan = self._scans[tags]
        asked_ns = time.time_ns()
        clock, *values = await opened.read([CURRENT_TIME, *scan.polled])
        answered_ns = time.time_ns()
        found = scan.found(values)
        return found + self._clock.told(clock, asked_ns, answered_ns, found)


class _Scan:
    """The tags that are read together: the nodes of those that can be, and what is said of the others."""

    def __init__(self) -> None:
        self.polled: list[ua.ReadValueId] = []
        self._tags: list[Tag] = []
        self._wrong: Readings = []
        self._subscribed: Subscribed | None = None

    @classmethod
    async def of(cls, opened: Session, tags: Sequence[Tag], *, subscribe: bool) -> _Scan:
        scan, nodes = cls(), []
        for tag in tags:
            try:
                nodes.append(opened.node(tag.address))
                scan._tags.append(tag)
            except (ValueError, ua.UaError) as error:
                scan._wrong.append((tag, Reading((), int(Quality.BAD_CONFIG), reason=str(error))))
        if subscribe and nodes:
            scan._subscribed = await Subscribed.to(opened, list(zip(scan._tags, nodes, strict=True)))
        else:
            scan.polled = [wanted(node) for node in nodes]
        return scan

    def found(self, values: Sequence[ua.DataValue]) -> Readings:
        """What was read, or has come since."""
        if self._subscribed is not None:
            return self._subscribed.taken() + self._wrong
        read = [(tag, reading_of(value, tag.length)) for tag, value in zip(self._tags, values, strict=True)]
        return read + self._wrong


class _Clock:
    """How far the clocks of a connection are ahead of ours, once a minute: the server's by its own time, the source's
    by its stamps. A stamp is never ahead of the clock that made it: the largest of a minute is nearest to it."""

    def __init__(self, name: str) -> None:
        self._tags = clock_tags(name)
        self._minute = 0
        self._ahead_ns: list[int | None] = [None, None]

    def told(self, clock: ua.DataValue, asked_ns: int, answered_ns: int, found: Readings) -> Readings:
        """Readings of the clocks, when a minute is over."""
        server_ns = ns_of(clock.Value.Value) if clock.Value is not None else None
        if server_ns is not None:
            self._ahead(0, server_ns - (asked_ns + answered_ns) // 2)
        for _, each in found:
            if each.source_ns is not None:
                self._ahead(1, each.source_ns - (each.received_ns or answered_ns))
        if answered_ns // MINUTE_NS == self._minute:
            return []
        ahead, self._ahead_ns = self._ahead_ns, [None, None]
        self._minute = answered_ns // MINUTE_NS
        told = zip(self._tags, ahead, strict=True)
        return [(tag, Reading((by / SECOND_NS,), GOOD)) for tag, by in told if by is not None]

    def _ahead(self, place: int, by_ns: int) -> None:
        before = self._ahead_ns[place]
        self._ahead_ns[place] = by_ns if before is None else max(before, by_ns)
