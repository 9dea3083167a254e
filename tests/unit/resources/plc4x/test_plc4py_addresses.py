"""Connections of plc4py: chosen by their url, refused where it would read wrongly, and told when it is not there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.plant import load_plant, load_tags
from pipelines.ports import Tag, Unreachable
from pipelines.timeline import SECOND_NS
from resources.plc4x import connections as wiring
from resources.plc4x import plc4py_library
from resources.plc4x.plc4py_addresses import address_error, url_error

PLANT = """
[plant]
name = "demo"

[[source]]
name = "line1"
kind = "plc4x"
start = 2026-01-01T00:00:00Z

[[source.tag]]
name = "Pressure"
address = "holding-register:1"
type = "INT"

[[source.connection]]
name = "press"
url = "plc4py:modbus:tcp://127.0.0.1:502?unit_identifier=1"

[store]
iotdb = "embedded"
"""


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("plc4py", "plc4py.PlcDriverManager"):
        monkeypatch.setitem(sys.modules, name, None)
    plc4py_library.manager.cache_clear()
    yield
    plc4py_library.manager.cache_clear()


@pytest.mark.usefixtures("not_installed")
def test_without_plc4py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ferry.toml").write_text(PLANT, encoding="utf-8")
    plant = load_plant(tmp_path / "ferry.toml")
    [settings] = plant.source
    assert settings.connection[0].plc4py
    monkeypatch.setattr(wiring, "plc4j", lambda *_: pytest.fail("Java is not needed"))
    with pytest.raises(Unreachable, match=r"`pip install` the folder plc4py of Apache PLC4X's source tree, and xsdata"):
        wiring.connections(plant, settings, load_tags(settings, plant.folder))


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("modbus:tcp://127.0.0.1:502?unit_identifier=1", True),
        ("modbus:tcp://plc.example", True),
        ("modbus://plc_1:502/?unit_identifier=17", True),
        ("mock:tcp://x", True),
        ("umas:tcp://127.0.0.1:502", True),
        ("modbus:tcp://plc-1:502", False),  # it would ask host plc
        ("modbus:tcp://127.0.0.1:502?unit-identifier=2", False),  # it would ask unit 1
        ("modbus:tcp://127.0.0.1:502?byte_order=LITTLE_ENDIAN", False),  # it would make 3559981056 of 54321
        ("modbus:udp://127.0.0.1:502", False),  # it would use TCP
    ],
)
def test_urls(url: str, fine: bool) -> None:
    assert (url_error(url) == "") is fine


@pytest.mark.parametrize(
    ("address", "type_", "length", "said"),
    [
        ("holding-register:1", "INT", 1, ""),
        ("holding-register:1", "", 1, ""),
        ("holding-register:1:REAL", "", 1, ""),
        ("4x00001", "REAL", 1, ""),
        ("400001", "LREAL", 1, ""),
        ("30001", "UINT", 1, ""),
        ("input-register:7", "DINT[4]", 4, ""),
        ("holding-register:1", "WORD", 1, ""),
        ("coil:1", "BOOL[3]", 3, ""),
        ("0x00001", "", 1, ""),
        ("holding-register:1{byte-order: 'LITTLE_ENDIAN'}", "REAL", 1, "without options"),
        ("holding-register:xx", "INT", 1, "takes holding-register:1"),
        ("4x1", "INT", 1, "takes holding-register:1"),
        ("4x0000112", "INT", 1, "takes holding-register:1"),  # it would read 4x00001
        ("holding-register:0", "INT", 1, "begin at 1"),
        ("holding-register:1[5]", "", 1, "belongs into the type"),
        ("coil:1", "INT", 1, "are BOOL"),
        ("holding-register:1", "WORD[3]", 3, "does not read WORD from registers as an array"),
        ("holding-register:1", "BOOL[3]", 3, "does not read BOOL from registers as an array"),
        ("holding-register:1", "CHAR[8]", 8, "does not read CHAR from registers"),
        ("holding-register:1", "STRING", 1, "does not read STRING from registers"),
    ],
)
def test_addresses(address: str, type_: str, length: int, said: str) -> None:
    tag = Tag("a", "press", address, type_, "number", SECOND_NS, "all", length)
    found = address_error("modbus:tcp://h", tag)
    assert said in found
    assert bool(found) == bool(said)
    assert address_error("umas:tcp://h", tag) == ""
