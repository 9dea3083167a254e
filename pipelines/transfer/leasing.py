"""A lease of the ledger for the body of an `async with`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipelines.ports import Lease, LedgerStore
from pipelines.timeline import Interval


@asynccontextmanager
async def leased(
    ledger: LedgerStore, source: str, group: str, part: Interval, holder: str, patience_s: float = 0.0
) -> AsyncIterator[Lease]:
    """Holds the lease; it is given back also when the body is cancelled. Raises Retry when somebody else keeps it."""
    context = ledger.lease(source, group, part, holder, patience_s)
    lease = await asyncio.to_thread(context.__enter__)
    try:
        yield lease
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
