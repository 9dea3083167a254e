"""Ports, locks, passwords and accounts of the embedded servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from resources.embedded import PostgresAddress, ServerNotReady, account, ports, secret
from resources.embedded.account import Account, server_account
from resources.embedded.lock import locked


def listener(host: str = "127.0.0.1") -> socket.socket:
    taken = socket.socket()
    taken.bind((host, 0))
    taken.listen()
    return taken


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_taken(host: str) -> None:
    with listener(host) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.is_listening(port)
        assert ports.taken([port], 0.05) == (port,)
    assert ports.is_free(port)
    assert not ports.is_listening(port)


def test_a_port_is_waited_for() -> None:
    taken = listener()
    port = taken.getsockname()[1]
    timer = threading.Timer(0.2, taken.close)
    timer.start()
    assert ports.taken([port], 10.0) == ()
    timer.join()


def test_chosen_ports_differ_and_are_remembered(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(20)]
    chosen = ports.choose(names)
    assert len(set(chosen.values())) == 20
    assert all(port < 32_768 for port in chosen.values())
    file = tmp_path / "ports.json"
    assert ports.recall(file, names) is None
    ports.remember(file, chosen)
    assert ports.recall(file, names) == chosen
    assert ports.recall(file, [*names, "another"]) is None
    for nonsense in ("", "{", "[1]", '{"p0": "x"}'):
        file.write_text(nonsense, encoding="utf-8")
        assert ports.recall(file, names) is None


def test_a_lock_keeps_others_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom resources.embedded.lock import locked\n"
        f"with locked(Path({str(path)!r}), 1):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, cwd=root) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ServerNotReady, match="another process"), locked(path, 0.1):
            pass
        holder.kill()
        with locked(path, 10.0):
            pass


def test_a_lock_keeps_threads_apart(tmp_path: Path) -> None:
    inside = 0
    worst = 0

    def enter() -> None:
        nonlocal inside, worst
        with locked(tmp_path / "lock", 10.0):
            inside += 1
            worst = max(worst, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1


def test_a_password_is_random_private_and_kept(tmp_path: Path) -> None:
    first = secret.password(tmp_path / "a" / "password")
    assert len(first) == 32
    assert secret.password(tmp_path / "a" / "password") == first
    assert secret.password(tmp_path / "b") != first
    assert (tmp_path / "a" / "password").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["password"]


def test_a_password_is_in_the_url_but_not_in_the_repr() -> None:
    address = PostgresAddress("127.0.0.1", 5432, "fer ry", "p@ss/wörd")
    assert address.dsn("ledger") == "postgresql://fer%20ry:p%40ss%2Fw%C3%B6rd@127.0.0.1:5432/ledger"
    assert "p@ss" not in repr(address)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_without_namespaces_the_folder_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_namespaces_allowed", lambda: False)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(account, "_closed", lambda folder: closed if folder.is_relative_to(closed) else None)
    with pytest.raises(ServerNotReady, match=rf"chmod o\+x {closed}"):
        server_account(closed / "postgres" / "data", tmp_path)
    assert server_account(tmp_path / "postgres" / "data", tmp_path) == Account(uid=65534)


def test_a_stale_postmaster_pid_keeps_its_shared_memory_lines(tmp_path: Path) -> None:
    lock_file = tmp_path / "postmaster.pid"
    rest = "/data\n1700000000\n5432\n\n127.0.0.1\n  5432001    163840\nready\n"
    stranger = psutil.Process().ppid()
    lock_file.write_text(f"{stranger}\n{rest}", encoding="utf-8")
    Account().free_stale_lock(lock_file)
    assert lock_file.read_text(encoding="utf-8") == f"{os.getpid()}\n{rest}"
    Account().free_stale_lock(tmp_path / "none")
