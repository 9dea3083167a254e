"""A stand-in plant as a child process, for a source with `simulate` in the plant file."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from pipelines.plant import SourceSettings
from pipelines.timeline import iso
from resources.embedded import ports
from resources.embedded.addresses import ServerStatus
from resources.embedded.child import Child, log_tail
from resources.embedded.errors import ServerNotReady
from resources.embedded.lock import locked
from resources.embedded.secret import password

_START_S = 60.0
_STOP = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
_MODULES = {
    "pi_web_api": "simulators.pi_web_api",
    "wonderware": "simulators.wonderware",
    "opcua": "simulators.opcua",
}
_URLS = {"pi_web_api": "http://{}/piwebapi", "wonderware": "{}", "opcua": "opc.tcp://{}/plant"}


class StandIn:
    """The simulated plant of one source; the same seed holds the same history after every start."""

    def __init__(self, state_dir: Path, settings: SourceSettings) -> None:
        if settings.simulate is None or settings.kind not in _MODULES:
            raise ValueError(f"source {settings.name!r} has no stand-in")
        self.settings = settings
        self._home = state_dir / "stand_ins" / settings.name
        self.log_file = state_dir / "logs" / f"stand_in_{settings.name}.log"
        self._edits = self._home / "edits.json"
        self._child = Child(f"stand-in {settings.name}", self._home / "pid", self.log_file, str(self._edits))

    @property
    def url(self) -> str:
        """Base URL, or host:port of a Historian; '' before the first start."""
        known = ports.recall(self._home / "ports", ["http"])
        if not known:
            return ""
        return _URLS[self.settings.kind].format(f"{ports.HOST}:{known['http']}")

    def ensure(self) -> str:
        """Starts it when needed and returns its base URL. Raises ServerNotReady."""
        with locked(self._home / "lock", _START_S):
            self._lend_password()
            if not self._edits.exists():
                self._edits.parent.mkdir(parents=True, exist_ok=True)
                self._edits.write_text("[]\n", encoding="utf-8")
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
        simulate = self.settings.simulate
        return ServerStatus(
            f"stand-in {self.settings.name}", pid is not None, (pid,) if pid else (), self.url,
            f"{simulate.points} points, seed {simulate.seed}" if simulate else "",
        )  # fmt: skip

    def _argv(self, port: int) -> list[str]:
        simulate = self.settings.simulate
        assert simulate is not None
        return [
            sys.executable, "-m", _MODULES[self.settings.kind], "--port", str(port),
            "--points", str(simulate.points), "--seed", str(simulate.seed), "--hours", str(int(simulate.hours)),
            "--start", iso(self.settings.start), *self._of_its_kind(),
        ]  # fmt: skip

    def _of_its_kind(self) -> tuple[str, ...]:
        return ("--auth", self._auth, "--edits", str(self._edits)) if self.settings.kind == "pi_web_api" else ()

    @property
    def _auth(self) -> str:
        return self.settings.auth.kind if self.settings.auth.kind in ("basic", "bearer") else "none"

    @property
    def edits_file(self) -> Path:
        """Edits of the plant's history for the next start (JSON, as the stand-in takes them)."""
        return self._edits

    def _environment(self) -> dict[str, str]:
        auth, word = self.settings.auth, password(self._home / "password")
        return {"FERRY_SIM_USER": auth.username or "ferry", "FERRY_SIM_PASSWORD": word, "FERRY_SIM_TOKEN": word}

    def _lend_password(self) -> None:
        """A stand-in's password is made here, so the plant file's variable need not be set for it."""
        variable = self.settings.auth.password_env or self.settings.auth.token_env
        if variable:
            os.environ.setdefault(variable, password(self._home / "password"))

    def _wait(self, port: int) -> None:
        end_s = time.monotonic() + _START_S
        while not ports.is_listening(port):
            if self._child.pid() is None or time.monotonic() > end_s:
                raise ServerNotReady(
                    f"the stand-in plant of source {self.settings.name!r} did not start; see {self.log_file}\n"
                    + log_tail(self.log_file)
                )
            time.sleep(0.05)
