"""`ferry verify`: source, landing and store counted again now."""

from __future__ import annotations

import click

from cli.options import framed, source, span
from cli.outcome import PROVED, UNPROVED
from cli.session import Session


@click.command(short_help="Recount source, landing and store now.")
@framed
@source
@span()
@click.option("--deep", is_flag=True, help="Read every event of all three sides again and compare digests.")
def verify(session: Session, source_name: str | None, start_ns: int | None, end_ns: int | None, deep: bool) -> int:
    """Recount source, landing and store now; report every difference, which is unproved from then on.

    Without --start and --end: all that was ever moved.
    """
    from cli.annotated import annotations_json, show_annotations
    from cli.proofs import is_proved, show_counts, show_doubts, show_not_moved
    from pipelines.ports import Stop

    settings, screen = session.source(source_name), session.screen
    with session.line() as line:
        if not line.catalogue(settings):
            raise Stop(f"no point of source {settings.name!r} is known, so nothing was moved: run ferry backfill first")
        asked = session.moved_span(line, settings, start_ns, end_ns)
        with screen.busy("reading every event again" if deep else "counting source, landing and store"):
            found = line.verify(settings, asked, deep=deep)
        annotated = line.ledger.annotation_counts(settings.name, asked)
    show_counts(screen, settings.name, asked, found, {})
    show_annotations(screen, annotated)
    show_doubts(screen, found)
    show_not_moved(screen, settings, found)
    if is_proved(found):
        screen.say(f"Source, landing and IoTDB agree about {settings.name}.", style="green")
    elif found.drift:
        screen.say(
            "Recorded: `ferry status` names it until it is mended. `ferry sweep` puts back what IoTDB lost; `ferry "
            "backfill` over the windows above pulls again what the source says otherwise.",
            style="yellow",
        )
    others = [each.name for each in session.plant.source if each.name != settings.name]
    if others and source_name is None:
        screen.say(f"Not looked at: {', '.join(others)}; `ferry verify --source NAME` does.", style="yellow")
    screen.emit({**found.as_json(settings.name), "annotations": annotations_json(annotated)})
    return PROVED if is_proved(found) else UNPROVED
