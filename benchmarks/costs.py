"""What work costs beside time: processor seconds of the ferry and of each server, and the ferry's peak memory.

On a busy machine wall-clock says little; processor seconds say nearly the same as on an idle one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil

FERRY = "ferry"
_SAMPLE_S = 0.05


@dataclass
class Peak:
    """The most resident memory seen, all processes of ours together."""

    bytes: int = 0


class Costs:
    """Meters of this process, its children, and the servers, which are nobody's children here."""

    def __init__(self, servers: Mapping[str, Sequence[int]]) -> None:
        self.servers = {name: list(pids) for name, pids in servers.items()}
        """Names and pids."""
        self._servers = {name: [psutil.Process(pid) for pid in pids] for name, pids in servers.items()}
        self._foreign = {process.pid for some in self._servers.values() for process in some}

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far by who spent them; children of ours count once they have ended."""
        spent = {FERRY: _own_s(psutil.Process())}
        for name, processes in self._servers.items():
            spent[name] = sum(_own_s(process) + _living_s(process) for process in processes)
        return spent

    @contextlib.contextmanager
    def peak_of_children(self) -> Iterator[Peak]:
        """Watches the memory of the processes that the body starts, servers left out."""
        peak, over = Peak(), threading.Event()

        def watch() -> None:
            while not over.wait(_SAMPLE_S):
                peak.bytes = max(peak.bytes, sum(_resident_bytes(process) for process in self._ours()))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield peak
        finally:
            over.set()
            watcher.join()

    def _ours(self) -> Iterator[psutil.Process]:
        """Children of this process and theirs, without the servers that it had to start."""
        for child in psutil.Process().children():
            if child.pid not in self._foreign:
                yield child
                with contextlib.suppress(psutil.Error):
                    yield from child.children(recursive=True)


def spent_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference of two readings."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _own_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Linux and macOS add the times of ended children up; Windows has no such fields.
    ended: float = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)


def _living_s(process: psutil.Process) -> float:
    spent = 0.0
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            spent += _own_s(child)
    return spent


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0
