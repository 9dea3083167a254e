"""`ferry plan`: what a backfill would do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source, span
from cli.screen import Screen
from cli.session import Session

if TYPE_CHECKING:
    from cli.forecast import Forecast, Gap

NOT_MEASURED = "not measured yet"
_ORIGINS = {"source": "counted by the source", "ledger": "from the density of what was moved"}


@click.command(short_help="Show what a backfill would do.")
@framed
@source
@span()
@click.option("--points", "globs", metavar="GLOB", multiple=True, help="Only these points; may be given often.")
@click.option("--offline", is_flag=True, help="Do not ask the source for counts; estimate from the ledger.")
@click.option("--windows", is_flag=True, help="List every gap: its group, window, span and events.")
def plan(
    session: Session,
    source_name: str | None,
    start_ns: int | None,
    end_ns: int | None,
    globs: tuple[str, ...],
    offline: bool,
    windows: bool,
) -> None:
    """Show what a backfill would run: events, time, requests, disk. Changes nothing.

    Time and disk are what the last runs of this source have shown; before the first of them nobody can tell.
    """
    from cli.forecast import forecast
    from pipelines.timeline import iso

    settings, screen = session.source(source_name), session.screen
    asked = session.span(settings, start_ns, end_ns)
    what = "reading the ledger" if offline else f"asking {settings.name} how much is missing"
    with session.line() as line, screen.busy(what):
        found = forecast(line, settings, asked, globs, offline)
    screen.say(f"Source {settings.name}, {asked}: {found.points:,} points", style="bold")
    if found.gaps:
        if windows:
            rows = [_row(gap) for gap in found.gaps]
            screen.table("", ("group", "window", "from", "to", "events", "slices"), rows)
        _show(screen, found, settings.requests_per_s, session.plant.landing_dir)
    elif not found.mends:
        screen.say("nothing to do: it is all covered", style="green")
    if found.mends:
        screen.say(f"would try again {found.mends:,} points that are unproved where their group is covered")
    if found.silent:
        point, why = next(iter(found.silent.items()))
        screen.say(f"{len(found.silent):,} points gave no count; first {point}: {why}", style="yellow")
    screen.emit({"source": settings.name, "start": iso(asked.start_ns), "end": iso(asked.end_ns), **_figures(found)})


def _show(screen: Screen, found: Forecast, requests_per_s: float, landing: Path) -> None:
    from cli.progress import duration

    origin = _ORIGINS.get(found.events_from, "the ledger knows of nothing that was moved before")
    events = "not known" if found.events is None else f"{found.events:,}"
    slices = "" if found.events is None else f", in about {_many(found.slices, 'slice')}"
    screen.say(
        f"events    {events} ({origin}), of {_many(found.groups, 'group')} and {_many(found.windows, 'window')}{slices}"
    )
    time, disk = NOT_MEASURED, NOT_MEASURED
    if found.pace is not None:
        runs = "run" if found.pace.runs == 1 else f"{found.pace.runs} runs"
        rate = f"{found.pace.events_per_s:,.0f} events/s, as in the last {runs}"
        time = rate if found.seconds is None else f"about {duration(found.seconds)}, at {rate}"
    if found.bytes_per_event is not None:
        each = f"{found.bytes_per_event:.1f} bytes an event, as landed last"
        disk = each if found.landing_bytes is None else f"about {_size(found.landing_bytes)}, at {each}"
    screen.say(f"time      {time}")
    asked = (
        NOT_MEASURED
        if found.requests is None
        else f"about {found.requests:,}, as many for an event as in the last runs"
    )
    screen.say(f"requests  {asked}; never more than {requests_per_s:,g} a second")
    screen.say(f"landing   {disk}; {_size(_free_bytes(landing))} free at {landing}; IoTDB's files come beside it")


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _row(gap: Gap) -> tuple[object, ...]:
    from pipelines.landing import window_label
    from pipelines.timeline import iso

    return (
        gap.group, window_label(gap.window), iso(gap.span.start_ns), iso(gap.span.end_ns), gap.events, gap.slices,
    )  # fmt: skip


def _figures(found: Forecast) -> dict[str, Any]:
    seconds, pace, each = found.seconds, found.pace, found.bytes_per_event
    names = ("group", "window", "start", "end", "events", "slices")
    return {
        "points": found.points,
        "mends": found.mends,
        "events": found.events,
        "events_from": found.events_from,
        "slices": found.slices,
        "minutes": None if seconds is None else round(seconds / 60, 2),
        "events_per_s": None if pace is None else round(pace.events_per_s, 1),
        "rate_from": None if pace is None else "ledger",
        "bytes_per_event": None if each is None else round(each, 2),
        "landing_bytes": found.landing_bytes,
        "requests": found.requests,
        "gaps": [dict(zip(names, _row(gap), strict=True)) for gap in found.gaps],
    }


def _free_bytes(folder: Path) -> int:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"
