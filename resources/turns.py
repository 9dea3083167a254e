"""Turns of a request budget: when the next request may start. In memory, or in a file that processes share."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_FAR_S = 3_600.0
"""What a file says about a time farther ahead is of a clock that was set back since."""


@dataclass(slots=True)
class Turns:
    """`given` are the newest turns, oldest first; all times in seconds of one clock."""

    next_s: float = 0.0
    not_before_s: float = 0.0
    urgent_until_s: float = 0.0
    given: list[float] = field(default_factory=list)


class OwnTurns:
    """Of one process, shared by its threads. `ticks` gives monotonic seconds."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self.ticks = ticks
        self._turns = Turns()
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[Turns]:
        """The turns, for reading and changing."""
        with self._lock:
            yield self._turns


class SharedTurns:
    """Of all processes on this machine that name the same file; the clock is the machine's."""

    def __init__(self, path: Path) -> None:
        self.ticks = time.time
        self._path = path
        self._lock = threading.Lock()  # flock is of the open file, and threads of one process share it
        path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[Turns]:
        """The turns, for reading and changing; a file that was cut short counts as empty."""
        with self._lock:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                turns = _read(os.read(descriptor, 1 << 20), self.ticks())
                yield turns
                content = np.array([turns.next_s, turns.not_before_s, turns.urgent_until_s, *turns.given]).tobytes()
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, content)
                os.ftruncate(descriptor, len(content))
            finally:
                os.close(descriptor)


def _read(content: bytes, now_s: float) -> Turns:
    values = np.frombuffer(content[: len(content) // 8 * 8]).tolist()
    if len(values) < 3 or not all(0 <= value <= now_s + _FAR_S for value in values):
        return Turns()
    return Turns(values[0], values[1], values[2], values[3:])
