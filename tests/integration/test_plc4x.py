"""PLCs read by PLC4X from a real Modbus server: every type, bad tags, a peer that is silent, killed and back."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.ports import Reading, Retry, Stop, Tag
from pipelines.samples import Quality
from pipelines.timeline import SECOND_NS
from resources.embedded.ports import choose
from resources.plc4x.addresses import address_error
from resources.plc4x.jvm import Plc4j, plc4j
from resources.plc4x.plc4j import Plc4jConnection
from tests.modbus_plc import ORDERS, VALUES

NAMES = {
    "ABCD": "BIG_ENDIAN",
    "CDAB": "LITTLE_ENDIAN_BYTE_SWAP",
    "BADC": "BIG_ENDIAN_BYTE_SWAP",
    "DCBA": "LITTLE_ENDIAN",
}
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def modbus(port: int) -> Iterator[subprocess.Popen[str]]:
    """A PLC in a process of its own."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.modbus_plc", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "listening\n"
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def java() -> Plc4j:
    return plc4j()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = choose(["modbus"])["modbus"]
    with modbus(port):
        yield port


def url(port: int, more: str = "") -> str:
    return f"modbus-tcp:tcp://127.0.0.1:{port}?request-timeout=2000{more}"


def tag(name: str, address: str, type_: str = "", length: int = 1) -> Tag:
    return Tag(name, "plc", address, type_, "number", SECOND_NS, "all", length)


@pytest.fixture
def connection(java: Plc4j, port: int) -> Iterator[Plc4jConnection]:
    found = Plc4jConnection(java, url(port), 5.0)
    yield found
    found.close()


def read(connection: Plc4jConnection, tags: list[Tag]) -> list[Reading]:
    return [reading for _, reading in connection.read(tags)]


@pytest.mark.parametrize("order", ORDERS)
def test_every_type_in_every_word_order(connection: Plc4jConnection, order: str) -> None:
    first = 1 + 100 * ORDERS.index(order)
    tags = [
        tag(kind, f"holding-register:{first + 4 * place}{{byte-order: '{NAMES[order]}'}}", kind)
        for place, kind in enumerate(VALUES)
    ]
    found = read(connection, tags)
    assert [reading.values for reading in found] == [(value,) for _, value in VALUES.values()]
    assert {reading.quality for reading in found} == {int(Quality.GOOD)}
    assert all(type(reading.values[0]) in (int, float) for reading in found)


def test_bits_arrays_and_numbers_that_are_none(connection: Plc4jConnection) -> None:
    tags = [
        tag("coil", "coil:1", "BOOL"), tag("clear", "coil:2", "BOOL"),
        tag("array", "holding-register:511", "INT[5]", 5), tag("infinite", "holding-register:503", "REAL"),
    ]  # fmt: skip
    found = read(connection, tags)
    assert [reading.values for reading in found] == [(True,), (False,), (1, 2, 3, 4, 5), (math.inf,)]


def test_what_was_read_is_freed(connection: Plc4jConnection) -> None:
    """A collector reads for months."""
    tags = [
        Tag(f"{kind}{place}", "press", f"holding-register:{place * 4 + 1}", kind, "number", SECOND_NS, "all")
        for kind in ("DINT", "REAL", "LREAL") for place in range(20)
    ]  # fmt: skip
    connection.read(tags)
    tracemalloc.start()
    try:
        for _ in range(100):
            connection.read(tags)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100 * len(tags), "bytes; every boxed number would be 24 or more"


def test_a_bad_tag_is_bad_alone(connection: Plc4jConnection) -> None:
    tags = [
        tag("malformed", "holding-register:xx", "INT"), tag("good", "holding-register:511", "INT"),
        tag("beyond", "holding-register:5000", "INT"), tag("neighbour", "holding-register:1990", "INT"),
        tag("just beyond", "holding-register:2010", "INT"), tag("text", "holding-register:511", "STRING"),
    ]  # fmt: skip
    for _ in range(2):
        found = {each.name: reading for each, reading in zip(tags, read(connection, tags), strict=True)}
        assert found["good"].values == (1,)
        assert found["neighbour"].values == (0,)
        bad = {name: reading.reason for name, reading in found.items() if not reading.values}
        assert bad == {
            "malformed": "INVALID_ADDRESS", "beyond": "INVALID_ADDRESS", "just beyond": "INVALID_ADDRESS",
            "text": "the driver reads no value of this type",
        }  # fmt: skip
        assert {found[name].quality for name in bad} == {int(Quality.BAD_CONFIG)}


def test_only_malformed_tags(connection: Plc4jConnection) -> None:
    [found] = read(connection, [tag("malformed", "nothing")])
    assert (found.values, found.reason) == ((), "INVALID_ADDRESS")


def test_the_simulated_driver(java: Plc4j) -> None:
    connection = Plc4jConnection(java, "simulated://x", 5.0)
    [found] = read(connection, [tag("random", "RANDOM/foo", "DINT")])
    assert isinstance(found.values[0], int)
    connection.close()


@pytest.mark.parametrize("wrong", ["nope:tcp://x", "modbus-tcp:tcp://127.0.0.1:1?request-timeout=soon"])
def test_a_url_that_no_driver_takes(java: Plc4j, wrong: str) -> None:
    with pytest.raises(Stop, match=wrong[:10]):
        Plc4jConnection(java, wrong, 5.0).read([tag("a", "holding-register:1", "INT")])


def test_nobody_listens(java: Plc4j) -> None:
    with pytest.raises(Retry, match="refused"):
        Plc4jConnection(java, url(choose(["none"])["none"]), 5.0).read([tag("a", "holding-register:1", "INT")])


@pytest.mark.parametrize(
    "place", ["modbus-tcp:tcp://127.0.0.1:{port}?request-timeout=60000", "s7:tcp://127.0.0.1:{port}"]
)
def test_a_silent_peer_costs_no_more_than_the_deadline(java: Plc4j, place: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connection = Plc4jConnection(java, place.format(port=listener.getsockname()[1]), 0.5)
        address = "holding-register:1" if place.startswith("modbus") else "%DB1:0"
        for _ in range(3):
            began_s = time.monotonic()
            with pytest.raises(Retry, match=r"no answer within 0\.5 s"):
                connection.read([tag("a", address, "INT")])
            assert time.monotonic() - began_s < 3.0
        connection.close()


def test_a_plc_that_is_killed_and_comes_back(java: Plc4j) -> None:
    port = choose(["modbus"])["modbus"]
    one = [tag("a", "holding-register:511", "INT")]
    connection = Plc4jConnection(java, url(port), 1.0)

    def answers() -> list[Reading] | str:
        try:
            return read(connection, one)
        except Retry as error:
            return str(error)

    with modbus(port) as child:
        assert read(connection, one)[0].values == (1,)
        os.kill(child.pid, signal.SIGSTOP)
        assert answers() == "no answer within 1 s"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert isinstance(answers(), str)
    with modbus(port):
        found: Any = answers()
        assert found[0].values == (1,), found
    connection.close()


@pytest.mark.parametrize(
    ("driver", "address", "type_", "said"),
    [
        ("modbus-tcp:tcp://h", "holding-register:1", "INT", ""),
        ("modbus-tcp:tcp://h", "holding-register:1{byte-order: 'LITTLE_ENDIAN'}", "REAL", ""),
        ("modbus-tcp:tcp://h", "holding-register:1", "CHAR[20]", ""),
        ("modbus-tcp:tcp://h", "holding-register:1", "INT[4]", ""),
        ("modbus-tcp:tcp://h", "coil:1", "BOOL", ""),
        ("modbus-tcp:tcp://h", "coil:1", "BOOL[3]", "only the first element"),
        ("modbus-tcp:tcp://h", "holding-register:1", "WORD[3]", "only the first element"),
        ("modbus-tcp:tcp://h", "holding-register:1", "STRING", "CHAR"),
        ("modbus-tcp:tcp://h", "holding-register:1{byte-order: LITTLE_ENDIAN}", "REAL", "in quotes"),
        ("modbus-tcp:tcp://h", "holding-register:1{unit-id: 3}", "REAL", "one connection a unit"),
        ("modbus-tcp:tcp://h", "holding-register:1{byte-order: 'SIDEWAYS'}", "REAL", "SIDEWAYS"),
        ("modbus-tcp:tcp://h", "holding-register:0", "INT", "greater than zero"),
        ("modbus-tcp:tcp://h", "%DB1.DBW0", "INT", "invalid"),
        ("s7://h", "%DB1.DBW0", "INT", ""),
        ("s7://h", "holding-register:1", "INT", "invalid"),
        ("eip://h", "holding-register:1", "INT", "not one of driver eip"),
        ("simulated://h", "RANDOM/foo", "DINT", ""),
        ("knx:tcp://h", "1/2/3", "", ""),
    ],
)
def test_addresses_are_checked_before_anything_is_connected(
    java: Plc4j, driver: str, address: str, type_: str, said: str
) -> None:
    found = address_error(java, driver, tag("a", address, type_))
    assert said in found
    assert bool(found) == bool(said)
