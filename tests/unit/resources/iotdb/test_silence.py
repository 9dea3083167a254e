"""A node that takes connections and answers nothing, as a stopped process does."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from thrift.transport.TTransport import TTransportException

from pipelines.ports import Unreachable
from resources import silence
from resources.iotdb import session
from resources.iotdb.session import Node, _Socket
from resources.iotdb.sessions import Sessions


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(silence, "SAY_AFTER_S", 0.05)
    monkeypatch.setattr(session, "SAY_AFTER_S", 0.05)
    monkeypatch.setattr(silence, "GIVE_UP_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Node("127.0.0.1", server.getsockname()[1])


def fails() -> None:
    raise TimeoutError


def opened(node: Node, ping, timeout_s: float) -> _Socket:  # type: ignore[no-untyped-def]
    wire = _Socket(node, ping)
    wire.setTimeout(timeout_s * 1_000)
    wire.open()
    return wire


def test_who_answers_nobody_hangs(silent: Node, caplog: pytest.LogCaptureFixture) -> None:
    began_s = time.monotonic()
    with pytest.raises(TTransportException, match="is its process stopped"):
        opened(silent, fails, 60.0).read(4)
    assert time.monotonic() - began_s < 30
    assert f"waiting for IoTDB at {silent}" in caplog.text


def test_who_answers_others_is_busy_and_has_all_of_its_time(silent: Node) -> None:
    began_s = time.monotonic()
    with pytest.raises(TTransportException, match="read timeout"):
        opened(silent, lambda: None, 1.0).read(4)
    assert time.monotonic() - began_s >= 1.0


def test_a_store_that_is_stopped_is_unreachable(silent: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(Unreachable, match=f"{silent}.*no node answers"):
        Sessions([str(silent)], "root", "root", "x").query("SELECT 1", "asking")
