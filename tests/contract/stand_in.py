"""Starts stand-in plants for tests."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import uvicorn

from simulators.pi_web_api.gate import Gate
from simulators.pi_web_api.server import HOST, config_of


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


@contextlib.contextmanager
def serving(gate: Gate) -> Iterator[tuple[str, uvicorn.Config]]:
    """The root URL of a stand-in PI Web API in a thread of this process, and how it is served."""
    config = config_of(gate)
    with in_thread(config) as port:
        yield f"http{'s' if config.is_ssl else ''}://{HOST}:{port}", config


@contextlib.contextmanager
def in_thread(config: uvicorn.Config) -> Iterator[int]:
    """The port of an application that is served in a thread of this process."""
    with socket.create_server((HOST, 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        end_s = time.monotonic() + 20
        while not server.started and time.monotonic() < end_s:
            thread.join(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
