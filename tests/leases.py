"""Leases of the ledger in memory, by the rules of resources/postgres/holders.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.ports import FerryError, Retry, SliceId
from pipelines.timeline import Interval, merge, subtract

if TYPE_CHECKING:
    from tests.memory import MemoryLedger


class MemoryLease:
    """Held until it is freed; `lost` when its session ended while its process lives."""

    def __init__(self, ledger: MemoryLedger, source: str, group: str, window: Interval, token: int) -> None:
        self.ledger, self.source, self.group, self.window, self.token = ledger, source, group, window, token
        self.lost = self.fenced = False
        self.begun: list[Interval] = []
        self.unmarked: list[SliceId] = []

    def guards(self, slice_id: SliceId) -> bool:
        return (slice_id.source, slice_id.group) == (self.source, self.group) and self.window.contains(slice_id.span)

    def still(self) -> None:
        if self.lost or self.fenced:
            raise Retry(f"the lease {self.token} was lost")

    def check(self) -> None:
        self.ledger.hook("lease check")
        self.still()

    @contextlib.contextmanager
    def changing(self, slice_id: SliceId, run_id: str = "") -> Iterator[None]:
        if any(each.contains(slice_id.span) for each in self.begun):
            self.check()
        else:
            self.ledger.hook("withdraw")
            with self.ledger.alone:
                self.still()
                self.ledger.uncover(slice_id)
                self.begun = merge([*self.begun, slice_id.span])
        try:
            yield
        finally:
            try:
                self.check()
            except FerryError:
                self.unmarked.append(slice_id)
                with contextlib.suppress(FerryError):
                    self._leave_marks()
                raise

    def settle(self, span: Interval) -> None:
        self.begun = subtract(self.begun, [span])

    def free(self) -> None:
        if not self.ledger.dead:
            with contextlib.suppress(FerryError):
                self._leave_marks()
                self.ledger.forget(self)

    def _leave_marks(self) -> None:
        while self.unmarked:
            self.ledger.hook("mark")
            self.ledger.disown(self.unmarked[0])
            self.unmarked.pop(0)


def blocker(held: list[MemoryLease], source: str, group: str, window: Interval, quiet: bool) -> str:
    """Who keeps the window; what holders left behind that are gone is cleared away."""
    for each in [each for each in held if (each.source, each.group) == (source, group)]:
        here = any(span.overlaps(window) for span in each.begun)
        if not each.lost and not each.ledger.dead:
            if each.window.overlaps(window):
                return f"{each.token}"
        elif not each.begun or each.ledger.dead:
            held.remove(each)
            if each.fenced:
                for span in each.begun:
                    each.ledger.disown(SliceId(source, group, span))
        elif here and not quiet:
            return f"{each.token}, which has lost it and may still be writing"
        elif here:
            each.fenced = True
    return ""
