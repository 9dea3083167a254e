"""How long each stage of the work on a slice took."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.transfer.leasing import ended

T = TypeVar("T")


@dataclass(slots=True)
class Stages:
    """Wall-clock seconds by stage; stages that ran at the same time count each."""

    seconds: dict[str, float] = field(default_factory=dict)

    async def timed(self, stage: str, work: Callable[[], Awaitable[T]]) -> T:
        """Awaits the work; its time counts, whatever it raises."""
        began = time.monotonic()
        try:
            return await work()
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began

    async def threaded(self, stage: str, call: Callable[..., T], *arguments: object) -> T:
        """The same for a call that blocks, in a thread; it is over when this is, also when that is cancelled."""
        return await self.timed(stage, lambda: ended(call, *arguments))
