"""The server: variables below Objects/Plant, written as their signals rise; history on demand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.history import HistoryManager
from asyncua.server.user_managers import UserManager
from asyncua.ua import uaerrors

from simulators.opcua.signals import ARRAY, STATES, Event, Signal, plant
from simulators.opcua.ticks import Moment, install, moment

NAMESPACE = "urn:historian-ferry:stand-in"
_VARIANTS = {"State": ua.VariantType.Int32, "Array": ua.VariantType.Double}
_WRITE_EVERY_S = 0.05


def data_value(each: Signal, event: Event) -> ua.DataValue:
    """An event as the server tells it."""
    kind = _VARIANTS.get(each.kind) or ua.VariantType[each.kind]
    value: Any = event.value
    if each.kind == "DateTime" and isinstance(value, int):
        value = moment(value)
    variant = ua.Variant() if value is None else ua.Variant(value, kind, is_array=each.kind == "Array")
    at: Any = moment(event.time_ns)
    return ua.DataValue(variant, ua.StatusCode(ua.UInt32(event.status)), at, at)


class History(HistoryManager):
    """Reads the signals; at most `page` values of a node in one answer."""

    def __init__(self, iserver: Any, given: argparse.Namespace) -> None:
        super().__init__(iserver)
        self._start_ns, self._end_ns, self._page = given.start_ns, given.end_ns, given.page
        self._most_nodes, self._most_values = given.most_nodes, given.most_values
        self.signals: dict[ua.NodeId, Signal] = {}

    async def read_history(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Refuses more nodes, or more values in one answer, than it was told to give."""
        if len(params.NodesToRead) > self._most_nodes:
            raise uaerrors.BadTooManyOperations
        results = await super().read_history(params)
        if sum(len(each.HistoryData.DataValues) for each in results) > self._most_values:
            raise uaerrors.BadResponseTooLarge
        return results

    async def _read_history(self, details: Any, rv: ua.HistoryReadValueId) -> ua.HistoryReadResult:
        result = ua.HistoryReadResult(HistoryData=ua.HistoryData(DataValues=[]))
        asked = self.signals.get(rv.NodeId)
        if asked is None:
            result.StatusCode = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown))
            return result
        given = int(rv.ContinuationPoint) if rv.ContinuationPoint else 0
        most = min(details.NumValuesPerNode or self._page, self._page)
        start_ns = max(_ns(details.StartTime), self._start_ns)
        end_ns = min(_ns(details.EndTime), self._end_ns or time.time_ns())
        events = list(islice(asked.events(start_ns, end_ns), given, given + most + 1))
        result.HistoryData.DataValues = [data_value(asked, each) for each in events[:most]]
        if len(events) > most:
            result.ContinuationPoint = str(given + most).encode()
        return result


class _Users(UserManager):
    """One name and password, or anybody."""

    def __init__(self, name: str, password: str) -> None:
        self._login = (name, password)

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        fits = not self._login[0] or (username, password) == self._login
        return User(role=UserRole.User) if fits else None


async def serve(given: argparse.Namespace) -> None:
    """Until SIGTERM."""
    install()
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    server = Server(user_manager=_Users(given.username, given.password))
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{given.port}/plant")
    await server.set_application_uri("urn:historian-ferry:stand-in:server")
    if given.certificate:
        await server.load_certificate(given.certificate)
        await server.load_private_key(given.private_key)
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    history = History(server.iserver, given)
    server.iserver.history_manager = history
    nodes = await _built(server, plant(given.points, given.seed, int(given.every * 1e9)), history)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while not stopped.is_set():
            await _written(server, nodes)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _WRITE_EVERY_S)


async def _built(server: Server, signals: list[Signal], history: History) -> list[tuple[Node, Signal, list[int]]]:
    """The variables, and up to when each is written."""
    space = await server.register_namespace(NAMESPACE)
    folders: dict[str, Node] = {}
    root = await server.nodes.objects.add_folder(space, "Plant")
    found = []
    now_ns = time.time_ns()
    for each in signals:
        folder = each.name.partition(".")[0]
        if folder not in folders:
            folders[folder] = await root.add_folder(space, folder)
        node_id = ua.NodeId(ua.String(each.name), ua.Int16(space))
        newest = each.last(now_ns)
        value = data_value(each, newest)
        kind = _VARIANTS.get(each.kind) or ua.VariantType[each.kind]
        started: Any = [0.0] * ARRAY if each.kind == "Array" else _ZERO.get(each.kind, 0)
        node = await folders[folder].add_variable(node_id, each.name.partition(".")[2], started, varianttype=kind)
        if each.kind == "State":
            texts = [ua.LocalizedText(text) for text in STATES]
            place = ua.NodeId(ua.String(f"{each.name}.EnumStrings"), ua.Int16(space))
            await node.add_property(place, ua.QualifiedName("EnumStrings"), texts)
        if each.kind == "Array":
            await node.write_value_rank(ua.ValueRank.OneDimension)
            await node.write_attribute(
                ua.AttributeIds.ArrayDimensions, ua.DataValue(ua.Variant([ARRAY], ua.VariantType.UInt32))
            )
        if each.kind in ("Double", "Float"):
            place = ua.NodeId(ua.String(f"{each.name}.EngineeringUnits"), ua.Int16(space))
            unit: Any = ua.EUInformation(
                DisplayName=ua.LocalizedText("°C"), Description=ua.LocalizedText("degree Celsius")
            )
            await node.add_property(place, ua.QualifiedName("EngineeringUnits"), unit)
        access = ua.AccessLevel.CurrentRead.mask | ua.AccessLevel.HistoryRead.mask
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await node.write_attribute(attribute, ua.DataValue(ua.Variant(access, ua.VariantType.Byte)))
        await node.write_attribute(ua.AttributeIds.Historizing, ua.DataValue(ua.Variant(True)))
        history.signals[node_id] = each
        await server.write_attribute_value(node_id, value)
        found.append((node, each, [now_ns]))
    return found


_ZERO: dict[str, Any] = {
    "Boolean": False, "String": "", "Double": 0.0, "Float": 0.0, "DateTime": datetime(2000, 1, 1, tzinfo=UTC),
}  # fmt: skip


async def _written(server: Server, nodes: list[tuple[Node, Signal, list[int]]]) -> None:
    now_ns = time.time_ns()
    for node, each, upto in nodes:
        for event in each.events(upto[0] + 1, now_ns + 1):
            await server.write_attribute_value(node.nodeid, data_value(each, event))
        upto[0] = now_ns


def _ns(given: Any) -> int:
    return given.ns if isinstance(given, Moment) else 0


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--points", type=int, default=24)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--every", type=float, default=0.0, help="seconds between events; 0: 1, 2, 5 or 10")
    options.add_argument("--start", default="2026-01-01T00:00:00Z", help="of the history")
    options.add_argument("--hours", type=float, default=0.0, help="of history; 0: up to now")
    options.add_argument("--page", type=int, default=10_000, help="values of a node in one answer of history")
    options.add_argument("--most-nodes", type=int, default=1_000, help="that one question about history may name")
    options.add_argument("--most-values", type=int, default=1_000_000, help="that one answer of history may hold")
    options.add_argument("--username", default="")
    options.add_argument("--password", default="")
    options.add_argument("--certificate", type=Path)
    options.add_argument("--private-key", type=Path)
    given = options.parse_args()
    given.start_ns = int(datetime.fromisoformat(given.start).timestamp()) * 1_000_000_000
    given.end_ns = given.start_ns + int(given.hours * 3600e9) if given.hours else 0
    asyncio.run(serve(given))
    return 0
