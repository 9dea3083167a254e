"""`ferry plan`: what a backfill would do."""

from __future__ import annotations

import click

from cli.options import framed, source, span
from cli.session import Session

_ROWS_SHOWN = 40


@click.command(short_help="Show what a backfill would do.")
@framed
@source
@span()
@click.option("--points", "globs", metavar="GLOB", multiple=True, help="Only these points; may be given often.")
@click.option("--offline", is_flag=True, help="Do not ask the source for counts; estimate from the ledger.")
def plan(
    session: Session,
    source_name: str | None,
    start_ns: int | None,
    end_ns: int | None,
    globs: tuple[str, ...],
    offline: bool,
) -> None:
    """Show what a backfill would run: gaps, slices, events, minutes. Changes nothing."""
    from cli.forecast import forecast
    from cli.progress import duration
    from pipelines.landing import window_label
    from pipelines.timeline import iso

    settings, screen = session.source(source_name), session.screen
    asked = session.span(settings, start_ns, end_ns)
    what = "reading the ledger" if offline else f"asking {settings.name} how much is missing"
    with session.line() as line, screen.busy(what):
        found = forecast(line, settings, asked, globs, offline)
    screen.say(f"Source {settings.name}, {asked}: {found.points:,} points", style="bold")
    if found.gaps:
        rows = [
            (gap.group, window_label(gap.window), iso(gap.span.start_ns), iso(gap.span.end_ns),
             gap.events, gap.slices)
            for gap in found.gaps
        ]  # fmt: skip
        screen.table("", ("group", "window", "from", "to", "events", "slices"), rows[:_ROWS_SHOWN])
        if len(rows) > _ROWS_SHOWN:
            screen.say(f"… and {len(rows) - _ROWS_SHOWN:,} more gaps", style="dim")
        origin = {"source": "counted by the source", "ledger": "from the density of what was moved"}
        basis = origin.get(found.events_from, "the ledger knows of nothing that was moved before")
        events = "an unknown number of" if found.events is None else f"{found.events:,}"
        screen.say(f"would move {events} events ({basis}) in about {found.slices:,} slices")
        basis = "as the last run did" if found.rate_from == "ledger" else "assumed: nothing was moved yet"
        if found.minutes is not None:
            screen.say(f"in about {duration(found.minutes * 60)} at {found.events_per_s:,.0f} events/s ({basis})")
    elif not found.mends:
        screen.say("nothing to do: it is all covered", style="green")
    if found.mends:
        screen.say(f"would try again {found.mends:,} points that are unproved where their group is covered")
    if found.silent:
        point, why = next(iter(found.silent.items()))
        screen.say(f"{len(found.silent):,} points gave no count; first {point}: {why}", style="yellow")
    screen.emit(
        {
            "source": settings.name, "start": iso(asked.start_ns), "end": iso(asked.end_ns), "points": found.points,
            "mends": found.mends, "events": found.events, "events_from": found.events_from, "slices": found.slices,
            "minutes": None if found.minutes is None else round(found.minutes, 2),
            "events_per_s": round(found.events_per_s, 1), "rate_from": found.rate_from,
            "gaps": [
                {
                    "group": gap.group, "window": window_label(gap.window), "start": iso(gap.span.start_ns),
                    "end": iso(gap.span.end_ns), "events": gap.events, "slices": gap.slices,
                }
                for gap in found.gaps
            ],
        }
    )  # fmt: skip
