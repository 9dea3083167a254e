"""`ferry marts`: aggregates, quality figures and exports of what was moved, where they are missing or out of date."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source, span
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.timeline import Interval


@click.command(short_help="Make aggregates, quality figures and exports.")
@framed
@source
@span()
@click.option("--all", "everything", is_flag=True, help="Also where they are there and nothing has changed since.")
def marts(
    session: Session, source_name: str | None, start_ns: int | None, end_ns: int | None, everything: bool
) -> None:
    """Make aggregates, quality figures and exports of what was moved, where they are missing or out of date.

    Without --start and --end: of all that was ever moved. They are made from the landing; the source is not asked.
    """
    from cli.servers import start

    settings = session.source(source_name)
    with session.line() as line:
        start(session, line)
        asked = session.moved_span(line, settings, start_ns, end_ns)
        made = make_missing(session, line, settings, asked, everything=everything)
    rows = ", ".join(f"{number:,} of {mart}" for mart, number in sorted(made.items()))
    session.screen.say(
        f"{settings.name}, {asked}: " + (f"made {rows}" if made else "nothing to make, all is up to date")
    )
    session.screen.emit({"source": settings.name, "made": dict(made)})


def make_missing(
    session: Session, line: Line, settings: SourceSettings, asked: Interval, *, everything: bool = False
) -> Counter[str]:
    """Makes the marts that are missing or out of date; returns how many of each, by (group, window)."""
    from assets_defs.backfill import make_marts, prepare
    from assets_defs.marts_line import unmade

    pairs = (
        [(group, window) for window in line.windows(settings, asked) for group in line.groups(settings)]
        if everything
        else unmade(line, settings, asked)
    )
    made: Counter[str] = Counter()
    if not pairs:
        return made
    prepare(line)
    with session.screen.busy(f"aggregates, quality figures, exports of {settings.name}") as tell:

        def take(event: dict[str, Any]) -> None:
            if event["kind"] == "mart":
                made[event["mart"]] += 1
                tell(f"{event['mart']} of {event['group']} {event['window']}")
            elif event["kind"] == "stopping":
                session.screen.note("stopping…")

        make_marts(line, session.plant_file.absolute(), settings, pairs, take)
    return made
