"""The embedded PostgreSQL as it is used and abused: attach, kill, restart, two at once, passwords."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from resources.embedded import EmbeddedPostgres, PostgresAddress, account
from resources.embedded import postgres as postgres_module
from resources.embedded.ports import is_free

ROOT = Path(__file__).parents[2]
ENSURE = (
    "import sys; from pathlib import Path; from resources.embedded import EmbeddedPostgres; "
    "print(EmbeddedPostgres(Path(sys.argv[1])).ensure().port)"
)


def wait_until(true: Callable[[], object], deadline_s: float = 20.0) -> None:
    end_s = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)


def elsewhere(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(state_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ferry embedded ü-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()


@pytest.fixture
def address(server: EmbeddedPostgres) -> PostgresAddress:
    return server.ensure()


def rows(address: PostgresAddress) -> int:
    with psycopg.connect(address.dsn("ledger"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept(at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO kept DEFAULT VALUES")
        found = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert found is not None
    return int(found[0])


def test_two_processes_at_once_start_one_server(server: EmbeddedPostgres, folder: Path) -> None:
    others = [elsewhere(folder) for _ in range(2)]
    mine = server.ensure().port
    assert {int(other.communicate(timeout=60)[0]) for other in others} == {mine}
    status = server.status()
    assert status.running
    assert len(status.pids) == 1
    assert status.address == f"127.0.0.1:{mine}"


def test_it_is_one_of_its_own_session_with_both_databases(server: EmbeddedPostgres, address: PostgresAddress) -> None:
    (pid,) = server.status().pids
    assert os.getsid(pid) == pid
    with psycopg.connect(address.dsn("dagster")) as connection:
        got = connection.execute("SELECT datcollate FROM pg_database WHERE datname = 'ledger'").fetchone()
        assert got is not None
        assert connection.execute("SELECT 'ä' < 'z', upper('ä'), current_setting('TimeZone')").fetchone() == (
            False,
            "Ä",
            "UTC",
        )


def test_the_password_is_asked_for(address: PostgresAddress) -> None:
    for password in ("wrong", ""):
        stranger = PostgresAddress(address.host, address.port, address.user, password)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(stranger.dsn("ledger"))
    with psycopg.connect(address.dsn("postgres")) as connection:
        methods = connection.execute("SELECT DISTINCT type, auth_method FROM pg_hba_file_rules").fetchall()
    assert methods == [("host", "scram-sha-256")]


def test_it_listens_on_the_loopback_alone_and_on_no_unix_socket(
    server: EmbeddedPostgres, address: PostgresAddress
) -> None:
    (pid,) = server.status().pids
    process = psutil.Process(pid)
    listening = [c.laddr[:2] for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", address.port)]
    assert [c for c in process.net_connections("unix") if c.laddr] == []


def test_nothing_of_it_is_open_to_others(folder: Path, address: PostgresAddress) -> None:
    home = folder / "postgres"
    assert (home / "data").stat().st_mode & 0o077 == 0
    assert (home / "password").stat().st_mode & 0o077 == 0
    assert address.password not in "".join(psutil.Process(EmbeddedPostgres(folder).status().pids[0]).cmdline())


def test_a_row_survives_kill_9(server: EmbeddedPostgres, address: PostgresAddress) -> None:
    before = rows(address)
    (pid,) = server.status().pids
    os.kill(pid, signal.SIGKILL)
    again = server.ensure()  # at once, while it is still dying
    assert again == address
    assert server.status().pids != (pid,)
    assert rows(again) == before + 1


def test_a_postmaster_pid_that_names_a_stranger_is_no_obstacle(
    server: EmbeddedPostgres, address: PostgresAddress, folder: Path
) -> None:
    before = rows(address)
    (pid,) = server.status().pids
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.status().pids)
    lock_file = folder / "postgres" / "data" / "postmaster.pid"
    lines = lock_file.read_text(encoding="utf-8").splitlines(keepends=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        lock_file.write_text(f"{stranger.pid}\n" + "".join(lines[1:]), encoding="utf-8")
        assert rows(server.ensure()) == before + 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_busy_backend_of_a_killed_server_is_no_obstacle(server: EmbeddedPostgres, address: PostgresAddress) -> None:
    before = rows(address)
    busy = psycopg.connect(address.dsn("ledger"), autocommit=True)
    backend = busy.info.backend_pid

    def loop() -> None:
        with contextlib.suppress(psycopg.Error):
            busy.execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$")

    thread = threading.Thread(target=loop)
    thread.start()
    wait_until(lambda: psutil.Process(backend).cpu_times().user > 0.05)
    os.kill(server.status().pids[0], signal.SIGKILL)
    assert rows(server.ensure()) == before + 1
    thread.join()
    busy.close()
    wait_until(lambda: not psutil.pid_exists(backend))


def test_stop_ends_clients_waits_for_the_port_and_starts_again(
    server: EmbeddedPostgres, address: PostgresAddress
) -> None:
    before = rows(address)
    open_client = psycopg.connect(address.dsn("ledger"))
    open_client.execute("SELECT 1")
    assert server.stop()
    with pytest.raises(psycopg.OperationalError):
        open_client.execute("SELECT 1")
    open_client.close()
    assert not server.stop()
    assert not server.status().running
    assert is_free(address.port)
    assert rows(server.ensure()) == before + 1


def test_another_port_when_its_own_was_taken_meanwhile(
    server: EmbeddedPostgres, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_module, "_PORT_DEADLINE_S", 0.2)
    before = rows(address)
    server.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", address.port))
        thief.listen()
        moved = server.ensure()
        assert moved.port != address.port
        assert rows(moved) == before + 1
    assert server.ensure() == moved


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.part"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="utf-8")
    server = EmbeddedPostgres(tmp_path)
    try:
        assert rows(server.ensure()) == 1
    finally:
        server.stop()


def test_threads_at_once_get_one_address(server: EmbeddedPostgres) -> None:
    got: list[PostgresAddress] = []
    threads = [threading.Thread(target=lambda: got.append(server.ensure())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 5
    assert len(set(got)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_under_root_without_namespaces_it_runs_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_namespaces_allowed", lambda: False)
    monkeypatch.setattr(account, "_closed", lambda folder: None)
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        server = EmbeddedPostgres(Path(path))
        try:
            assert rows(server.ensure()) == 1
            (pid,) = server.status().pids
            assert psutil.Process(pid).uids().effective == 65534
        finally:
            server.stop()
