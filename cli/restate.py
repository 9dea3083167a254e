"""`ferry restate`: reopens what was proved, so that the next backfill pulls it again."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

import click

from cli.options import framed, source, span
from cli.outcome import PROVED, UNPROVED
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.ports import SliceRecord
    from pipelines.timeline import Interval

_HOLDER = "ferry restate"
_PATIENCE_S = 30.0
"""A pass of sync gives its leases back within seconds."""


@click.command(short_help="Reopen a span on purpose.")
@framed
@source
@span(required=True)
@click.option("--accept-loss", is_flag=True, help="Believe the source even where it now holds much less than before.")
def restate(session: Session, source_name: str | None, start_ns: int, end_ns: int, accept_loss: bool) -> int:
    """Reopen a span on purpose: the next backfill pulls it again and replaces what IoTDB holds."""
    from pipelines.ports import Retry, Unreachable
    from pipelines.timeline import clip, iso, subtract

    settings, screen = session.source(source_name), session.screen
    asked = session.span(settings, start_ns, end_ns)
    reopened: list[tuple[str, Interval]] = []
    busy: list[str] = []
    with session.line() as line:
        expired = clip(line.unkept(settings), asked)
        for kept in subtract([asked], expired):
            for window in line.windows(settings, kept):
                for group in line.groups(settings):
                    try:
                        reopened.append((group, reopen(line, settings, group, window, kept, accept_loss)))
                    except Unreachable:
                        raise
                    except Retry as error:
                        busy.append(str(error))
        if reopened:
            with screen.busy("showing the windows as reopened in Dagster"):
                _tell(session, line, settings, reopened)
    for part in expired:
        screen.note(f"{part} is older than IoTDB keeps (retention.raw): left as it is", style="yellow")
    for message in busy:
        screen.note(message, style="yellow")
    wider = [span for _, span in reopened if not asked.contains(span)]
    screen.say(
        f"reopened {len(reopened):,} (group, window) parts of source {settings.name} in {asked}"
        + (", and a smaller source is accepted there" if accept_loss else "")
    )
    if wider:
        low, high = min(each.start_ns for each in wider), max(each.end_ns for each in wider)
        screen.say(f"slices are reopened whole: {len(wider):,} parts reach on, from {iso(low)} to {iso(high)}")
    else:
        low, high = asked.start_ns, asked.end_ns
    screen.say("IoTDB still holds what it held. To pull it again:")
    low, high = min(low, asked.start_ns), max(high, asked.end_ns)
    screen.say(f"  ferry backfill --source {settings.name} --start {iso(low)} --end {iso(high)}")
    screen.emit(
        {
            "source": settings.name, "start": iso(low), "end": iso(high), "reopened": len(reopened),
            "busy": len(busy), "accept_loss": accept_loss,
        }
    )  # fmt: skip
    if busy:
        screen.fail(f"{len(busy)} parts are being worked on right now and were left alone: run the same command again")
    return UNPROVED if busy else PROVED


def _tell(session: Session, line: Line, settings: SourceSettings, reopened: list[tuple[str, Interval]]) -> None:
    from assets_defs.backfill import prepare
    from assets_defs.instance import opened_instance
    from assets_defs.reach import filling
    from assets_defs.telling import tell_reopened
    from pipelines.timeline import Interval, iso

    low, high = min(each.start_ns for _, each in reopened), max(each.end_ns for _, each in reopened)
    pairs = {(group, window) for group, part in reopened for window in line.windows(settings, part)}
    why = (
        f"reopened by ferry restate, {iso(low)} to {iso(high)}, by {whoever()}: IoTDB still holds "
        f"what it held, and it counts as unproved until it is pulled again: {filling(settings, Interval(low, high))}"
    )
    prepare(line)
    with opened_instance() as instance:
        tell_reopened(line, instance, settings, sorted(pairs, key=lambda pair: (pair[1], pair[0])), why)


def reopen(
    line: Line, settings: SourceSettings, group: str, window: Interval, asked: Interval, accept_loss: bool
) -> Interval:
    """Withdraws the coverage of one group and window where `asked` touches it; returns what was withdrawn.

    Under the lease, so never under a running backfill. Raises Retry when somebody else holds it.
    """
    from pipelines.ports import SliceId, SliceRecord

    part = window.intersect(asked)
    assert part is not None
    with line.ledger.lease(settings.name, group, window, _HOLDER, _PATIENCE_S):
        part = whole_slices(line.ledger.history(settings.name, group, window), part, window)
        slice_id = SliceId(settings.name, group, part)
        line.ledger.withdraw(slice_id, "restated")
        # The newest word on the span: a landed generation of before is not resumed any more.
        line.ledger.record([SliceRecord(slice_id, "planned", note="restated")])
        if accept_loss:
            line.ledger.accept_loss(settings.name, group, part, whoever())
    return part


def whole_slices(history: list[SliceRecord], part: Interval, window: Interval) -> Interval:
    """The part, widened to the ends of the slices that it cuts: a proof is of a whole slice and ends as a whole, and
    the rest of it would be covered without one."""
    from pipelines.ledger import current
    from pipelines.timeline import Interval

    while True:
        cut = [
            inside
            for each in current(history, window)
            if each.record.slice.span.overlaps(part) and (inside := each.record.slice.span.intersect(window))
        ]
        wider = Interval(
            min([part.start_ns, *(each.start_ns for each in cut)]), max([part.end_ns, *(each.end_ns for each in cut)])
        )
        if wider == part:
            return part
        part = wider


def whoever() -> str:
    """Who gives the command, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
