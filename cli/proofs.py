"""The proof as a person reads it: three counts, how they were proved, what is not, and where sides differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.screen import Screen

if TYPE_CHECKING:
    from pipelines.plant import SourceSettings
    from pipelines.timeline import Interval
    from pipelines.transfer import Recount

DRIFT_SHOWN = 50
REASONS_SHOWN = 10
_ORIGINS = {"independent": "by an independent count", "re-read": "by reading again", "spool": "through its spool"}


def show_counts(screen: Screen, source: str, span: Interval, found: Recount, origins: dict[str, int]) -> None:
    """The totals, and whether they agree."""
    screen.say(f"Source {source}, {span}", style="bold")
    told = found.source_events + found.gone_events
    agree = told == found.landed_events == found.stored_events + found.landed_only
    screen.say(f"  source held   {found.source_events:>16,} events of {found.points:,} points")
    if found.gone:
        screen.say(f"  gone there    {found.gone_events:>16,} events of {len(found.gone):,} of these points")
    screen.say(f"  landed        {found.landed_events:>16,} events")
    screen.say(f"  stored        {found.stored_events:>16,} events", style=None if agree else "bold red")
    for part in found.expired:
        screen.say(f"  {part} is older than IoTDB keeps (retention.raw) and was left out of the recount")
    if found.landed_only:
        screen.say(f"  landed only   {found.landed_only:>16,} events, older than IoTDB keeps (retention.raw)")
    if found.rounded_events:
        screen.say(f"  rounded       {found.rounded_events:>16,} events, to the clock of this IoTDB")
    screen.say(f"  proved        {len(found.counted) + len(found.deep):>16,} points{_how(found)}")
    if asked := _asked(origins):
        screen.say(f"  {'':30} the source's side: {asked}")
    unproved = len(found.unproved)
    screen.say(f"  unproved      {unproved:>16,} points", style="bold red" if unproved else "green")


def show_doubts(screen: Screen, found: Recount) -> None:
    """Drift by point and window, why points are unproved, and which are gone; the first of each, and how many more."""
    from pipelines.timeline import iso

    if found.drift:
        rows = [
            (found.name_of(point), window, counts["source"], counts["landed"], counts["stored"])
            for (point, window), counts in sorted(found.drift.items())
        ]
        screen.say()
        columns = ("point", "window", "source", "landed", "stored")
        screen.table("Drift, in events", columns, rows[:DRIFT_SHOWN])
        _more(screen, len(rows) - DRIFT_SHOWN, "--json has all of them")
    show_reasons(screen, {found.name_of(point): why for point, why in found.unproved.items()})
    for point, since_ns in sorted(found.gone.items())[:REASONS_SHOWN]:
        screen.say(f"{found.name_of(point)} is gone at the source since {iso(since_ns)}")
    _more(screen, len(found.gone) - REASONS_SHOWN, "--json has all of them")
    for damage in found.damaged:
        screen.say(f"damaged landing: {damage}", style="red")


def show_not_moved(screen: Screen, settings: SourceSettings, found: Recount) -> None:
    """What was left out because nobody has moved it yet, and the command that does; what is open."""
    from assets_defs.reach import filling
    from pipelines.timeline import merge

    for part in merge(each for spans in found.not_moved.values() for each in spans):
        screen.say(f"Not moved yet: {part}. `{filling(settings, part)}` moves it.", style="yellow")
    for part in merge(each for spans in found.open.values() for each in spans):
        screen.say(f"Open: {part} has just happened; the next pass of sync moves it.", style="dim")


def show_reasons(screen: Screen, unproved: dict[str, str]) -> None:
    """Why points are unproved, by their names at the source."""
    if unproved:
        screen.say()
        screen.table("Unproved", ("point", "why"), sorted(unproved.items())[:REASONS_SHOWN])
        _more(screen, len(unproved) - REASONS_SHOWN, "`ferry status --json` has all of them")


def is_proved(found: Recount) -> bool:
    """Nothing is unproved, nothing drifts, nothing is damaged."""
    return not (found.unproved or found.drift or found.damaged)


def _how(found: Recount) -> str:
    kinds = [(len(found.counted), "counted"), (len(found.deep), "deep (every event read back)")]
    how = ", ".join(f"{points:,} {kind}" for points, kind in kinds if points)
    return f": {how}" if how else ""


def _asked(origins: dict[str, int]) -> str:
    return ", ".join(f"{_ORIGINS.get(origin, origin)} for {points:,}" for origin, points in origins.items() if points)


def _more(screen: Screen, number: int, where: str) -> None:
    if number > 0:
        screen.say(f"… and {number:,} more; {where}", style="dim")
