"""A server as a child process that outlives the command that started it.

It is known by its pid and the time it started, never by its name: pids are reused. Both stand in a pid file;
where that was lost, an argument of the server that holds our own folder's path finds it again.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from resources.embedded.errors import ServerNotReady
from resources.embedded.secret import write_private

_POLL_S = 0.05
_START_TOLERANCE_S = 2.0  # psutil derives the start from boot time, which moves by a second with clock corrections
_LOG_LIMIT_BYTES = 8 << 20
_LOG_KEPT_BYTES = 1 << 20

# What a server may see of our environment. Not all of it: passwords of plants live there.
_ENVIRONMENT = ("PATH", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")

# A child of ours that died stays a zombie until somebody waits for it, so this process keeps its handles.
_spawned: dict[int, subprocess.Popen[bytes]] = {}


class Child:
    """One server process, seen from any process.

    `argument` is one word of its command line that no other process has (a `-D…=<our folder>`).
    """

    def __init__(self, name: str, pid_file: Path, log_file: Path, argument: str) -> None:
        self.name = name
        self.log_file = log_file
        self._pid_file = pid_file
        self.argument = argument

    def pid(self) -> int | None:
        """Pid of the live process, or None."""
        process = self._process()
        return None if process is None else process.pid

    def check_running(self) -> None:
        """Raises ServerNotReady when somebody has stopped the process: it takes connections, and answers nothing."""
        process = self._process()
        try:
            stopped = process is not None and process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return
        if process is not None and stopped:
            raise ServerNotReady(
                f"{self.name} (pid {process.pid}) is stopped, so it answers nothing: `kill -CONT {process.pid}` lets "
                "it go on, `ferry down` ends it"
            )

    def spawn(
        self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, user: int | None = None
    ) -> int:
        """Start it in a session of its own, so that Ctrl-C of our command doesn't reach it; returns the pid.

        Raises ServerNotReady when the program can't be run.
        """
        self.trim_log()
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            with self.log_file.open("ab") as log:
                process = subprocess.Popen(
                    list(argv),
                    cwd=cwd,
                    env=inherited | dict(environment or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else (),
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerNotReady(f"{self.name} can't be run: {error}") from error
        pid = process.pid
        _spawned[pid] = process
        started_s = _started_s(pid)
        write_private(self._pid_file, json.dumps({"pid": pid, "started_s": started_s}) + "\n")
        return pid

    def end(self, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
        """Send each signal in turn and wait its seconds for the death; True if there was one to end.

        The last pair should be SIGKILL. Raises ServerNotReady if it lives even so.
        """
        process = self._process()
        if process is None:
            self._pid_file.unlink(missing_ok=True)
            return False
        for number, wait_s in signals:
            try:
                process.resume()  # one that was stopped hears of nothing
                process.send_signal(number)
            except psutil.NoSuchProcess:
                break
            end_s = time.monotonic() + wait_s
            while _alive(process) and time.monotonic() < end_s:
                time.sleep(_POLL_S)
            if not _alive(process):
                break
        else:
            raise ServerNotReady(f"{self.name} (pid {process.pid}) doesn't die of SIGKILL: the system holds it")
        self._pid_file.unlink(missing_ok=True)
        return True

    def trim_log(self) -> None:
        """Keep the log's last part only, once it is long. The server's handle appends, so it writes on."""
        try:
            size_bytes = self.log_file.stat().st_size
        except FileNotFoundError:
            return
        if size_bytes <= _LOG_LIMIT_BYTES:
            return
        with self.log_file.open("r+b") as log:
            log.seek(size_bytes - _LOG_KEPT_BYTES)
            kept = log.read(_LOG_KEPT_BYTES)
            self.log_file.with_suffix(".old.log").write_bytes(kept)
            log.truncate(0)

    def _process(self) -> psutil.Process | None:
        recorded = self._recorded()
        if recorded is not None:
            return recorded
        for process in psutil.process_iter():
            if self._is_ours(process) and _alive(process):
                write_private(
                    self._pid_file, json.dumps({"pid": process.pid, "started_s": process.create_time()}) + "\n"
                )
                return process
        return None

    def _recorded(self) -> psutil.Process | None:
        try:
            record = json.loads(self._pid_file.read_text(encoding="utf-8"))
            process = psutil.Process(int(record["pid"]))
            near = abs(process.create_time() - float(record["started_s"])) < _START_TOLERANCE_S
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        # Both: a clock set back by hours moves psutil's idea of the start, and the argument decides then.
        return process if _alive(process) and (near or self._is_ours(process)) else None

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return self.argument in process.cmdline()
        except psutil.Error:
            return False


def log_tail(path: Path, lines: int = 15) -> str:
    """The last `lines` lines of a log, for an error message; '' where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 16_384))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _started_s(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:  # dead already: whoever waits for it finds out
        return 0.0


def _alive(process: psutil.Process) -> bool:
    ours = _spawned.get(process.pid)
    if ours is not None and ours.poll() is not None:
        del _spawned[process.pid]
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
