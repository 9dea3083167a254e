"""Two writers of one span, each a process: the first stalls at any call, loses its lease, and wakes after the second
has proved newer data."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import samples
from pipelines.planning import Density
from pipelines.ports import Retry, SliceId, SliceRecord, Unreachable
from pipelines.timeline import MINUTE_NS
from pipelines.transfer import Bounds, PairResult, RectangleRun, Transfer
from pipelines.transfer.generations import within
from tests.memory import BesideLedger
from tests.property.test_transfer import IDS, POINTS, WINDOW, Killed, Plant, assert_proved, plants, table_of

WHOLE = SliceId("s", "g000", WINDOW)
OF_THE_LEDGER = frozenset({"record", "commit", "withdraw", "lease check", "mark"})
ROWS = [("a", minute * MINUTE_NS + 7, 1.0) for minute in range(6)]


class Stall:
    """Stops a process at its n-th call until `go`; then it is killed some calls later, or its ledger is away."""

    def __init__(self, at: int, dies_after: int | None, away: bool) -> None:
        self.left, self.dies_after, self.away = at, dies_after, away
        self.stalled, self.go = threading.Event(), threading.Event()
        self.died = False
        self._lock = threading.Lock()

    def __call__(self, what: str) -> None:
        with self._lock:
            self.left -= 1
            if self.left > 0:
                return
            self.stalled.set()
        self.go.wait()
        if self.dies_after is not None:
            self.died |= self.dies_after == 0
            self.dies_after = max(self.dies_after - 1, 0)
        if self.died:
            raise Killed
        if self.away and what in OF_THE_LEDGER:
            raise Unreachable("the ledger is away")


class First:
    """The first writer of the plant, in a thread: what is its own, and what it shares with the second."""

    def __init__(self, plant: Plant, stall: Stall) -> None:
        self.plant, self.stall = plant, stall
        self.ledger = BesideLedger(plant.ledger)
        self.source, self.store = copy.copy(plant.source), copy.copy(plant.store)
        self.ledger.hook = self.source.hook = self.store.hook = stall
        self.thread = threading.Thread(target=self._run)

    def until_it_stalls(self) -> None:
        """Or is through."""
        self.thread.start()
        while self.thread.is_alive() and not self.stall.stalled.wait(0.001):
            pass

    def to_the_end(self) -> None:
        self.stall.go.set()
        self.thread.join()
        self.ledger.dead = True  # also where it is through: no process lives for ever

    def _run(self) -> None:
        with contextlib.suppress(BaseException):
            asyncio.run(self._backfill())

    async def _backfill(self) -> list[PairResult]:
        transfer = Transfer(self.source, self.store, self.ledger, self.plant.landing, Bounds(slice_events=8), "first")  # type: ignore[arg-type]
        run = RectangleRun(transfer, {"g000": POINTS}, slices_at_once=2, within=WINDOW, density=Density())
        return [result async for result in run.run([("g000", WINDOW)])]


def assert_what_is_covered_is_stored(plant: Plant) -> None:
    for part in plant.ledger.coverage("s", "g000"):
        stored = next(plant.store.read("s", IDS, part)).to_pylist()
        assert stored == samples.ordered(within(plant.source.events, part)).to_pylist()


def fought(folder: Path, before: list[tuple], after: list[tuple], stall: Stall, *, quiet: bool) -> Plant:
    """The plant once both writers have ended."""
    plant = Plant(folder, before)
    first = First(plant, stall)
    first.until_it_stalls()
    plant.ledger.restart()
    plant.ledger.quiet = quiet
    plant.source.events = first.source.events = table_of(after)
    plant.ledger.accepted.append(WHOLE)
    plant.ledger.withdraw(WHOLE, "restated")
    plant.ledger.record([SliceRecord(WHOLE, "planned", note="restated")])
    second = plant.backfill()
    assert second.proved or not quiet
    assert_what_is_covered_is_stored(plant)
    first.to_the_end()
    return plant


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plants, plants, st.integers(1, 60), st.booleans())
def test_who_lost_its_lease_and_goes_on_withdraws(
    before: list[tuple], after: list[tuple], at: int, quiet: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = fought(Path(folder), before, after, Stall(at, None, away=False), quiet=quiet)
        assert_what_is_covered_is_stored(plant)
        assert_proved(plant)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plants, plants, st.integers(1, 60), st.integers(0, 12), st.booleans(), st.booleans())
def test_who_cannot_say_so_is_found_out(
    before: list[tuple], after: list[tuple], at: int, dies_after: int, away: bool, quiet: bool
) -> None:
    """Killed once it has written, or without its ledger: the next lease of the group withdraws for it."""
    with tempfile.TemporaryDirectory() as folder:
        stall = Stall(at, None if away else dies_after, away=away)
        assert_proved(fought(Path(folder), before, after, stall, quiet=quiet))


@pytest.mark.parametrize("at", range(1, 40))
def test_at_every_call(tmp_path: Path, at: int) -> None:
    stall = Stall(at, None, away=False)
    plant = fought(tmp_path, ROWS, [(p, t, v + 1) for p, t, v in ROWS], stall, quiet=True)
    assert_what_is_covered_is_stored(plant)
    assert_proved(plant)


def test_a_mark_ends_what_is_being_proved_over_it(tmp_path: Path) -> None:
    """The late write may fall between the other's look at the store and its commit."""
    plant = Plant(tmp_path, ROWS)
    with BesideLedger(plant.ledger).lease("s", "g000", WINDOW, "first") as lost:
        late = lost.changing(WHOLE)
        late.__enter__()
        plant.ledger.restart()
        plant.ledger.quiet = True
        woken: list[str] = []

        def wake(what: str) -> None:
            if what == "commit" and not woken:
                woken.append(what)
                plant.store.rows.clear()
                with pytest.raises(Retry):
                    late.__exit__(None, None, None)

        plant.ledger.hook = wake
        assert "was lost" in plant.backfill().problems[0]
    assert_what_is_covered_is_stored(plant)
    assert_proved(plant)
