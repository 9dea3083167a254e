"""The connections of a source, each by the library that reads its protocol."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.plant import PLC4PY, Plant, SourceSettings
from pipelines.ports import PlcConnection, Stop, Tag
from pipelines.timeline import SECOND_NS
from resources.plc4x.addresses import address_error
from resources.plc4x.jvm import plc4j
from resources.plc4x.plc4j import Plc4jConnection
from resources.plc4x.plc4py_addresses import address_error as plc4py_address_error
from resources.plc4x.plc4py_connection import Plc4pyConnection

_SESSION_S = 60.0
"""A session that nobody ended, after a kill, is a session less of those that a server has: not for long."""


def connections(
    plant: Plant, settings: SourceSettings, tags: Sequence[Tag], *, subscribe: bool = True
) -> dict[str, PlcConnection]:
    """By name; nothing is connected yet, and without `subscribe` all is polled.

    Raises Stop naming each address that no server can know, Unreachable where PLC4X or plc4py cannot be had.
    """
    found: dict[str, PlcConnection] = {}
    wrong: list[str] = []
    for each in settings.connection:
        mine = [tag for tag in tags if tag.connection == each.name]
        if each.opc_ua:
            from resources.opcua import client, connection  # noqa: PLC0415 - asyncua takes 0.5 s: only where it is used

            longest_ns = max((tag.interval_ns for tag in mine), default=0)
            session_s = max(_SESSION_S, 4 * longest_ns / SECOND_NS)
            opening = client.Login.of(plant, each, each.url, each.timeout / SECOND_NS, session_s)
            found[each.name] = connection.OpcUaConnection(each.name, opening, subscribe=each.subscribe and subscribe)
            errors = [(tag, client.address_error(tag.address)) for tag in mine]
        elif each.plc4py:
            url = each.url.removeprefix(PLC4PY)
            found[each.name] = Plc4pyConnection(url, each.timeout / SECOND_NS)
            errors = [(tag, plc4py_address_error(url, tag)) for tag in mine]
        else:
            java = plc4j([plant.folder / jar for jar in settings.jars])
            found[each.name] = Plc4jConnection(java, each.url, each.timeout / SECOND_NS)
            errors = [(tag, address_error(java, each.url, tag)) for tag in mine]
        wrong += [f"source {settings.name!r}, tag {tag.name!r}: {said}" for tag, said in errors if said]
    if wrong:
        raise Stop("\n".join(wrong))
    return found
