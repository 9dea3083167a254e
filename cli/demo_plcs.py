"""The demo's PLCs: some seconds of them read, stored and proved."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets_defs.collecting import collecting
from assets_defs.following import alone, sync_pass
from assets_defs.instance import opened_instance
from assets_defs.materializing import materialize_followed
from pipelines.ports import Retry, Unreachable
from pipelines.timeline import Interval

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.sync import PassResult
    from pipelines.transfer import Recount

SECONDS = 10
_PATIENCE_S = 300.0
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class PlcsRead:
    """What was read of the PLCs of a source, and the proof that it is stored."""

    settings: SourceSettings
    span: Interval
    tags: int
    cycles: int
    missed: int
    recount: Recount


def plcs_of(line: Line) -> SourceSettings | None:
    """The first source of stand-in PLCs."""
    found = (each for each in line.plant.source if each.connection and all(plc.simulate for plc in each.connection))
    return next(found, None)


def read_plcs(line: Line, settings: SourceSettings) -> PlcsRead | None:
    """Collects for some seconds, then follows until all of it is stored; None while a collector runs already.

    Raises Retry when the store takes nothing.
    """
    with ExitStack() as stack:
        try:
            ready = stack.enter_context(collecting(line.plant, settings))
        except Unreachable:
            raise
        except Retry:
            return None
        ready.collector.recall()
        first_ns = line.now_ns()
        over = threading.Timer(SECONDS, ready.collector.stop)
        over.start()
        try:
            ready.collector.run()
        finally:
            over.cancel()
        last_ns = ready.spool.last_ns() or first_ns
        counts = ready.collector.counts.values()
    line.discover(settings)
    with alone(line, settings):
        followed = _followed_past(line, settings, last_ns)
    with opened_instance() as instance:
        materialize_followed(line, instance, settings, followed)
    span = Interval(first_ns, followed.up_to_ns)
    recount = line.verify(settings, span, deep=True)
    cycles, missed = sum(each.cycles for each in counts), sum(each.missed for each in counts)
    return PlcsRead(settings, span, len(ready.tags), cycles, missed, recount)


def _followed_past(line: Line, settings: SourceSettings, last_ns: int) -> PassResult:
    """Passes of sync until what was read last is old enough to be final, and stored; the last of them."""
    end_s = time.monotonic() + _PATIENCE_S
    while (found := sync_pass(line, settings, _PATIENCE_S)).up_to_ns <= last_ns:
        if time.monotonic() > end_s:
            raise Retry("; ".join(found.problems) or f"what the PLCs said is not stored after {_PATIENCE_S:.0f} s")
        time.sleep(_POLL_S)
    return found
