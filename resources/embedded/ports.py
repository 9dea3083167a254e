"""TCP ports on the loopback: chosen once, remembered, asked after."""

import json
import random
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from resources.embedded.errors import ServerNotReady
from resources.embedded.secret import write_private

HOST = "127.0.0.1"

# Below the usual ephemeral ranges (32768 up on Linux, 49152 up elsewhere): a port from there would sooner or
# later be lent to somebody's outgoing connection while our server is down.
_FIRST, _LAST = 20_000, 32_000
_POLL_S = 0.05


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now, on the loopback and on all interfaces.

    IoTDB 2.0.1-beta binds the wildcard address whatever it is told, so both are tried.
    """
    for host in (HOST, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the servers do: connections in TIME_WAIT don't keep a port, a listener does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def is_listening(port: int, timeout_s: float = 1.0) -> bool:
    """Whether something on the loopback accepts connections at `port`."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def taken(ports: Iterable[int], deadline_s: float) -> tuple[int, ...]:
    """Those of `ports` that are still not free after waiting up to `deadline_s` seconds for them."""
    end_s = time.monotonic() + deadline_s
    left = tuple(port for port in ports if not is_free(port))
    while left and time.monotonic() < end_s:
        time.sleep(_POLL_S)
        left = tuple(port for port in left if not is_free(port))
    return left


def choose(names: Iterable[str]) -> dict[str, int]:
    """A free port for each of `names`. Raises ServerNotReady when there is none."""
    chosen: dict[str, int] = {}
    candidates = random.SystemRandom().sample(range(_FIRST, _LAST), _LAST - _FIRST)
    left = iter(candidates)
    for name in names:
        chosen[name] = next((port for port in left if is_free(port)), 0)
        if not chosen[name]:
            raise ServerNotReady(f"no TCP port between {_FIRST} and {_LAST} is free on this machine")
    return chosen


def recall(path: Path, names: Iterable[str]) -> dict[str, int] | None:
    """The ports remembered in `path`, or None where there are none or they aren't for these `names`."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = list(names)
    if not isinstance(stored, dict) or any(not isinstance(stored.get(name), int) for name in wanted):
        return None
    return {name: stored[name] for name in wanted}


def remember(path: Path, ports: dict[str, int]) -> None:
    """Keep `ports` in `path`, whole or not at all."""
    write_private(path, json.dumps(ports, indent=1) + "\n")
