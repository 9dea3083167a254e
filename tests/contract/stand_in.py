"""Starts stand-in plants for tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def running(*options: str, kind: str = "pi_web_api", **environment: str) -> Iterator[str]:
    """The base URL (Historian: host:port) of a stand-in with these command-line options, stopped at the end."""
    command = [sys.executable, "-m", f"simulators.{kind}", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert line.startswith(("listening on http://127.0.0.1:", "listening on 127.0.0.1:")), line
            yield line.split()[-1]
        finally:
            server.terminate()
            server.wait(10)
