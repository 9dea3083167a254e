"""`ferry rebuild`: IoTDB filled again from the landing, without the plant's historian."""

from __future__ import annotations

from typing import Any

import click

from cli.options import framed
from cli.outcome import PROVED, UNPROVED
from cli.session import Session

NOTHING_NEW = (
    "This IoTDB is the one that the history was proved in; `ferry sweep --deep --store-only` compares all of it."
)


@click.command(short_help="Fill IoTDB again from the landing.")
@framed
@click.option("--take-over", is_flag=True, help="Also where the database belongs to a ledger that is gone for good.")
def rebuild(session: Session, take_over: bool) -> int:
    """Bind this plant to the IoTDB that answers, and have it hold all that was landed; no source is asked.

    For an IoTDB that is new, empty or an older copy. Nothing counts as proved until it was compared event by event. A
    rebuild that was interrupted goes on when it is started again.
    """
    from assets_defs.backfill import prepare
    from assets_defs.following import restore, still_withdrawn
    from cli.servers import start
    from pipelines.timeline import SECOND_NS

    screen = session.screen
    done: list[dict[str, Any]] = []
    problems: list[str] = []
    with session.line() as line:
        line.outside.may_found_store = True
        start(session, line)
        anew = line.rebind_store(take_over=take_over)
        prepare(line)
        for settings in session.plant.source:
            line.store.write_points(settings.name, line.ledger.known_points(settings.name))
            with screen.busy(f"filling IoTDB with what was landed of {settings.name}"):
                found = restore(line, settings)
            problems += found.problems
            left = sum(part.length_ns for part in still_withdrawn(line, settings))
            screen.say(
                f"{settings.name}: {found.events:,} events compared with the landing, "
                f"{found.points_put_back:,} points put back in {found.seconds:.0f} s"
            )
            done.append(
                {
                    "source": settings.name,
                    "events": found.events,
                    "left_s": left / SECOND_NS,
                    "problems": found.problems,
                }
            )
    for problem in problems:
        screen.note(problem, style="yellow")
    if any(each["left_s"] for each in done):
        screen.say("What cannot be read in the landing any more, `ferry backfill` and `ferry sync` pull.")
    screen.say("`ferry marts` makes the aggregates in it again." if anew else NOTHING_NEW)
    screen.emit({"sources": done})
    return UNPROVED if problems else PROVED
