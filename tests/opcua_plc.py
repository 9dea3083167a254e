"""Stand-in OPC UA servers for tests: a process each, on a free port."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines.plant import Auth, Channel
from pipelines.ports import Tag
from pipelines.timeline import SECOND_NS
from resources.embedded.ports import choose
from resources.opcua.client import Login
from simulators.opcua.signals import ARRAY, Signal

ROOT = Path(__file__).parents[1]
NAMESPACE = "urn:historian-ferry:stand-in"


def free_port() -> int:
    return choose(["opcua"])["opcua"]


@contextlib.contextmanager
def opcua(port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A server that listens."""
    child = subprocess.Popen(
        [sys.executable, "-m", "simulators.opcua", "--port", str(port), *more],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "listening\n"
        yield child
    finally:
        child.kill()
        child.wait()


def login(
    port: int, folder: Path, auth: Auth | None = None, channel: Channel | None = None, timeout_s: float = 2.0
) -> Login:
    url = f"opc.tcp://127.0.0.1:{port}/plant"
    return Login(url, timeout_s, auth or Auth(), channel or Channel(), folder, folder / "pki" / "ferry.der")


def tag_of(signal: Signal, interval_ns: int = SECOND_NS) -> Tag:
    length = ARRAY if signal.kind == "Array" else 1
    address = f"nsu={NAMESPACE};s={signal.name}"
    return Tag(signal.name, "kiln", address, "", "number", interval_ns, "all", length)
