"""A stand-in plant or PLC as a child process, for what has `simulate` in the plant file."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.plant import Auth, Connection, SourceSettings
from pipelines.timeline import iso
from resources.embedded import ports
from resources.embedded.addresses import ServerStatus
from resources.embedded.child import Child, log_tail
from resources.embedded.errors import ServerNotReady
from resources.embedded.lock import locked
from resources.embedded.secret import password

_START_S = 60.0
_STOP = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
_URLS = {
    "pi_web_api": "http://{}/piwebapi",
    "wonderware": "{}",
    "opcua": "opc.tcp://{}/plant",
    "modbus": "modbus-tcp:tcp://{}",
}


class StandIn:
    """A simulated plant, or a PLC; the same seed holds the same history after every start."""

    def __init__(
        self, state_dir: Path, name: str, kind: str, detail: str, arguments: Sequence[str], auth: Auth
    ) -> None:
        self._name, self._kind, self._detail, self._auth = name, kind, detail, auth
        self._home = state_dir / "stand_ins" / name
        self.log_file = state_dir / "logs" / f"stand_in_{name}.log"
        self._edits = self._home / "edits.json"
        self._arguments = tuple(arguments)
        if kind == "pi_web_api":
            login = auth.kind if auth.kind in ("basic", "bearer") else "none"
            self._arguments += ("--auth", login, "--edits", str(self._edits))
        self._child = Child(f"stand-in {name}", self._home / "pid", self.log_file, str(self._edits))

    @classmethod
    def of_source(cls, state_dir: Path, settings: SourceSettings) -> StandIn:
        """The plant of a source with `simulate`."""
        simulate = settings.simulate
        if simulate is None or settings.kind not in _URLS:
            raise ValueError(f"source {settings.name!r} has no stand-in")
        arguments = (
            "--points", str(simulate.points), "--seed", str(simulate.seed), "--hours", str(int(simulate.hours)),
            "--start", iso(settings.start),
        )  # fmt: skip
        detail = f"{simulate.points} points, seed {simulate.seed}"
        return cls(state_dir, settings.name, settings.kind, detail, arguments, settings.auth)

    @classmethod
    def of_connection(cls, state_dir: Path, source: str, connection: Connection) -> StandIn:
        """The PLC of a connection with `simulate`."""
        kind = connection.simulate
        return cls(state_dir, f"{source}.{connection.name}", kind, f"a PLC, {kind}", (), connection.auth)

    @property
    def url(self) -> str:
        """Base URL, or host:port of a Historian; '' before the first start."""
        known = ports.recall(self._home / "ports", ["http"])
        if not known:
            return ""
        return _URLS[self._kind].format(f"{ports.HOST}:{known['http']}")

    def ensure(self) -> str:
        """Starts it when needed and returns its base URL. Raises ServerNotReady."""
        with locked(self._home / "lock", _START_S):
            self._lend_password()
            if not self._edits.exists():
                self._edits.parent.mkdir(parents=True, exist_ok=True)
                self._edits.write_text("[]\n", encoding="utf-8")
            self._child.check_running()
            known = ports.recall(self._home / "ports", ["http"])
            if self._child.pid() and known and ports.is_listening(known["http"]):
                return self.url
            self._child.end(_STOP)
            if known is None or not ports.is_free(known["http"]):
                known = ports.choose(["http"])
                ports.remember(self._home / "ports", known)
            self._child.spawn(self._argv(known["http"]), Path.cwd(), self._environment())
            self._wait(known["http"])
            return self.url

    def stop(self) -> bool:
        """Ends it; True if there was one."""
        with locked(self._home / "lock", _START_S):
            return self._child.end(_STOP)

    def status(self) -> ServerStatus:
        pid = self._child.pid()
        return ServerStatus(f"stand-in {self._name}", pid is not None, (pid,) if pid else (), self.url, self._detail)

    def _argv(self, port: int) -> list[str]:
        return [sys.executable, "-m", f"simulators.{self._kind}", "--port", str(port), *self._arguments]

    @property
    def edits_file(self) -> Path:
        """Edits of the plant's history for the next start (JSON, as the stand-in takes them)."""
        return self._edits

    def _environment(self) -> dict[str, str]:
        auth, word = self._auth, password(self._home / "password")
        return {"FERRY_SIM_USER": auth.username or "ferry", "FERRY_SIM_PASSWORD": word, "FERRY_SIM_TOKEN": word}

    def _lend_password(self) -> None:
        """A stand-in's password is made here, so the plant file's variable need not be set for it."""
        variable = self._auth.secret_env
        if variable:
            os.environ.setdefault(variable, password(self._home / "password"))

    def _wait(self, port: int) -> None:
        end_s = time.monotonic() + _START_S
        while not ports.is_listening(port):
            if self._child.pid() is None or time.monotonic() > end_s:
                raise ServerNotReady(
                    f"the stand-in {self._name!r} did not start; see {self.log_file}\n" + log_tail(self.log_file)
                )
            time.sleep(0.05)
