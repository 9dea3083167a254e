"""Sync and sweeps of one source on its line: what the commands and the schedules both call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from assets_defs.clock_facts import record_expiry, withdraw_future
from assets_defs.discovery import look_for_points, missing_told
from assets_defs.line import Line
from assets_defs.spool_room import make_room
from pipelines.plant import SourceSettings
from pipelines.ports import Retry, Source, Stop, Store, Unreachable
from pipelines.sync import (
    AwayStore,
    CheckResult,
    PassResult,
    Rhythm,
    StoreChecks,
    Sweeping,
    SweepResult,
    SyncPass,
)
from pipelines.timeline import Interval, iso
from pipelines.transfer import SliceResult
from resources.plc4x import tell_stored
from resources.store_binding import REBUILD

DISCOVER_EVERY_S = 3_600.0
"""So old the catalogue may get while a source is followed."""
_ALONE = "sync"
_ANY = Interval(0, 1)


class Busy(Retry):
    """Somebody else follows the source already."""


@contextmanager
def alone(line: Line, settings: SourceSettings, what: str = _ALONE) -> Iterator[None]:
    """One sync of a source at a time, whoever started it. Raises Busy naming the other."""
    try:
        context = line.ledger.lease(settings.name, what, _ANY, line.run_id or f"ferry {what}")
        with context:
            yield
    except Unreachable:
        raise
    except Retry as error:
        if " is being worked on by " not in str(error):
            raise
        who = str(error).partition(" is being worked on by ")[2]
        raise Busy(f"a {what} of source {settings.name!r} is running already: {who}") from None


def sync_pass(
    line: Line,
    settings: SourceSettings,
    seconds: float,
    on_slice: Callable[[SliceResult], None] = lambda _: None,
) -> PassResult:
    """One pass: the newest of every group, then gaps and looks for `seconds` at most. Raises Stop, Unreachable."""
    store = _store(line)
    look_for_points(line, settings)
    handover_ns = line.hand_over(settings)
    until_s = time.monotonic() + seconds

    async def work(source: Source) -> PassResult:
        line.claim()
        reach = line.wanted(settings, Interval(handover_ns, 2**63 - 1))
        if reach is None:
            return PassResult(up_to_ns=_begun(line, settings, handover_ns))
        if not isinstance(store, AwayStore):
            record_expiry(line, settings)
        withdraw_future(line, settings)
        run = SyncPass(
            line.transfer(settings, source, store),
            line.by_group(settings, line.present(settings)),
            line.windows(settings),
            reach,
            Rhythm(settings.sync.lag, settings.sync.overlap, settings.lateness),
            now_ns=lambda: line.time_at(settings),
            final_ns=lambda: line.final_ns(settings),
            slices_at_once=line.plant.limits.slices_at_once,
            listen=settings.sync.feed,
            on_slice=on_slice,
        )
        if told := missing_told(line, settings):
            run.result.troubles.add(told)
        try:
            await make_room(line, settings, source)  # first: the pass may need it
        except OSError as error:
            run.result.troubles.add(f"the spool cannot let go of what is old: {error}")
        return await run.run(until_s)

    found = line.with_source(settings, work)
    if settings.connection:
        tell_stored(line.plant.spool_dir(settings.name), found.up_to_ns)
    if found.waiting:
        line.reconnect()  # so that the next pass starts a server of ours that has died
    return found


def _begun(line: Line, settings: SourceSettings, handover_ns: int) -> int:
    """The handover. Raises Stop where a clock that ran ahead has set it: nothing would be followed until it comes."""
    if handover_ns - line.time_at(settings) > line.plant.limits.clock_apart:
        raise Stop(
            f"sync of source {settings.name!r} was begun by a clock that ran ahead: it has all from "
            f"{iso(handover_ns)} on, which is yet to come, and nothing before. What happens until then is a backfill's"
        )
    return handover_ns


def _store(line: Line) -> Store:
    """IoTDB, or what says why it is away: the newest is pulled and landed all the same."""
    try:
        return line.store
    except Unreachable as error:
        return AwayStore(str(error))


def sweep(
    line: Line,
    settings: SourceSettings,
    seconds: float,
    *,
    deep: bool = False,
    span: Interval | None = None,
    mend: bool | None = None,
    on_slice: Callable[[SliceResult], None] = lambda _: None,
) -> SweepResult:
    """Settled history is asked about again for `seconds` at most; `deep`: all of the span once, every event.

    First the store alone, for half of the time; then the source. `mend` is the plant file's `restate` unless given.
    Raises Stop, Unreachable.
    """
    look_for_points(line, settings)
    store = check_store(line, settings, seconds / 2, deep=deep, span=span, on_slice=on_slice)
    until_s = time.monotonic() + seconds

    async def work(source: Source) -> SweepResult:
        line.claim()
        final = line.wanted(settings, span)
        end_ns = line.time_at(settings) - settings.lateness
        reach = final and (final if deep else final.intersect(Interval(min(final.start_ns, end_ns - 1), end_ns)))
        if reach is None:
            return SweepResult()
        record_expiry(line, settings)
        run = Sweeping(
            line.transfer(settings, source),
            line.by_group(settings, line.present(settings)),
            line.windows(settings),
            reach,
            handover_ns=line.ledger.handover(settings.name),
            mend=settings.sweep.restate == "auto" if mend is None else mend,
            now_ns=lambda: line.time_at(settings),
            on_slice=on_slice,
        )
        return await run.run(until_s, all_deep=deep)

    found = line.with_source(settings, work)
    found.store = store
    return found


def check_store(
    line: Line,
    settings: SourceSettings,
    seconds: float,
    *,
    deep: bool = False,
    span: Interval | None = None,
    on_slice: Callable[[SliceResult], None] = lambda _: None,
) -> CheckResult:
    """IoTDB is compared with the landing for `seconds` at most, and made to hold what was landed; `deep`: all of it,
    every event. The source is not asked. Raises Stop, Unreachable."""
    until_s = time.monotonic() + seconds

    async def work(source: Source) -> CheckResult:
        return await _checks(line, settings, source, span, on_slice).run(until_s, all_deep=deep)

    return line.beside_source(settings, work)


def restore(
    line: Line, settings: SourceSettings, on_slice: Callable[[SliceResult], None] = lambda _: None
) -> CheckResult:
    """What a rebuild withdrew is put into IoTDB from the landing, proved and covered. The source is not asked.

    Raises Stop, Unreachable.
    """
    spans = {group: line.ledger.withdrawn(settings.name, group, REBUILD) for group in line.groups(settings)}

    async def work(source: Source) -> CheckResult:
        return await _checks(line, settings, source, None, on_slice).restore(spans)

    return line.beside_source(settings, work)


def still_withdrawn(line: Line, settings: SourceSettings) -> list[Interval]:
    """What a rebuild withdrew and has not covered again, of all groups."""
    return [part for group in line.groups(settings) for part in line.ledger.withdrawn(settings.name, group, REBUILD)]


def _checks(
    line: Line,
    settings: SourceSettings,
    source: Source,
    span: Interval | None,
    on_slice: Callable[[SliceResult], None],
) -> StoreChecks:
    windows = line.windows(settings)
    return StoreChecks(
        line.transfer(settings, source),
        line.by_group(settings, line.present(settings)),  # what is gone stands in the manifests
        windows,
        span or Interval(windows[0].start_ns, windows[-1].end_ns),
        handover_ns=line.ledger.handover(settings.name),
        now_ns=line.now_ns,
        recent_ns=settings.sweep.store,
        on_slice=on_slice,
    )


def discovery_is_due(line: Line, settings: SourceSettings) -> bool:
    """Whether the source was not asked for its points for long."""
    age_s = line.ledger.catalogue_age_s(settings.name)
    return age_s is None or age_s > DISCOVER_EVERY_S
