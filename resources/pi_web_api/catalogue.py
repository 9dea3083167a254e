"""Discovery: the points of one Data Archive, paged, with what the plant wants to know of them.

PI keeps a point's number through a rename, so (server GUID, number) is its key, and the IDOnly WebId its address:
short, and it follows the point (facts/historians.md 1.2, 1.3).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.points import Kind, Point, point_id, selected
from pipelines.ports import Retry, Stop
from resources.pi_web_api.refusals import Refused, TooMuch
from resources.pi_web_api.transport import Transport
from resources.pi_web_api.wire import Answer, Broken, fault_of, reader

PAGE_POINTS = 10_000
_LEAST_SLOW_PAGE = 500  # a server that takes longer than patience for so few points is in trouble
_KINDS: dict[str, Kind] = {
    "int16": "integer",
    "int32": "integer",
    "float16": "number",
    "float32": "number",
    "float64": "number",
    "digital": "digital",
    "string": "string",
    "timestamp": "timestamp",
    "blob": "blob",
}


class Server(msgspec.Struct, rename="pascal"):
    """A Data Archive as /dataservers shows it."""

    web_id: str = ""
    id: str = ""
    name: str = ""
    is_connected: bool | None = None
    server_time: str = ""


class Servers(Answer, rename="pascal"):
    """The answer of /dataservers."""

    items: list[Server] | UnsetType = UNSET


class Listed(Answer, rename="pascal"):
    """A point as …/points shows it; limits may be objects on odd points."""

    web_id: str = ""
    id: int = 0
    name: str = ""
    path: str | None = None
    descriptor: str | None = None
    point_class: str | None = None
    point_type: str | None = None
    digital_set_name: str | None = None
    engineering_units: str | None = None
    zero: Any = None
    span: Any = None
    step: bool | None = False
    future: bool | None = False


class Listing(Answer, rename="pascal"):
    """One page of points."""

    items: list[Listed] | UnsetType = UNSET


_read_servers = reader(Servers)
_read_listing = reader(Listing)
_FIELDS = ";".join(f"Items.{name}" for name in Listed.__struct_encode_fields__)


async def discover(
    transport: Transport, data_server: str, include: Sequence[str], exclude: Sequence[str]
) -> list[Point]:
    """The selected points of the Data Archive, by their ids. Raises Stop, Retry."""
    server = await find_server(transport, data_server)
    found: dict[str, Point] = {}  # by WebId
    async with aclosing(_pages(transport, server, include)) as pages:
        async for page in pages:
            found.update((each.web_id, _point(server, each)) for each in page)
    return sorted(selected(found.values(), include, exclude), key=lambda point: point.id)


async def any_selected(transport: Transport, server: Server, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a point is selected at all; the list is read until the first one. Raises Stop, Retry."""
    async with aclosing(_pages(transport, server, include)) as pages:
        async for page in pages:
            if selected((_point(server, each) for each in page), include, exclude):
                return True
    return False


async def _pages(transport: Transport, server: Server, include: Sequence[str]) -> AsyncGenerator[list[Listed], None]:
    seen: set[str] = set()
    begin = 0
    size, name_filter = PAGE_POINTS, _name_filter(include)
    while True:
        query = {"startIndex": begin, "maxCount": size, "selectedFields": _FIELDS, "webIdType": "IDOnly"}
        if name_filter:
            query["nameFilter"] = name_filter
        try:
            page = await _page(transport, f"dataservers/{quote(server.web_id)}/points?{urlencode(query)}")
        except TooMuch as error:
            if size <= (_LEAST_SLOW_PAGE if error.reason == "time" else 1):
                raise Retry(str(error), after_s=60.0) from None
            size = min(error.limit or size // 2, size // 2)
            continue
        except Refused as error:
            raise Stop(f"source {transport.source}: the points of {server.name!r} cannot be listed: {error}") from None
        # A page without news ends the list, not a short one: a server may give fewer than it was asked for.
        if seen.issuperset(each.web_id for each in page):
            return
        seen.update(each.web_id for each in page)
        begin += len(page)
        yield page


async def find_server(transport: Transport, name: str) -> Server:
    """The Data Archive to read. Raises Stop when the plant file does not say which one of several."""
    path = "dataservers?selectedFields=Items.WebId;Items.Id;Items.Name;Items.IsConnected;Items.ServerTime"

    def read(body: bytes) -> list[Server]:
        answer = _read_servers(body)
        return _items(answer.items, fault_of(answer))

    try:
        servers = await transport.get(path, read)
    except TooMuch as error:
        raise Retry(str(error), after_s=60.0) from None
    except Refused as error:
        raise Stop(f"source {transport.source} at {transport.url} is no PI Web API: {error}") from None
    names = ", ".join(sorted(repr(server.name) for server in servers)) or "none"
    if name:
        servers = [server for server in servers if server.name.casefold() == name.casefold()]
        if not servers:
            raise Stop(f"source {transport.source}: no data_server {name!r}; there are: {names}")
    if len(servers) != 1:
        raise Stop(f"source {transport.source}: name one data_server in the plant file; there are: {names}")
    return servers[0]


async def _page(transport: Transport, path: str) -> list[Listed]:
    def read(body: bytes) -> list[Listed]:
        answer = _read_listing(body)
        items = _items(answer.items, fault_of(answer))
        return _items(items, next(filter(None, map(fault_of, items)), ""))  # a point that is not shown is not gone

    return await transport.get(path, read)


def _items(items: list[Any] | UnsetType, fault: str) -> list[Any]:
    if fault:
        raise Broken(fault)
    if not isinstance(items, list):
        raise Broken("a list without Items")
    return items


def _point(server: Server, listed: Listed) -> Point:
    attributes = {"point_class": listed.point_class or "", "path": listed.path or ""}
    return Point(
        id=point_id(listed.name),
        name=listed.name,
        kind=_KINDS.get((listed.point_type or "").casefold(), "string"),
        source_key=f"{server.id}:{listed.id}",
        address=listed.web_id,
        source_type=listed.point_type or "",
        unit=listed.engineering_units or "",
        description=listed.descriptor or "",
        step=bool(listed.step),
        future=bool(listed.future),
        digital_set=listed.digital_set_name or "",
        zero=_number(listed.zero),
        span=_number(listed.span),
        attributes={key: text for key, text in attributes.items() if text},
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _name_filter(include: Sequence[str]) -> str:
    """A filter that the server can apply: for a single glob without sets, which PI does not know."""
    if len(include) == 1 and include[0] != "*" and "[" not in include[0]:
        return include[0]
    return ""
