"""Status codes → error classes; and where nobody answers."""

from __future__ import annotations

import socket

import pytest

from pipelines.ports import FerryError, NoRoom, Retry, Stop, Unreachable
from resources.iotdb import IoTDBStore
from resources.iotdb.faults import Fault, TooMuch, error_of, fault_of


@pytest.mark.parametrize(
    ("code", "kind"),
    [(600, NoRoom), (611, NoRoom), (801, Stop), (803, Stop), (507, Stop), (607, Stop), (701, Stop), (719, TooMuch),
     (308, TooMuch), (301, Retry), (305, Retry), (606, Retry), (1100, Retry), (99_999, Retry)],
)  # fmt: skip
def test_the_code_decides(code: int, kind: type[FerryError]) -> None:
    error = error_of(Fault(code, "some text"), "IoTDB h:6667, database d", "writing")
    assert type(error) is kind
    assert "h:6667" in str(error) and "database d" in str(error) and str(code) in str(error)


@pytest.mark.parametrize("code", [200, 400])
def test_success(code: int) -> None:
    assert fault_of(code, "ok") is None


def test_of_many_parts_the_worst_counts() -> None:
    parts = [(200, ""), (301, "some"), (600, "read only"), (507, "type")]
    fault = fault_of(302, "many", parts)
    assert fault is not None and fault.code == 600
    assert fault_of(302, "many", [(200, ""), (400, "")]) is None


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = taken.getsockname()[1]
        store = IoTDBStore([f"127.0.0.1:{port}"], "root", "s3cret", "plant")
        with pytest.raises(Unreachable) as raised:
            store.prepare()
    assert f"127.0.0.1:{port}" in str(raised.value) and "plant" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["plant-db", ":6667", "plant-db:", "plant-db:x"])
def test_a_node_is_host_and_port(url: str) -> None:
    with pytest.raises(Stop, match="host:port"):
        IoTDBStore([url], "root", "root", "plant")


def test_no_node_at_all() -> None:
    with pytest.raises(Stop, match="no IoTDB node"):
        IoTDBStore([], "root", "root", "plant")
