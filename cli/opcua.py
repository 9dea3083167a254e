"""What `ferry discover` and `ferry trust` do with OPC UA: a tag map by browsing, the certificates of servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.session import Session
from pipelines.plant import Connection, SourceSettings, write_tags
from pipelines.ports import Stop
from pipelines.timeline import SECOND_NS
from resources.opcua.browsing import Variable, browse
from resources.opcua.client import Login, server_certificate, session
from resources.outside import Outside

if TYPE_CHECKING:
    from pipelines.plant import Plant

_TIMEOUT_S = 2.0


def tag_map(given: Session, settings: SourceSettings, out: Path | None) -> None:
    """Browses the servers of a source of PLCs into its tag map; a file that is there is never written over."""
    plant, screen = given.plant, given.screen
    servers = [each for each in Outside(plant).located(settings).connection if each.opc_ua]
    if not servers:
        raise Stop(f"source {settings.name!r} has no connection that can be browsed: only OPC UA (opc.tcp://…) can")
    path = out or plant.folder / (settings.tags or f"{settings.name}.csv")
    if path.exists():
        raise Stop(f"{path} is there already: name another file with --out")
    rows: list[dict[str, str]] = []
    for each in servers:
        with screen.busy(f"browsing {each.url}"):
            found = asyncio.run(_browsed(Login.of(plant, each, each.url, each.timeout / SECOND_NS)))
        readable = [variable for variable in found if variable.readable]
        screen.say(f"{each.name}: {len(readable):,} variables that may be read, of {len(found):,}")
        rows += [_row(each, variable) for variable in readable]
    write_tags(path, rows)
    screen.say(f"{path} holds {len(rows):,} tags: delete the lines that nobody wants, set intervals and deadbands")
    screen.emit({"source": settings.name, "tags": len(rows), "file": str(path)})


def certificates(plant: Plant, settings: SourceSettings) -> Iterator[tuple[str, Path, bytes]]:
    """Of the servers with security: who it is, the file that is to hold its certificate, and the one it shows now."""
    for who, each in _secured(plant, settings):
        yield who, each.file(each.channel.server_certificate), asyncio.run(server_certificate(each))


async def _browsed(where: Login) -> list[Variable]:
    async with session(where) as opened:
        return await browse(opened)


def _row(connection: Connection, each: Variable) -> dict[str, str]:
    length = f"[{each.length}]" if each.length > 1 else ""
    return {
        "name": each.name, "connection": connection.name, "address": each.address, "type": each.type + length,
        "unit": each.unit, "description": " ".join(each.description.split()),
    }  # fmt: skip


def _secured(plant: Plant, settings: SourceSettings) -> Iterator[tuple[str, Login]]:
    """The servers of a source whose certificate is needed: its own, or those of its connections."""
    if settings.kind == "opcua" and settings.security != "None":
        yield settings.name, Login.of(plant, settings, settings.url, _TIMEOUT_S)
    for each in settings.connection:
        if each.security != "None":
            yield each.name, Login.of(plant, each, each.url, each.timeout / SECOND_NS)
