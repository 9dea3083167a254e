"""A child process is known by pid and start time, or by our folder in its command line; never by its name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from resources.embedded import child as child_module
from resources.embedded.child import Child, log_tail

END = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def wait_until(true: Callable[[], object], deadline_s: float = 10.0) -> None:
    end_s = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    child = Child("sleeper", tmp_path / "sleeper.pid", tmp_path / "logs" / "sleeper.log", f"--mark={tmp_path}")
    yield child
    child.end(END)


def start(child: Child, tmp_path: Path, code: str = "import time; time.sleep(60)") -> int:
    return child.spawn([sys.executable, "-c", code, child.argument], tmp_path, {"GIVEN": "yes"})


def test_it_runs_in_a_session_of_its_own_and_dies_when_told(sleeper: Child, tmp_path: Path) -> None:
    pid = start(sleeper, tmp_path)
    assert sleeper.pid() == pid
    assert os.getsid(pid) == pid != os.getsid(0)
    assert sleeper.end(END)
    assert sleeper.pid() is None
    assert not psutil.pid_exists(pid)
    assert not sleeper.end(END)


def test_one_that_ignores_sigterm_is_killed(sleeper: Child, tmp_path: Path) -> None:
    pid = start(sleeper, tmp_path, STUBBORN)
    wait_until(lambda: "up" in log_tail(sleeper.log_file))
    assert sleeper.end(((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)))
    assert not psutil.pid_exists(pid)


def test_secrets_of_ours_do_not_reach_it(sleeper: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_PASSWORD", "hunter2")
    start(sleeper, tmp_path, "import os; print(sorted(os.environ), flush=True)")
    wait_until(lambda: "GIVEN" in log_tail(sleeper.log_file))
    assert "PI_PASSWORD" not in log_tail(sleeper.log_file)


def test_a_killed_one_is_dead_at_once_zombie_or_not(sleeper: Child, tmp_path: Path) -> None:
    pid = start(sleeper, tmp_path)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: sleeper.pid() is None)


def test_a_reused_pid_is_a_stranger(sleeper: Child, tmp_path: Path) -> None:
    pid_file = tmp_path / "sleeper.pid"
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file.write_text(json.dumps({"pid": stranger.pid, "started_s": 1.0}), encoding="utf-8")
        assert sleeper.pid() is None
        assert not sleeper.end(END)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", [None, "", "{", '{"pid": "x"}', "[]", '{"pid": 0, "started_s": 0}'])
def test_it_is_found_again_without_its_pid_file(sleeper: Child, tmp_path: Path, text: str | None) -> None:
    pid = start(sleeper, tmp_path)
    pid_file = tmp_path / "sleeper.pid"
    pid_file.unlink() if text is None else pid_file.write_text(text, encoding="utf-8")
    assert Child("sleeper", pid_file, sleeper.log_file, sleeper.argument).pid() == pid
    assert json.loads(pid_file.read_text(encoding="utf-8"))["pid"] == pid


def test_a_clock_that_was_set_does_not_orphan_it(sleeper: Child, tmp_path: Path) -> None:
    pid = start(sleeper, tmp_path)
    pid_file = tmp_path / "sleeper.pid"
    pid_file.write_text(json.dumps({"pid": pid, "started_s": time.time() - 7200}), encoding="utf-8")
    assert sleeper.pid() == pid


def test_a_long_log_is_cut_while_it_is_written(sleeper: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_LOG_LIMIT_BYTES", 10_000)
    monkeypatch.setattr(child_module, "_LOG_KEPT_BYTES", 1_000)
    code = "import time\nprint('x' * 20_000, flush=True)\ntime.sleep(0.3)\nprint('later', flush=True)\ntime.sleep(60)"
    start(sleeper, tmp_path, code)
    wait_until(lambda: sleeper.log_file.stat().st_size >= 20_000)
    sleeper.trim_log()
    wait_until(lambda: log_tail(sleeper.log_file) == "later")
    assert sleeper.log_file.stat().st_size < 100
    assert len((tmp_path / "logs" / "sleeper.old.log").read_bytes()) == 1_000
