"""Stand-in PLCs as a person starts them, read through PLC4X."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pipelines.ports import Reading, Tag
from pipelines.timeline import SECOND_NS
from resources.plc4x.jvm import plc4j
from resources.plc4x.plc4j import Plc4jConnection
from simulators.modbus.server import value_of
from tests.opcua_plc import free_port


def tag(name: str, address: str, type_: str) -> Tag:
    return Tag(name, "plc", address, type_, "number", SECOND_NS, "all")


def test_a_modbus_stand_in_tells_what_it_says_it_does() -> None:
    port = free_port()
    command = [sys.executable, "-c", "from cli.main import main; main()", "simulate", "modbus", "--port", str(port)]
    child = subprocess.Popen([*command, "--points", "5", "--seed", "3"], stdout=subprocess.PIPE, text=True)
    connection = Plc4jConnection(plc4j(), f"modbus-tcp:tcp://127.0.0.1:{port}?request-timeout=2000", 5.0)
    try:
        assert child.stdout is not None
        while child.stdout.readline() != "listening\n":
            assert child.poll() is None
        tags = [tag("signal 4", "holding-register:9", "REAL"), tag("seconds", "holding-register:11", "UDINT")]
        tags += [tag("coil", "coil:16", "BOOL")]
        before_s = time.time()
        readings: dict[str, Reading] = {each.name: reading for each, reading in connection.read(tags)}
        assert readings["signal 4"].values[0] == pytest.approx(value_of(4, 3, before_s), rel=0.02)
        assert int(before_s) <= int(readings["seconds"].values[0]) <= int(time.time())
        assert readings["coil"].values[0] in (True, False)
    finally:
        connection.close()
        child.terminate()
        child.wait()
