"""What of our own keeping may go: cycles in the spool that are old, landed, settled and proved."""

from __future__ import annotations

import asyncio

from assets_defs.line import Line
from pipelines.ledger import current
from pipelines.plant import SourceSettings
from pipelines.ports import Kept, Source
from pipelines.timeline import Interval, subtract


async def make_room(line: Line, settings: SourceSettings, source: Source) -> None:
    """Lets a source of our own keeping go of what is old, landed and proved. Raises OSError on a full disk."""
    if settings.spool_keep is None or not isinstance(source, Kept):
        return
    old = await source.spare(line.now_ns() - settings.spool_keep)
    if old is not None:
        await source.let_go(await asyncio.to_thread(_proved_until, line, settings, old))


def _proved_until(line: Line, settings: SourceSettings, span: Interval) -> int:
    """Up to when all groups are covered, settled and without an exception, `span.end_ns` at most."""
    if span.end_ns <= settings.start:  # nobody asks for it
        return span.end_ns
    span = Interval(max(span.start_ns, settings.start), span.end_ns)
    live = {point.id for point in line.present(settings)}
    wrong = [each.span for each in line.ledger.exclusions(settings.name, None, span) if each.point in live]
    history = line.ledger.history(settings.name, None, span)
    for group in line.groups(settings):
        wrong += subtract([span], line.ledger.coverage(settings.name, group))
        mine = [record for record in history if record.slice.group == group]
        wrong += [each.span for each in current(mine, span) if each.provisional]
    return min([span.end_ns, *(each.start_ns for each in wrong)])
