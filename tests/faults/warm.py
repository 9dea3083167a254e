"""`ferry` as processes that need not load everything anew: a mother that has, forks one for each command.

Loading is most of what a small command costs. Each command is a process of its own all the same, in a group of its own,
with its own files and environment, and can be stopped and killed like any other.

    python -m tests.faults.warm        a line of JSON a command on stdin; pids and exit codes on stdout
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_LOOK_S = 0.05


class Child:
    """One command. Looks like a subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.gone = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        if not self.gone.wait(timeout):
            raise subprocess.TimeoutExpired("ferry", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class Mother:
    """Starts commands; `close` ends it, and its commands are left to end by themselves."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._children: dict[int, Child] = {}
        self._born: list[Child] = []
        self._change = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, words: list[str], out: Path, err: Path, environment: dict[str, str]) -> Child:
        """A command, as if `ferry WORDS` had been typed."""
        assert self._process.stdin is not None
        with self._change:
            line = json.dumps({"words": words, "out": str(out), "err": str(err), "environment": environment})
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            if not self._change.wait_for(lambda: self._born, 60):
                raise RuntimeError("the mother of commands does not answer")
            return self._born.pop()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._change:
                if "code" in told:
                    child = self._children.pop(told["pid"])
                    child.returncode = told["code"]
                    child.gone.set()
                else:
                    child = self._children[told["pid"]] = Child(told["pid"])
                    self._born.append(child)
                self._change.notify_all()


def main() -> None:
    """Loads everything, then forks for each line until stdin ends."""
    _load()
    buffer, living = b"", 0
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_S)
        if ready:
            read = os.read(0, 1 << 16)
            if not read:
                return
            buffer += read
            while b"\n" in buffer:
                line, _, buffer = buffer.partition(b"\n")
                _tell({"pid": _forked(json.loads(line))})
                living += 1
        while living:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            living -= 1
            _tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _load() -> None:
    import assets_defs.backfill
    import assets_defs.definitions
    import assets_defs.following
    import assets_defs.marts_line
    import assets_defs.telling  # noqa: F401
    import cli.main
    import cli.standing  # noqa: F401
    import resources.outside  # noqa: F401


def _forked(given: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    for number, path in ((0, os.devnull), (1, given["out"]), (2, given["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.clear()
    os.environ.update(given["environment"])
    sys.argv = ["ferry", *given["words"]]
    from cli.main import main as ferry

    ferry()
    os._exit(0)


def _tell(what: dict[str, int]) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


if __name__ == "__main__":
    main()
