"""PI's stream updates: streams are registered once, then asked with a marker for what was changed since.

A set is read in one GET of many markers, and registered in one POST of many WebIds. 404 says that a marker's cache is
gone, 409 that the marker is not valid; either may be said of the set or of one stream of it (facts/historians.md 1.9).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

import pyarrow as pa
from msgspec import Struct

from pipelines.points import Point
from pipelines.ports import Changes
from pipelines.samples import SCHEMA
from resources.pi_web_api.pace import Pace
from resources.pi_web_api.refusals import Denied, Refused, TooMuch
from resources.pi_web_api.streams import identity, packed
from resources.pi_web_api.transport import Transport
from resources.pi_web_api.wire import Answer, Broken, fault_of, reader

_UPDATED = ("RequestedMarker", "LatestMarker", "Status", "Exception", "Errors", "Events.Timestamp")
_REGISTERED = ("Source", "LatestMarker", "Status", "Exception", "Errors")
_FAILED = "Failed"
_REFUSALS = 40
_ROOM = 64
"""Bytes of a path besides its fields and the WebIds or markers."""


class Told(Struct, rename="pascal", gc=False):
    """One changed event; what became of it is found out by pulling it."""

    timestamp: str | None = None


class Update(Answer, rename="pascal", gc=False):
    """One stream of a set: registered, or read."""

    source: str | None = None
    requested_marker: str | None = None
    latest_marker: str | None = None
    status: str = _FAILED
    events: list[Told] | None = None


class UpdateSet(Answer, rename="pascal", gc=False):
    """The answer of streamsets/updates."""

    items: list[Update] | None = None


_read_set = reader(UpdateSet)


class Feed:
    """Stream updates of one server. `offered` is False once it was found to have none."""

    def __init__(self, transport: Transport, pace: Pace) -> None:
        self._transport, self._pace = transport, pace
        self.offered = True
        self._proved = False
        self._refusals = 0

    async def changes(self, points: Sequence[Point], markers: Mapping[str, str]) -> Changes:
        """As ports.ChangeFeed says."""
        asked = {marker: point.id for point in points if (marker := markers.get(point.id))}
        times: dict[str, list[int]] = {}
        found: dict[str, str] = {}
        for some in self._parts(list(asked), _UPDATED, "marker"):
            for item in await self._read(some):
                point = asked.get(item.requested_marker or "")
                stamps = _stamps(item.events)
                if point is None or not _sound(item) or stamps is None:
                    continue
                found[point] = item.latest_marker or ""
                times[point] = [*times.get(point, ()), *stamps]
        holes = [point for point in points if point.id not in found]
        new = {identity(point.address): point.id for point in holes if point.address}
        for some in self._parts([point.address for point in holes if point.address], _REGISTERED, "webId"):
            for item in await self._register(some):
                point = new.get(identity(item.source or ""))
                if point is not None and _sound(item):
                    found[point] = item.latest_marker or ""
        if new and not self._proved:
            self.offered = False  # not even a registration was answered
        return Changes({p: each for p, each in times.items() if each}, found, frozenset(p.id for p in holes))

    def _parts(self, texts: list[str], fields: Sequence[str], name: str) -> list[list[str]]:
        """As many together as a URL holds."""
        room = self._pace.url_bytes - len(self._transport.url) - len(_path(fields, name, ())) - _ROOM
        return packed(texts, lambda text: len(quote(text)) + len(name) + 2, room) if self.offered else []

    async def _read(self, markers: list[str]) -> list[Update]:
        return await self._asked(markers, lambda some: self._transport.get(_path(_UPDATED, "marker", some), _items))

    async def _register(self, web_ids: list[str]) -> list[Update]:
        def ask(some: list[str]) -> Awaitable[list[Update]]:
            return self._transport.post(_path(_REGISTERED, "webId", some), None, _items)

        return await self._asked(web_ids, ask)

    async def _asked(self, texts: list[str], ask: Callable[[list[str]], Awaitable[list[Update]]]) -> list[Update]:
        """In halves where it is too much at once, or one of them is to blame. Nothing where nothing can be had."""
        try:
            found = await ask(texts)
        except TooMuch as error:
            self._pace.refused(error, len(texts), 0)
        except Refused as error:
            self._refusals += 1
            secured = isinstance(error, Denied) and self._refusals < _REFUSALS  # perhaps just one of the points
            if not self._proved and not secured:  # there is no such feed, or it knows none of our markers
                return []
        else:
            self._proved = True
            return found
        if len(texts) == 1:
            return []
        half = len(texts) // 2
        return [*await self._asked(texts[:half], ask), *await self._asked(texts[half:], ask)]


def _items(body: bytes) -> list[Update]:
    answer = _read_set(body)
    if fault_of(answer) or not isinstance(answer.items, list):
        raise Broken(fault_of(answer) or "a set of updates without Items")
    return answer.items


def _path(fields: Sequence[str], name: str, texts: Sequence[str]) -> str:
    selected = urlencode({"selectedFields": ";".join(f"Items.{field}" for field in fields)}, quote_via=quote, safe=";")
    return f"streamsets/updates?{selected}{''.join(f'&{name}={quote(text)}' for text in texts)}"


def _sound(item: Update) -> bool:
    return item.status != _FAILED and bool(item.latest_marker) and not fault_of(item)


def _stamps(events: Sequence[Told] | None) -> list[int] | None:
    """Their times, None where there is no list of them, or one cannot be read."""
    if events is None:
        return None
    texts = pa.array([event.timestamp for event in events], pa.string())
    try:
        return None if texts.null_count else texts.cast(SCHEMA.field("time").type).cast(pa.int64()).to_pylist()
    except pa.ArrowInvalid:
        return None
