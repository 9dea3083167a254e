"""Facts of the ledger that hang on a clock: what IoTDB has forgotten, and what was covered before it had happened.

Only what writes records them, once the clocks were compared; a look at the plant changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipelines.clocks import at_least_ns, check_clocks
from pipelines.plant import SourceSettings
from pipelines.ports import SliceId
from pipelines.timeline import Interval, clip, subtract

if TYPE_CHECKING:
    from assets_defs.line import Line

_EXPIRED = "older than the plant file's retention.raw, by IoTDB's own clock and TTL"
_KEPT = "IoTDB keeps it after all: what was recorded as expired is taken back, and is to be proved"
_FUTURE = "covered by a clock that ran ahead: it had not happened yet"


def record_expiry(line: Line, settings: SourceSettings) -> None:
    """What is older than the retention becomes a fact once IoTDB says so; what it keeps after all is taken back.

    Raises Stop where IoTDB's clock, by which it forgets, is not this host's; Retry.
    """
    known, too_old = line.expired(settings), line.too_old(settings)
    if (fresh := subtract(too_old, known)) and _confirmed(line):
        for part in fresh:
            line.ledger.expire(settings.name, part, _EXPIRED)
    for part in subtract(clip(known, Interval(settings.start, 2**63 - 1)), too_old):
        line.ledger.revive(settings.name, part, _KEPT)
        _withdraw(line, settings, part, _KEPT)


def withdraw_future(line: Line, settings: SourceSettings) -> list[Interval]:
    """Withdraws coverage of time that has not come yet, and what else was covered by the clock that ran ahead."""
    now_ns, found = line.time_at(settings), []
    for group in line.groups(settings):
        coverage = line.ledger.coverage(settings.name, group)
        if coverage and coverage[-1].end_ns > now_ns and (part := line.ledger.ahead(settings.name, group, now_ns)):
            line.ledger.withdraw(SliceId(settings.name, group, part), _FUTURE, line.run_id)
            found.append(part)
            logging.getLogger(__name__).warning(
                "%s/%s: %s was %s; withdrawn, and pulled again", settings.name, group, part, _FUTURE
            )
    return found


def _confirmed(line: Line) -> bool:
    """Whether IoTDB forgets as the plant file says, by a clock that is right; False where it does not tell."""
    store, asked_ns = line.store, line.now_ns()
    told_ns = store.now_ns()
    if told_ns is None or store.keeps_ns() != line.plant.retention.raw:
        return False
    ahead_ns = at_least_ns(told_ns, asked_ns, line.now_ns())
    check_clocks(line.now_ns(), {store.where: ahead_ns}, line.plant.limits.clock_apart, same=frozenset())
    return True


def _withdraw(line: Line, settings: SourceSettings, span: Interval, reason: str) -> None:
    for group in line.groups(settings):
        for part in clip(line.ledger.coverage(settings.name, group), span):
            line.ledger.withdraw(SliceId(settings.name, group, part), reason, line.run_id)
    logging.getLogger(__name__).warning("%s: %s: %s", settings.name, span, reason)
