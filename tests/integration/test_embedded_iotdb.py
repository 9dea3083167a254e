"""The embedded IoTDB as it is used and abused: attach, kill -9 of either process, restart, ports, passwords."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from iotdb.Session import Session
from iotdb.table_session import TableSession, TableSessionConfig
from tsfile import ColumnCategory, ColumnSchema, TableSchema, TSDataType, TsFileTableWriter

from resources.embedded import EmbeddedIoTDB, IoTDBAddress, ServerNotReady
from resources.embedded import iotdb as iotdb_module
from resources.embedded.child import Child
from resources.embedded.iotdb_settings import RPC_PORT
from resources.embedded.ports import recall

ROOT = Path(__file__).parents[2]
ENSURE = (
    "import sys; from pathlib import Path; from resources.embedded import EmbeddedIoTDB; "
    "print(EmbeddedIoTDB(Path(sys.argv[1])).ensure().port)"
)
AT_NS = 1_700_000_000_123_456_700


class Table:
    """A table of one number a row, to see what survives."""

    def __init__(self, address: IoTDBAddress) -> None:
        self.session = TableSession(
            TableSessionConfig(
                node_urls=[f"{address.host}:{address.port}"],
                username=address.user,
                password=address.password,
                time_zone="UTC",
            )
        )
        self.tell("CREATE DATABASE IF NOT EXISTS kept", "USE kept")
        self.tell("CREATE TABLE IF NOT EXISTS t(point STRING TAG, value DOUBLE FIELD)")

    def tell(self, *statements: str) -> None:
        for statement in statements:
            self.session.execute_non_query_statement(statement)

    def ask(self, query: str) -> list[list[object]]:
        with self.session.execute_query_statement(query) as answer:
            frame = answer.todf()
        return [list(row) for row in frame.itertuples(index=False)]

    def add(self) -> int:
        """Adds a row and returns how many there are now."""
        self.tell(f"INSERT INTO t(time, point, value) VALUES ({time.time_ns()}, 'p', 1.5)")
        return int(str(self.ask("SELECT count(*) FROM t WHERE point = 'p'")[0][0]))


def add(address: IoTDBAddress) -> int:
    table = Table(address)
    try:
        return table.add()
    finally:
        table.session.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ferry embedded ü-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[EmbeddedIoTDB]:
    server = EmbeddedIoTDB(folder, heap_mb=512)
    yield server
    server.stop()


@pytest.fixture
def address(server: EmbeddedIoTDB) -> IoTDBAddress:
    return server.ensure()


def test_two_processes_at_once_start_one_server(server: EmbeddedIoTDB, folder: Path) -> None:
    assert server.status().detail.startswith("never started")
    other = subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    port = server.ensure().port
    assert int(other.communicate(timeout=120)[0]) == port
    status = server.status()
    assert status.running
    assert len(status.pids) == 2
    assert all(os.getsid(pid) == pid for pid in status.pids)
    assert status.address == f"127.0.0.1:{port}"
    start = time.monotonic()
    server.ensure()
    assert time.monotonic() - start < 5.0


def test_the_well_known_password_is_refused(address: IoTDBAddress) -> None:
    for password in ("root", "", "wrong"):
        with pytest.raises(Exception, match="801"):
            Session(address.host, address.port, address.user, password).open()


def test_it_loads_from_staging_to_the_nanosecond(server: EmbeddedIoTDB, address: IoTDBAddress) -> None:
    assert server.staging_dir.is_absolute()
    path = server.staging_dir / "first.tsfile"
    columns = [
        ColumnSchema("point", TSDataType.STRING, ColumnCategory.TAG),
        ColumnSchema("value", TSDataType.DOUBLE, ColumnCategory.FIELD),
    ]
    writer = TsFileTableWriter(str(path), TableSchema("t", columns))
    writer.write_arrow_batch(pa.table({"time": [AT_NS, AT_NS + 100], "point": ["loaded"] * 2, "value": [1.5, 2.5]}))
    writer.close()
    table = Table(address)
    table.tell(f"LOAD '{path}' WITH ('database-name'='kept','on-success'='none','convert-on-type-mismatch'='false')")
    got = table.ask("SELECT CAST(time AS INT64), value FROM t WHERE point = 'loaded' ORDER BY time")
    assert got == [[AT_NS, 1.5], [AT_NS + 100, 2.5]]
    with pytest.raises(Exception, match="Unknown column"):
        table.tell("INSERT INTO t(time, point, valu) VALUES (1, 'p', 1.0)")
    table.session.close()


@pytest.mark.parametrize("victims", [(1,), (0,), (0, 1)], ids=["DataNode", "ConfigNode", "both"])
def test_a_row_survives_kill_9(server: EmbeddedIoTDB, address: IoTDBAddress, victims: tuple[int, ...]) -> None:
    before = add(address)
    pids = server.status().pids
    for victim in victims:
        os.kill(pids[victim], signal.SIGKILL)
    if 1 in victims:
        assert server.died()
    again = server.ensure()  # at once, while they are still dying
    assert again == address
    assert add(again) == before + 1
    assert all(server.status().pids[victim] != pids[victim] for victim in victims)


def test_stop_then_another_rpc_port_when_its_own_was_taken(
    server: EmbeddedIoTDB, address: IoTDBAddress, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iotdb_module, "_PORTS_DEADLINE_S", 0.2)
    before = add(address)
    assert server.stop()
    assert not server.died()
    assert not server.stop()
    assert not server.status().running
    known = recall(folder / "iotdb" / "ports.json", [RPC_PORT, "dn_internal_port"])
    assert known is not None

    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", known["dn_internal_port"]))
        thief.listen()
        with pytest.raises(ServerNotReady, match=f"dn_internal_port {known['dn_internal_port']}"):
            server.ensure()
    assert not server.status().pids

    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", address.port))
        thief.listen()
        moved = server.ensure()
        assert moved.port != address.port
        assert add(moved) == before + 1


def test_its_logs_are_where_status_says_and_hold_no_password(server: EmbeddedIoTDB, address: IoTDBAddress) -> None:
    logs = Path(server.status().detail.partition("logs ")[2])
    names = {path.name for path in logs.iterdir()}
    assert {"iotdb-confignode.log", "iotdb-datanode.log"} <= names
    assert not any(address.password in path.read_text(encoding="utf-8") for path in logs.iterdir())


@pytest.mark.slow
def test_a_first_start_that_was_killed_half_way_is_begun_anew(tmp_path: Path, address: IoTDBAddress) -> None:
    first = subprocess.Popen([sys.executable, "-c", ENSURE, str(tmp_path)], cwd=ROOT, stdin=subprocess.DEVNULL)
    log = tmp_path / "logs" / "iotdb-datanode.log"
    end_s = time.monotonic() + 60
    while not (log.exists() and "Starting IoTDB" in log.read_text(encoding="utf-8")):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    server = EmbeddedIoTDB(tmp_path, heap_mb=512)
    first.kill()
    first.wait()
    try:
        for pid in server.status().pids:
            os.kill(pid, signal.SIGKILL)
        assert add(server.ensure()) == 1
    finally:
        server.stop()


def test_a_server_that_dies_while_starting_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iotdb_module, "_START_DEADLINES_S", (60.0,))
    server = EmbeddedIoTDB(tmp_path, heap_mb=1)  # Java refuses so small a heap
    with pytest.raises(ServerNotReady, match=r"(?s)datanode died while starting.*heap"):
        server.ensure()
    assert not server.status().pids


def test_a_cluster_without_a_leader_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iotdb_module, "_START_DEADLINES_S", (120.0,))
    monkeypatch.setattr(iotdb_module, "_LEADER_DEADLINE_S", 3.0)
    server = EmbeddedIoTDB(tmp_path, heap_mb=256)
    spawn = Child.spawn

    def deaf(child: Child, argv: Sequence[str], *rest: object) -> int:
        pid = spawn(child, argv, *rest)  # type: ignore[arg-type]
        if child.name == "confignode":
            os.kill(pid, signal.SIGSTOP)
        return pid

    monkeypatch.setattr(Child, "spawn", deaf)
    monkeypatch.setattr(iotdb_module, "_STOP", ((signal.SIGKILL, 20.0),))
    with pytest.raises(ServerNotReady, match="no leader"):
        server.ensure()
    assert not server.status().pids
