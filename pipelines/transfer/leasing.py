"""A lease of the ledger for the body of an `async with`, and calls that end before it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from pipelines.ports import Lease, LedgerStore
from pipelines.timeline import Interval

T = TypeVar("T")


@asynccontextmanager
async def leased(
    ledger: LedgerStore, source: str, group: str, part: Interval, holder: str, patience_s: float = 0.0
) -> AsyncIterator[Lease]:
    """Holds the lease; it is given back also when the caller is cancelled, even while it is still being taken.

    Raises Retry when somebody else keeps it.
    """
    context = ledger.lease(source, group, part, holder, patience_s)
    taking, cancelled = await _to_its_end(context.__enter__)
    try:
        if cancelled:
            raise cancelled
        yield taking.result()
    finally:
        if taking.exception() is None:
            await _to_its_end(lambda: context.__exit__(None, None, None))


async def ended(call: Callable[..., T], *arguments: object) -> T:
    """asyncio.to_thread for what a lease guards: who is cancelled goes on only when the call is over, so that nothing
    is changed any more once the lease is given back."""
    work, cancelled = await _to_its_end(partial(call, *arguments))
    if cancelled:
        work.exception()  # seen
        raise cancelled
    return work.result()


async def _to_its_end(call: Callable[[], T]) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """The call in a thread, which no cancellation stops: it is over when this returns, with the cancellation if any."""
    work = asyncio.create_task(asyncio.to_thread(call))
    cancelled = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    return work, cancelled
