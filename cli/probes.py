"""Probes: one question each to PostgreSQL, IoTDB and a historian, for the doctor."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from assets_defs.discovery import all_of, left_out_told
from pipelines.clocks import at_least_ns
from pipelines.plant import SourceSettings, load_tags
from pipelines.points import Point
from pipelines.ports import FerryError, Stop, Unreachable
from pipelines.timeline import SECOND_NS, parse
from resources.budget import Budget
from resources.opcua.browsing import browse
from resources.opcua.client import Login, session
from resources.outside import Outside
from resources.pi_web_api import Patience
from resources.pi_web_api.catalogue import any_selected, find_server
from resources.pi_web_api.opening import transport_of
from resources.pi_web_api.refusals import Refused
from resources.pi_web_api.transport import Transport
from resources.pi_web_api.trust import Trust
from resources.postgres.connections import Connections
from resources.wonderware.asking import probe
from resources.wonderware.login import address
from resources.wonderware.server import Patience as WonderwarePatience
from resources.wonderware.server import Server
from resources.wonderware.source import login_of

T = TypeVar("T")
_BASE = "/piwebapi"
_ONCE = Patience(tries=1, read_s=15.0, whole_s=30.0)
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


def postgres_probe(dsn: str) -> str:
    """Version, and whether we may make tables. Raises Unreachable, Stop."""
    connections = Connections(dsn)
    connection = connections.open()
    try:
        row = connection.execute(
            "SELECT current_setting('server_version'), has_schema_privilege(current_schema(), 'CREATE'), "
            "current_database(), current_user"
        ).fetchone()
    finally:
        connection.close()
        connections.close()
    assert row is not None
    version, may_create, database, user = row
    if not may_create:
        raise Stop(f"user {user} may not create tables in database {database} at {connections.address}: GRANT CREATE")
    return f"{version} at {connections.address}, database {database}"


def ahead_s(ask: Callable[[], int]) -> float:
    """How far a clock (ns UTC) is ahead of ours, at the least; see pipelines.clocks. Raises what `ask` raises."""
    asked_ns = time.time_ns()
    told_ns = ask()
    return at_least_ns(told_ns, asked_ns, time.time_ns()) / SECOND_NS


def store_probe(outside: Outside) -> tuple[str, float | None]:
    """Resolution and writer, after a row was written and read back; its clock minus ours, seconds, if it tells.

    Raises Unreachable, Stop, NoRoom.
    """
    store = outside.store()
    try:
        store.prepare()
        clock = {1: "ns", 1_000: "us", 1_000_000: "ms"}.get(store.clock_ns, f"{store.clock_ns} ns")
        told = store.now_ns()
        skew_s = None if told is None else ahead_s(lambda: store.now_ns() or told)
        return f"clock {clock}, writer {store.writer_name} ({store.writer_reason})", skew_s
    finally:
        store.close()


def source_probe(outside: Outside, settings: SourceSettings, url: str) -> tuple[str, float | None, bool]:
    """Who the server takes us for; its clock minus ours, seconds; whether a password went over plain HTTP.

    Raises Unreachable, Stop (login refused, TLS, no such historian).
    """
    if settings.simulate is not None:
        asyncio.run(_closed(outside, settings))  # lends the stand-in's password
    if settings.kind == "wonderware":
        said, skew_s = asyncio.run(_historian(settings, url))
        return said, skew_s, not settings.tls and address(settings.name, url)[0] not in _LOCAL
    if settings.kind == "plc4x":
        return _plcs(outside, settings), None, False
    if settings.kind == "opcua":
        points, skew_s = asyncio.run(_opc_ua(outside, settings, url))
        return f"{url} answers, {points:,} variables", skew_s, False
    status, user = asyncio.run(_with_pi(outside, settings, url, _asked))
    said = f"{url} answers, {status.get('State', 'state unknown')}"
    if user.get("Name"):
        said += f", as {user['Name']} ({user.get('IdentityType', 'login accepted')})"
    shown = settings.auth.kind in ("basic", "bearer") and any(map(_readable, (url, settings.auth.token_url)))
    return said, _skew_s(status), shown


def catalogue_probe(outside: Outside, settings: SourceSettings, url: str) -> str:
    """Whether there is something to move: the data server is there, and the plant file selects a point of it. Names
    also what is not read of that.

    Raises Unreachable, Stop.
    """
    what = f"points = {json.dumps(settings.points, ensure_ascii=False)}"
    what += f" without {json.dumps(settings.exclude, ensure_ascii=False)}" if settings.exclude else ""
    left_out: Mapping[str, Sequence[str]] = {}
    if settings.kind == "pi_web_api":

        async def look(transport: Transport) -> tuple[str, bool]:
            server = await find_server(transport, settings.data_server)
            return server.name, await any_selected(transport, server, settings.points, settings.exclude)

        archive, some = asyncio.run(_with_pi(outside, settings, url, look))
        where = f"data server {archive!r}"
    else:
        where = str(settings.place or settings.tags or "its connections")
        points, left_out = asyncio.run(_discovered(outside, settings))
        some = bool(points)
    if not some:
        raise Stop("; ".join([f"{what} selects no point of {where} that this login may see", *left_out_told(left_out)]))
    return "; ".join([f"{what} selects points of {where}", *left_out_told(left_out)])


async def _discovered(outside: Outside, settings: SourceSettings) -> tuple[list[Point], Mapping[str, Sequence[str]]]:
    source = outside.source(settings)
    try:
        return await all_of(source)
    finally:
        await source.close()


async def _historian(settings: SourceSettings, where: str) -> tuple[str, float | None]:
    server = Server(login_of(settings, where), Budget(settings.requests_per_s), 1, WonderwarePatience(tries=1))
    try:
        found = await server.ask_whole(*probe())
        await server.check_engine()
    finally:
        await server.close()
    assert found is not None
    tags, now_s = (int(found[name][0].as_py()) for name in ("Tags", "NowS"))
    return f"{where} answers through {server.driver}, {tags:,} tags, as {settings.auth.username}", now_s - time.time()


async def _closed(outside: Outside, settings: SourceSettings) -> None:
    await outside.source(settings).close()


def _plcs(outside: Outside, settings: SourceSettings) -> str:
    """Reads one tag of every PLC. Raises Unreachable naming those that do not answer, Stop for a wrong tag map."""
    from resources.plc4x.connections import connections

    tags = load_tags(settings, outside.plant.folder)
    first = {tag.connection: tag for tag in reversed(tags)}
    silent = {}
    for name, connection in connections(outside.plant, outside.located(settings), tags).items():
        try:
            connection.read([first[name]] if name in first else [])
        except Exception as error:  # whatever it is, it is this PLC's
            silent[name] = str(error)
        finally:
            connection.close()
    if silent:
        raise Unreachable("; ".join(f"{name}: {why}" for name, why in silent.items()))
    return f"{len(settings.connection)} connections answer"


async def _opc_ua(outside: Outside, settings: SourceSettings, url: str) -> tuple[int, float | None]:
    login = Login.of(outside.plant, settings, url, 10.0)
    async with session(login) as opened:
        asked_s = time.time()
        server_ns = await opened.time_ns()
        skew_s = server_ns / SECOND_NS - (asked_s + time.time()) / 2 if server_ns is not None else None
        return len(await browse(opened)), skew_s


async def _with_pi(outside: Outside, settings: SourceSettings, url: str, ask: Callable[[Transport], Awaitable[T]]) -> T:
    """What `ask` finds at a PI Web API. Raises Unreachable, Stop; of a url without /piwebapi it says so."""

    async def at(where: str) -> T:
        transport = transport_of(
            settings, where, Budget(settings.requests_per_s), _ONCE, Trust.of(outside.plant, settings, where)
        )
        try:
            return await ask(transport)
        finally:
            await transport.close()

    try:
        return await at(url)
    except (Stop, Refused) as error:
        if _BASE in urlsplit(url).path.casefold():
            raise error if isinstance(error, Stop) else Stop(f"{url} is no PI Web API: {error}") from None
        right = f"{url.rstrip('/')}{_BASE}"
        try:
            await at(right)
        except FerryError:
            raise Stop(f"{error}. The url of a PI Web API ends in {_BASE}, and this one does not") from None
        raise Stop(f"{url} is no base url of a PI Web API, but there is one: write url = {json.dumps(right)}") from None


def _readable(url: str) -> bool:
    """Whether anybody on the way can read what goes there."""
    return url.startswith("http:") and urlsplit(url).hostname not in _LOCAL


async def _asked(transport: Transport) -> tuple[dict[str, Any], dict[str, Any]]:
    return await transport.get("system/status", _object), await transport.get("system/userinfo", _object)


def _object(body: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(body or b"{}")
    return found if isinstance(found, dict) else {}


def _skew_s(status: dict[str, Any]) -> float | None:
    try:
        return (parse(str(status["ServerTime"])) - time.time_ns()) / SECOND_NS
    except (KeyError, ValueError):
        return None
