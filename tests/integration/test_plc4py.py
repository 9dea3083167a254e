"""PLCs read by Apache's plc4py from a real Modbus server: types, bad tags, a peer that is silent, killed and back."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.plant import load_plant
from pipelines.ports import Reading, Retry, Stop, Tag
from pipelines.samples import Quality
from pipelines.timeline import SECOND_NS
from resources.embedded.ports import choose
from resources.plc4x import connections as wiring
from resources.plc4x import plc4py_connection
from resources.plc4x.plc4py_connection import Plc4pyConnection
from tests.integration.test_plc4x import ROOT, modbus
from tests.modbus_plc import VALUES

pytest.importorskip("plc4py", reason="plc4py is not installed: docs/plant-file.md says how, no registry has it")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = choose(["modbus"])["modbus"]
    with modbus(port):
        yield port


def url(port: int) -> str:
    return f"modbus:tcp://127.0.0.1:{port}?unit_identifier=1"


def tag(name: str, address: str, type_: str = "", length: int = 1) -> Tag:
    return Tag(name, "plc", address, type_, "number", SECOND_NS, "all", length)


@pytest.fixture
def connection(port: int) -> Iterator[Plc4pyConnection]:
    found = Plc4pyConnection(url(port), 5.0)
    yield found
    found.close()


def read(connection: Plc4pyConnection, tags: list[Tag]) -> list[Reading]:
    return [reading for _, reading in connection.read(tags)]


def test_every_type(connection: Plc4pyConnection) -> None:
    tags = [tag(kind, f"holding-register:{1 + 4 * place}", kind) for place, kind in enumerate(VALUES)]
    found = read(connection, tags)
    assert [reading.values for reading in found] == [(value,) for _, value in VALUES.values()]
    assert {reading.quality for reading in found} == {int(Quality.GOOD)}
    assert all(type(reading.values[0]) in (int, float) for reading in found)


def test_bits_arrays_and_numbers_that_are_none(connection: Plc4pyConnection) -> None:
    tags = [
        tag("coil", "coil:1", "BOOL"), tag("clear", "coil:2", "BOOL"), tag("bits", "coil:1", "BOOL[5]", 5),
        tag("array", "holding-register:511", "INT[5]", 5), tag("infinite", "4x00503", "REAL"),
        tag("reals", "holding-register:25", "REAL[2]", 2), tag("word", "input-register:511", "WORD"),
    ]  # fmt: skip
    assert [reading.values for reading in read(connection, tags)] == [
        (True,), (False,), (True, False, False, True, False), (1, 2, 3, 4, 5), (math.inf,),
        (VALUES["REAL"][1], 0.0), (1,),
    ]  # fmt: skip
    [none] = read(connection, [tag("none", "holding-register:501", "REAL")])
    assert math.isnan(float(none.values[0]))


def test_a_bad_tag_is_bad_alone(connection: Plc4pyConnection) -> None:
    tags = [
        tag("malformed", "holding-register:xx", "INT"), tag("first", "holding-register:511", "INT"),
        tag("beyond", "holding-register:5000", "INT"), tag("second", "holding-register:512", "INT"),
        tag("no such type", "holding-register:511", "NOPE"), tag("text", "holding-register:511", "STRING"),
        tag("just beyond", "holding-register:2010", "INT"), tag("third", "holding-register:513", "INT"),
    ]  # fmt: skip
    for _ in range(3):
        found = {each.name: reading for each, reading in zip(tags, read(connection, tags), strict=True)}
        good = {name: reading.values for name, reading in found.items() if reading.values}
        assert good == {"first": (1,), "second": (2,), "third": (3,)}
        assert {name: reading.reason for name, reading in found.items() if not reading.values} == {
            "malformed": "PlcFieldParseException: Unable to parse address: holding-register:xx:INT",
            "beyond": "ILLEGAL_DATA_ADDRESS", "just beyond": "ILLEGAL_DATA_ADDRESS",
            "no such type": "KeyError: 'NOPE'", "text": "the driver reads no value of this type",
        }  # fmt: skip
        assert {reading.quality for reading in found.values() if not reading.values} == {int(Quality.BAD_CONFIG)}
        assert found["beyond"].detail == 2


def test_an_answer_that_breaks_the_connection_is_that_tags_alone(port: int) -> None:
    """A Modbus exception that plc4py has no name for: it would wait for 10 s."""
    proxy = subprocess.Popen([sys.executable, "-c", _EXCEPTIONS, str(port)], stdout=subprocess.PIPE, text=True)
    assert proxy.stdout is not None
    try:
        connection = Plc4pyConnection(url(int(proxy.stdout.readline())), 5.0)
        began_s = time.monotonic()
        odd, fine = read(connection, [tag("odd", "holding-register:5000", "INT"), tag("fine", "4x00511", "INT")])
        assert time.monotonic() - began_s < 2.0
        assert (odd.values, odd.reason) == ((), "the connection breaks when it is read")
        assert fine.values == (1,)
        connection.close()
    finally:
        proxy.kill()
        proxy.wait()
        proxy.stdout.close()


def test_a_connection_is_made_anew_before_plc4py_cannot_number_its_requests(
    connection: Plc4pyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plc4py_connection, "_REQUESTS_MAX", 3)
    used = set()
    for _ in range(8):
        assert read(connection, [tag("a", "holding-register:511", "INT")])[0].values == (1,)
        used.add(connection._connection)
    assert len(used) == 3


_EXCEPTIONS = """
import asyncio, sys

async def serve(reader, writer):
    back, there = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    while data := await reader.read(300):
        there.write(data)
        answer = await back.read(300)
        writer.write(answer[:8] + b"\\x81" if answer[7] & 0x80 else answer)
    there.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.mark.parametrize("wrong", ["nope:tcp://x", "modbus-tcp:tcp://127.0.0.1:1", "modbus:tcp://plc-1:502"])
def test_a_url_that_plc4py_does_not_take(wrong: str) -> None:
    with pytest.raises(Stop, match=wrong):
        Plc4pyConnection(wrong, 5.0)


def test_the_plant_file_chooses_it_and_needs_no_java(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "plc4j", lambda *_: pytest.fail("Java is not needed"))
    (tmp_path / "ferry.toml").write_text(PLANT.format(url=url(port)), encoding="utf-8")
    plant = load_plant(tmp_path / "ferry.toml")
    [settings] = plant.source
    good = [tag("a", "holding-register:511", "INT")]
    [connection] = wiring.connections(plant, settings, good).values()
    assert [reading.values for _, reading in connection.read(good)] == [(1,)]
    connection.close()
    with pytest.raises(Stop, match="source 'line1', tag 'b': address 'holding-register:1' of type STRING: plc4py does"):
        wiring.connections(plant, settings, [*good, tag("b", "holding-register:1", "STRING")])


PLANT = """
[plant]
name = "demo"
[[source]]
name = "line1"
kind = "plc4x"
start = 2026-01-01T00:00:00Z
tag = [{{ name = "a", address = "holding-register:511", type = "INT" }}]
[[source.connection]]
name = "plc"
url = "plc4py:{url}"
[store]
iotdb = "embedded"
"""


def test_nobody_listens() -> None:
    connection = Plc4pyConnection(url(choose(["none"])["none"]), 5.0)
    with pytest.raises(Retry, match="Connect call failed"):
        connection.read([])


def test_a_silent_peer_costs_no_more_than_the_deadline() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connection = Plc4pyConnection(url(listener.getsockname()[1]), 0.5)
        for _ in range(3):
            began_s = time.monotonic()
            with pytest.raises(Retry, match=r"no answer within 0\.5 s"):
                connection.read([tag("a", "holding-register:1", "INT"), tag("b", "holding-register:1", "INT")])
            assert time.monotonic() - began_s < 1.0
        connection.close()


def test_a_plc_that_is_killed_and_comes_back() -> None:
    port = choose(["modbus"])["modbus"]
    one = [tag("a", "holding-register:511", "INT")]
    connection = Plc4pyConnection(url(port), 1.0)
    with modbus(port) as child:
        assert read(connection, one)[0].values == (1,)
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(Retry, match="no answer within 1 s"):
            connection.read(one)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with pytest.raises(Retry):
            connection.read(one)
    with modbus(port) as child:
        assert read(connection, one)[0].values == (1,)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with modbus(port):
        assert read(connection, one)[0].values == (1,)
        connection.close()
        connection.close()
        assert read(connection, one)[0].values == (1,)
    connection.close()


def test_the_root_logger_is_left_alone(port: int) -> None:
    code = f"""
import logging
from pipelines.ports import Tag
from resources.plc4x.plc4py_connection import Plc4pyConnection
rows = [Tag(f"a{{n}}", "plc", f"holding-register:{{n}}", "INT", "number", 10**9, "all") for n in (511, 5000)]
found = Plc4pyConnection({url(port)!r}, 5.0).read(rows)
print([reading.values for _, reading in found], logging.root.level == logging.WARNING, logging.root.handlers)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[(1,), ()] True []\n"
    assert "root" not in done.stderr
