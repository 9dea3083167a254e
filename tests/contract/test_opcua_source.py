"""The history of an OPC UA server, read as any other source is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.points import Point, point_id
from pipelines.ports import Source, Split, Unreachable
from pipelines.timeline import HOUR_NS, MINUTE_NS, SECOND_NS, Interval, iso, parse
from resources.budget import Budget
from resources.opcua.pulling import Pace
from resources.opcua.server import Patience, Server
from resources.opcua.source import OpcUaSource
from simulators.opcua.signals import ARRAY, STATES, Event, Signal, plant
from tests.contract.source_contract import SourceCase, SourceContract, drained, events_of, same
from tests.opcua_plc import free_port, login, opcua

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START + 5 * MINUTE_NS, START + 11 * MINUTE_NS)
SIGNALS = plant(36, seed=3)
HASTE = Patience(tries=2, first_wait_s=0.01, longest_wait_s=0.05)


def rows_of(signal: Signal, event: Event, tie: int) -> Iterator[dict[str, Any]]:
    """An event as it should be stored, one row an element; written apart from the product's rules."""
    quality = {0: 192, 0x4090_0000: 68, 0x808C_0000: 16}[event.status]
    detail = event.status - 2**32 if event.status >= 2**31 else event.status
    elements = ARRAY if signal.kind == "Array" else 1
    for place in range(elements):
        value = event.value[place] if isinstance(event.value, list) else event.value
        row: dict[str, Any] = {"value": None, "text": None, "code": None}
        if value is None:
            row |= {"text": "BadSensorFailure", "code": -1}
        elif signal.kind == "State":
            row |= {"text": STATES[int(value)], "code": int(value)}
        elif signal.kind == "DateTime":
            row |= {"text": iso(int(value)), "code": -1}
        elif signal.kind == "String":
            row |= {"text": value, "code": -1}
        elif signal.kind in ("Int64", "UInt64"):
            row |= {"text": str(value), "code": int(value) if int(value) < 2**63 else -1}
        else:
            row["value"] = float(value)
        name = f"Plant/{signal.name.partition('.')[0]}/{signal.name.partition('.')[2]}"
        name += f"[{place}]" if elements > 1 else ""
        stamp = {"time": event.time_ns, "tie": tie, "quality": quality, "detail": detail}
        yield {"point": point_id(name), **stamp, **row}


def truth(span: Interval) -> pa.Table:
    rows = []
    for signal in SIGNALS:
        before, tie = None, 0
        for event in signal.events(max(span.start_ns, START), span.end_ns):
            tie = tie + 1 if event.time_ns == before else 0
            before = event.time_ns
            rows += list(rows_of(signal, event, tie))
    columns = {name: [row.get(name) for row in rows] for name in samples.SCHEMA.names}
    arrays = {
        field.name: pa.array(columns[field.name], pa.int64()).cast(field.type)
        if field.name == "time"
        else pa.array(columns[field.name], pa.string() if field.name == "point" else field.type)
        for field in samples.SCHEMA
    }
    arrays["point"] = arrays["point"].dictionary_encode()
    return samples.samples_table(arrays)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    with opcua(port, "--points", "36", "--seed", "3", "--start", iso(START), "--hours", "1"):
        yield port


def connected(port: int, folder: Path, pace: Pace | None = None) -> Any:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Source]:
        server = Server("opcua1", login(port, folder, timeout_s=20.0), Budget(10_000), HASTE)
        source = OpcUaSource(server, pace=pace and dataclasses.replace(pace))
        try:
            yield source
        finally:
            await source.close()

    return connect


@pytest.fixture(scope="module")
def case(port: int, tmp_path_factory: pytest.TempPathFactory) -> SourceCase:
    folder = tmp_path_factory.mktemp("opcua")
    return SourceCase(
        connect=connected(port, folder),
        connect_tiny=connected(port, folder, Pace(values=2, nodes=1)),
        truth=truth,
        span=SPAN,
        empty=Interval(START - HOUR_NS, START - HOUR_NS + MINUTE_NS),
        point_count=len(SIGNALS) + (ARRAY - 1) * sum(signal.kind == "Array" for signal in SIGNALS),
        missing=lambda point: dataclasses.replace(point, address=f"{point.address}-gone"),
    )


class TestOpcUaSource(SourceContract):
    """The suite."""


@pytest.mark.parametrize(
    "limit", [("page", 1), ("page", 2), ("page", 3), ("page", 50), ("most-nodes", 5), ("most-values", 30)], ids=str
)
def test_servers_that_give_little_at_once(limit: tuple[str, int], tmp_path: Path) -> None:
    port = free_port()
    told = ("--points", "36", "--seed", "3", "--start", iso(START), "--hours", "1", f"--{limit[0]}", str(limit[1]))
    span = Interval(START + MINUTE_NS, START + 2 * MINUTE_NS)

    async def work() -> None:
        async with connected(port, tmp_path)() as source:
            points = await source.discover()
            batches = await drained(source, points, span)
            assert not any(batch.failed for batch in batches)
            same(events_of(batches), truth(span))

    with opcua(port, *told):
        asyncio.run(work())


def test_what_a_point_says_of_itself(port: int, tmp_path: Path) -> None:
    async def work() -> list[Point]:
        async with connected(port, tmp_path)() as source:
            return await source.discover()

    points = {point.name.rpartition("/")[2]: point for point in asyncio.run(work())}
    assert points["Ü0000 Double"].unit == "°C" and points["Ü0000 Double"].kind == "number"
    assert (
        points["Ü0005 State"].kind == "digital" and points["Ü0005 State"].digital_set == "Stopped / Running / Störung"
    )
    assert points["Ü0008 Array[2]"].source_type == "LREAL"
    assert points["Ü0003 String"].kind == "string" and points["Ü0002 Boolean"].kind == "boolean"


def test_more_than_fits_is_split(port: int, tmp_path: Path) -> None:
    async def work() -> None:
        async with connected(port, tmp_path)() as source:
            points = await source.discover()
            with pytest.raises(Split, match="more than 10 events"):
                await drained(source, points, Interval(START, START + 30 * SECOND_NS * 10), 10)

    asyncio.run(work())


def test_a_server_that_is_away_is_unreachable_and_found_again(tmp_path: Path) -> None:
    port = free_port()

    async def work() -> None:
        async with connected(port, tmp_path)() as source:
            with opcua(port, "--points", "3", "--start", iso(START), "--hours", "1"):
                assert len(await source.discover()) == 3
            with pytest.raises(Unreachable):
                await source.discover()
            with opcua(port, "--points", "3", "--start", iso(START), "--hours", "1"):
                assert len(await source.discover()) == 3

    asyncio.run(work())


def test_a_pull_that_is_cancelled_and_a_session_that_ends_cost_another_pull_nothing(case: SourceCase) -> None:
    async def work() -> None:
        async with case.connect() as source:
            points = await source.discover()
            for trouble in ("cancel", "close"):
                given_up = asyncio.create_task(drained(source, points, case.span))
                kept = asyncio.create_task(drained(source, points, case.span))
                await asyncio.sleep(0.05)
                if trouble == "cancel":
                    given_up.cancel()
                else:
                    await source.close()
                same(events_of(await kept), case.truth(case.span))
                await asyncio.gather(given_up, return_exceptions=True)

    asyncio.run(work())
