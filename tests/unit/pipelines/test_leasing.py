"""Leases that are taken in a thread while somebody cancels the taker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.ports import Retry
from pipelines.timeline import Interval
from pipelines.transfer.leasing import ended, leased

SPAN = Interval(0, 10)


class SlowLedger:
    """Gives a lease as soon as `go` is set."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.held = 0
        self.refuses = False
        self.given: list[Any] = []  # so that no garbage collection gives a lease back

    def lease(self, *_: Any) -> contextlib.AbstractContextManager[str]:
        self.given.append(self._lease())
        return self.given[-1]  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _lease(self) -> Iterator[str]:
        self.asked.set()
        self.go.wait()
        if self.refuses:
            raise Retry("held by somebody")
        self.held += 1
        try:
            yield "lease"
        finally:
            self.held -= 1


async def take(ledger: SlowLedger) -> None:
    async with leased(ledger, "s", "g000", SPAN, "me"):  # type: ignore[arg-type]
        assert ledger.held == 1
        await asyncio.sleep(3600)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_lease_that_comes_after_its_taker_was_cancelled_is_given_back(refuses: bool) -> None:
    ledger = SlowLedger()
    ledger.refuses = refuses

    async def work() -> None:
        taker = asyncio.create_task(take(ledger))
        await asyncio.to_thread(ledger.asked.wait)
        taker.cancel()
        await asyncio.sleep(0)
        ledger.go.set()
        with pytest.raises(asyncio.CancelledError):
            await taker

    asyncio.run(work())
    assert ledger.held == 0


def test_a_lease_is_given_back_when_its_body_is_cancelled() -> None:
    ledger = SlowLedger()
    ledger.go.set()

    async def work() -> None:
        taker = asyncio.create_task(take(ledger))
        while not ledger.held:
            await asyncio.sleep(0)
        taker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taker

    asyncio.run(work())
    assert ledger.held == 0


def test_a_lease_that_somebody_keeps_is_a_retry() -> None:
    ledger = SlowLedger()
    ledger.go.set()
    ledger.refuses = True
    with pytest.raises(Retry, match="held by somebody"):
        asyncio.run(take(ledger))


def test_a_call_that_was_cancelled_is_over_before_its_lease_is_given_back() -> None:
    """As a write to IoTDB, in a thread that nobody can stop."""
    ledger = SlowLedger()
    ledger.go.set()
    begun, go = threading.Event(), threading.Event()
    held_to_the_end: list[int] = []

    def write() -> None:
        begun.set()
        go.wait()
        held_to_the_end.append(ledger.held)

    async def work() -> None:
        async def writer() -> None:
            async with leased(ledger, "s", "g000", SPAN, "me"):  # type: ignore[arg-type]
                await ended(write)

        task = asyncio.create_task(writer())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert held_to_the_end == [1]
