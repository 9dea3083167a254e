"""Which process this is, told so that another one on the same host can tell whether it has ended."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import NamedTuple

_ZOMBIE = frozenset("ZX")


class Identity(NamedTuple):
    """`place`: the host since its start, and its space of process numbers; '' where there is no /proc."""

    place: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.place.partition(' ')[0] or 'an unknown host'}"

    @property
    def is_here(self) -> bool:
        """Whether its process can be looked for from this one."""
        return bool(self.place) and self.place == _place()

    @property
    def has_ended(self) -> bool:
        """Whether its process is known to run no more; False where nobody here can tell."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody else's, and there
        found = _state_and_start(self.pid)
        return found is not None and (found[0] in _ZOMBIE or found[1] != self.started)


def own() -> Identity:
    """Of this process."""
    found = _state_and_start(os.getpid())
    return Identity(_place() if found else "", os.getpid(), found[1] if found else "")


@cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """proc(5): the state, and the start in ticks since boot, which no clock moves. None where it is not to be had."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return (fields[0], fields[19]) if len(fields) > 19 else None
