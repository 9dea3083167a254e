"""Starts the PI stand-in for tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def running(*options: str, **environment: str) -> Iterator[str]:
    """The base URL of a stand-in with these command-line options, stopped at the end."""
    command = [sys.executable, "-m", "simulators.pi_web_api", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert line.startswith("listening on http://127.0.0.1:"), line
            yield line.split()[-1]
        finally:
            server.terminate()
            server.wait(10)
