"""`ferry status`: coverage, gaps, rates and doubts, from the ledger alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import framed, source
from cli.outcome import PROVED, UNPROVED, UNREACHABLE
from cli.screen import Screen
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from cli.standing import GroupStanding, SourceStanding


@click.command()
@framed
@source
def status(session: Session, source_name: str | None) -> int:
    """Show how far every point group is, and what is unproved. Works while the source is down."""
    from cli.standing import standing_of

    found = []
    with session.line() as line:
        stranger, away = line.store_trouble()
        landing = _landing_doubt(line)
        for settings in session.sources(source_name):
            found.append(standing_of(line, settings))
    for index, each in enumerate(found):
        if index:
            session.screen.say()
        _show(session.screen, each)
    if landing:
        session.screen.say(landing, style="yellow")
    for trouble in filter(None, (stranger, away)):
        session.screen.say(trouble, style="bold red")
    session.screen.emit(
        {
            "plant": session.plant.plant.name,
            "landing_doubt": landing or None,
            "store": {"ours": not stranger and not away, "trouble": stranger or away},
            "sources": [each.as_json() for each in found],
        }
    )
    if stranger or not all(each.proved for each in found):
        return UNPROVED
    return UNREACHABLE if away else PROVED


def _landing_doubt(line: Line) -> str:
    """What is wrong with the landing that the plant file names; '' where nothing is. What the ledger says is shown."""
    from assets_defs.landing_identity import check_landing
    from pipelines.ports import Stop

    try:
        check_landing(line.ledger, line.plant.landing_dir)
    except Stop as error:
        return str(error)
    return ""


def _show(screen: Screen, found: SourceStanding) -> None:
    from cli.annotated import show_annotations
    from cli.progress import duration
    from cli.proofs import show_reasons
    from pipelines.points import point_name

    screen.say(f"Source {found.source}, {found.span}", style="bold")
    screen.table(
        "",
        ("group", "points", "covered", "proved events", "gaps", "proved up to", "exceptions", "slices", "notes"),
        [_row(each) for each in found.groups],
    )
    _show_events(screen, found)
    show_annotations(screen, found.annotations)
    if found.left_s:
        screen.say(
            f"{'active in the last minute, ' if found.at_work else ''}about {duration(found.left_s)} of work left"
        )
    elif found.left_s is None:
        screen.say("how long the rest takes is not measured yet; `ferry plan` says what a backfill would do")
    _show_state(screen, found)
    if found.events or found.unproved:
        style = "bold red" if found.unproved else "green"
        screen.say(f"{len(found.unproved):,} points unproved in what was moved", style=style)
    show_reasons(screen, {found.names.get(point) or point_name(point): why for point, why in found.unproved.items()})
    for each in found.groups:
        for span in each.standing.quarantined:
            screen.say(f"{each.standing.group} {span} waits in quarantine for a person", style="yellow")


def _show_state(screen: Screen, found: SourceStanding) -> None:
    from assets_defs.discovery import named
    from cli.progress import duration
    from pipelines.clocks import AHEAD
    from pipelines.timeline import iso

    if found.catalogue_age_s is not None:
        screen.say(f"its points were asked for {duration(found.catalogue_age_s)} ago; `ferry discover` asks again")
    _show_absent(screen, found)
    if found.lag_s is not None:
        since = "" if found.followed_to_ns is None else f"followed up to {iso(found.followed_to_ns)}: "
        screen.say(f"{since}{duration(found.lag_s)} behind the source's clock")
    for group, to_ns in found.ahead.items():
        screen.say(f"{group} is covered up to {iso(to_ns)}, which has not come yet: {AHEAD}", style="bold red")
    if found.spool_bytes is not None:
        screen.say(f"its spool takes {found.spool_bytes / 1e6:,.1f} MB")
    if found.never_moved:
        screen.say(
            f"IoTDB holds events of {found.never_moved:,} points that were never moved, {named(found.strangers)}; "
            "`ferry sweep` says which",
            style="bold red",
        )
    if found.schedules:
        screen.say("schedules: " + ", ".join(f"{name} {state}" for name, state in found.schedules.items()))


def _show_absent(screen: Screen, found: SourceStanding) -> None:
    from assets_defs.discovery import named

    if gone := [each.point.name for each in found.absences if each.believed]:
        screen.say(f"{len(gone):,} points are gone at the source, and their history is kept: {named(gone)}")
    if found.missing_told:
        screen.say(found.missing_told, style="bold red")


def _show_events(screen: Screen, found: SourceStanding) -> None:
    from assets_defs.reach import filling
    from cli.progress import percent

    rate = f", {found.pace.events_per_s:,.0f} events/s in the last runs" if found.pace else ""
    screen.say(f"{percent(found.share)} covered, {found.events:,} events proved{rate}")
    if found.landed_events != found.events:
        screen.say(f"{found.landed_events - found.events:,} events more are landed, and unproved now", style="yellow")
    if found.forgotten_events:
        screen.say(f"{found.forgotten_events:,} of them are landed only: older than IoTDB keeps (retention.raw)")
    for span in found.withdrawn:
        screen.say(f"{span} was proved once and is not now: `{filling(found.settings, span)}`", style="bold red")
    for hole in found.holes:
        command = filling(found.settings, hole)
        screen.say(f"nothing fills {hole}, which is before sync's part: `{command}`", style="yellow")


def _row(group: GroupStanding) -> tuple[object, ...]:
    from cli.progress import percent
    from pipelines.timeline import iso

    standing = group.standing
    notes = [f"open from {iso(each.start_ns)}" for each in standing.open]
    if standing.quarantined:
        notes.append(f"{len(standing.quarantined)} quarantined")
    if group.retry_at_ns:
        notes.append(f"again after {iso(group.retry_at_ns // 1_000_000_000 * 1_000_000_000)}")
    states = ", ".join(f"{number} {state}" for state, number in sorted(group.states.items()))
    return (
        standing.group, standing.points, percent(standing.share), standing.proved_events, len(standing.gaps),
        iso(standing.watermark_ns), len({each.point for each in standing.exclusions}), states, ", ".join(notes),
    )  # fmt: skip
