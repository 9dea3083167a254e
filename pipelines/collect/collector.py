"""The collector: one thread a connection reads its scans on their beat, one thread spools what they read."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines.collect.breaker import Breaker
from pipelines.collect.cadence import Cadence
from pipelines.collect.readings import Recorder
from pipelines.ports import FerryError, PlcConnection, Reading, Spool, Stop, Tag, Told
from pipelines.samples import UNCERTAIN
from pipelines.timeline import SECOND_NS

_log = logging.getLogger(__name__)
SPOOL_EVERY_S = 0.2
"""Cycles that end within this are written to disk together."""
_AT_ONCE = 100_000
_OVERRUN = "the cycle before it took too long, or this host slept"
_ASLEEP = "the collector was not running"


@dataclass(frozen=True, slots=True)
class Scan:
    """The tags of one connection and group, which are read together, and the point that tells of their cycles."""

    connection: str
    group: str
    interval_ns: int
    tags: tuple[Tag, ...]

    @property
    def cycle(self) -> str:
        return self.tags[0].cycle


@dataclass(slots=True)
class Count:
    """What a connection did since the start."""

    cycles: int = 0
    missed: int = 0
    bad: int = 0
    slowest_s: float = 0.0
    trouble: str = ""


def scans_of(tags: Sequence[Tag]) -> list[Scan]:
    """The scans of a tag map, the quickest first."""
    found: dict[tuple[str, str, int], list[Tag]] = {}
    for tag in tags:
        found.setdefault((tag.connection, tag.group, tag.interval_ns), []).append(tag)
    scans = [Scan(*key, tuple(members)) for key, members in found.items()]
    return sorted(scans, key=lambda scan: (scan.interval_ns, scan.connection, scan.group))


class Collector:
    """Runs until `stop`. `since` has the last cycle of each scan that the spool knows: what lies between was missed;
    `told` what it knows of the points that their sources stamp (see Recorder)."""

    def __init__(
        self,
        scans: Sequence[Scan],
        connections: Mapping[str, PlcConnection],
        spool: Spool,
        since: Mapping[str, int],
        told: Mapping[str, Told] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spool, self._now_ns = spool, now_ns
        self._connections = connections
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        began_ns = now_ns()
        self._recorder = Recorder(told, began_ns)
        self.counts = {name: Count() for name in connections}
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._poll, name), name=f"poll-{name}") for name in connections
        ]
        self._scans = {scan: Cadence(scan.interval_ns, began_ns) for scan in scans}
        self._asleep = {
            scan: Cadence(scan.interval_ns, since[scan.cycle]).next_ns for scan in scans if scan.cycle in since
        }

    def run(self) -> None:
        """Polls and spools. Raises what the spool raises: a collector that cannot keep what it reads ends."""
        self.recall()
        for thread in self._threads:
            thread.start()
        try:
            while not self._stopped.wait(SPOOL_EVERY_S):
                self._flush()
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join()  # a read is over within its deadline
            for connection in self._connections.values():
                connection.close()
            self._flush()
        if self._failure is not None:
            raise self._failure

    def recall(self) -> None:
        """Spools the cycles that were missed while nobody collected; it may have been months. Then the beat begins.

        In the order of time over all scans, so that the next start goes on from where a kill has ended this.
        """
        while self._asleep and not self._stopped.is_set():
            first_ns, now_ns = min(self._asleep.values()), self._now_ns()
            beats_per_s = sum(SECOND_NS / scan.interval_ns for scan in self._asleep)
            end_ns = min(first_ns + int(_AT_ONCE / beats_per_s * SECOND_NS) + 1, now_ns)
            for scan, next_ns in list(self._asleep.items()):
                missed = range(next_ns, end_ns, scan.interval_ns)
                self._recorder.missed(scan.cycle, missed, now_ns, scan.tags, _ASLEEP)
                self._asleep[scan] = next_ns + len(missed) * scan.interval_ns
            self._flush()
            if end_ns == now_ns:
                self._scans = {scan: Cadence(scan.interval_ns, now_ns - 1) for scan in self._scans}
                self._asleep.clear()

    def once(self) -> dict[str, list[tuple[Tag, Reading]]]:
        """Every scan once, now; by connection what was read of it, nothing of what was missed. Raises what the spool
        raises."""
        names = list(self._connections)
        with ThreadPoolExecutor(max(1, len(names))) as pool:
            found = dict(zip(names, pool.map(self._all_of, names), strict=True))
        self._flush()
        return found

    def stop(self) -> None:
        """Ends `run` soon; may be called from a signal handler."""
        self._stopped.set()

    def _flush(self) -> None:
        batch = self._recorder.take()
        if batch is not None:
            self._spool.append(batch)

    def _guarded(self, work: Callable[[str], None], name: str) -> None:
        try:
            work(name)
        except BaseException as error:
            self._failure = error
            self._stopped.set()

    def _all_of(self, name: str) -> list[tuple[Tag, Reading]]:
        breaker = Breaker()
        try:
            return [each for scan, _ in self._of(name) for each in self._cycle(scan, self._now_ns(), breaker)]
        finally:
            self._connections[name].close()

    def _poll(self, name: str) -> None:
        """All scans of one connection, one after another: whichever is due first."""
        mine, breaker = self._of(name), Breaker()
        if not mine:
            return
        while not self._stopped.is_set():
            scan, cadence = min(mine, key=lambda pair: pair[1].next_ns)
            wait_ns = cadence.next_ns - self._now_ns()
            if wait_ns > 0 and self._stopped.wait(min(wait_ns / SECOND_NS, 1.0)):
                return
            due_ns, missed = cadence.take(self._now_ns())
            self._missed(scan, missed, breaker.reason or _OVERRUN)
            if due_ns is not None:
                self._cycle(scan, due_ns, breaker)

    def _of(self, name: str) -> list[tuple[Scan, Cadence]]:
        return [(scan, cadence) for scan, cadence in self._scans.items() if scan.connection == name]

    def _cycle(self, scan: Scan, due_ns: int, breaker: Breaker) -> list[tuple[Tag, Reading]]:
        count = self.counts[scan.connection]
        if breaker.open(self._now_ns()):
            self._missed(scan, [due_ns], breaker.reason)
            return []
        began_s = time.monotonic()
        try:
            readings = self._connections[scan.connection].read(scan.tags)
        except Exception as error:  # whatever it is, it is this PLC's, and costs the others nothing
            reason = str(error) if isinstance(error, FerryError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, FerryError):
                _log.exception("reading %s failed", scan.connection)
            with contextlib.suppress(Exception):  # what cannot be closed is made anew by the next try all the same
                self._connections[scan.connection].close()
            breaker.failed(self._now_ns(), reason, refused=isinstance(error, Stop))
            count.trouble = reason
            self._missed(scan, [due_ns], reason)
            return []
        breaker.succeeded()
        count.trouble = ""
        count.cycles += 1
        count.bad += sum(reading.quality < UNCERTAIN for _, reading in readings)
        count.slowest_s = max(count.slowest_s, time.monotonic() - began_s)
        self._recorder.cycle(scan.cycle, due_ns, self._now_ns(), readings)
        return readings

    def _missed(self, scan: Scan, due: Sequence[int], reason: str) -> None:
        self.counts[scan.connection].missed += len(due)
        self._recorder.missed(scan.cycle, due, self._now_ns(), scan.tags, reason)
