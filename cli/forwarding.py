"""What is spooled goes on by `ferry sync --follow`, in a process of its own: a reading waits for no server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_AGAIN_S = 5.0
_PATIENCE_S = 20.0


class Forwarder:
    """Keeps one such process running, and starts it again when it ends."""

    def __init__(self, plant_file: Path, source: str, state_dir: Path) -> None:
        self._command = [
            sys.executable, "-c", "from cli.main import main; main()", "sync", "--follow", "--source", source,
            "--plant", str(plant_file), "--parent", str(os.getpid()),
        ]  # fmt: skip
        self.log_file = state_dir / "logs" / f"forward_{source}.log"
        self._stopped = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True, name="forwarder")

    def start(self) -> None:
        """Begins, and returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it like Ctrl-C would, and waits."""
        self._stopped.set()
        child = self._child
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _keep(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        while not self._stopped.is_set():
            with self.log_file.open("ab") as log:
                self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                self._child.wait()
            self._stopped.wait(_AGAIN_S)
