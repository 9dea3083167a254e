"""`ferry discover`: the source's point catalogue, into the ledger and the store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import framed, source
from cli.outcome import PROVED, UNPROVED
from cli.servers import start
from cli.session import Session
from cli.trust import pin

if TYPE_CHECKING:
    from assets_defs.discovery import Answer
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.points import Point


@click.command(short_help="Read the source's point catalogue.")
@framed
@source
@click.option("--browse", is_flag=True, help="PLCs: write a tag map of what the OPC UA servers have.")
@click.option("--out", type=click.Path(path_type=Path), help="With --browse: the file. Default: the source's `tags`.")
@click.option("--trust", is_flag=True, help="The same as `ferry trust`.")
@click.option(
    "--attributes/--no-attributes",
    default=True,
    show_default=True,
    help="Read all attributes of the points and the digital sets, too, where the source tells them.",
)
@click.option("--accept-loss", "answer", flag_value="accept_loss", help="Points that it no longer shows are gone.")
@click.option(
    "--same-server", "answer", flag_value="same_server", help="Its points are those of before, by their names."
)
def discover(
    session: Session,
    source_name: str | None,
    browse: bool,
    out: Path | None,
    trust: bool,
    attributes: bool,
    answer: Answer | None,
) -> int:
    """Read the source's point catalogue and record what changed.

    Many points that are gone at once, or have other ids at the source than before, are asked about.
    """
    from assets_defs.attributes import read_attributes
    from assets_defs.discovery import left_out_told, missing_told, named
    from cli.attributed import attributes_json, show_attributes
    from cli.restate import whoever

    settings, screen = session.source(source_name), session.screen
    if browse or trust:
        if answer:
            raise click.UsageError("--accept-loss and --same-server are not for --browse and --trust")
        if trust:
            pin(session, settings)
        else:
            from cli import opcua

            opcua.tag_map(session, settings, out)
        return PROVED
    with session.line() as line:
        start(session, line)
        with screen.busy(f"asking {settings.name} for its points"):
            found = line.discover(settings, answer or "", whoever())
        with screen.busy(f"asking {settings.name} for their attributes"):
            told_of = read_attributes(line, settings) if attributes else None
        points, told = line.present(settings), missing_told(line, settings)
    kinds = Counter(point.kind for point in points)
    screen.say(
        f"Source {settings.name}: {len(points):,} points, {found.changed:,} new or changed, "
        f"{found.newcomers:,} of them never seen before"
    )
    if found.gone:
        screen.say(f"Gone at the source: {named(found.gone)}. Their history is kept.", style="yellow")
    for reason in left_out_told(found.left_out):
        screen.say(reason)
    if told_of is not None:
        show_attributes(screen, told_of)
    if points:
        screen.table("", ("kind", "points"), kinds.most_common())
    else:
        screen.say("The source lets us see no point that the plant file selects: look at `points` and `exclude` there.")
    screen.emit(
        {
            "source": settings.name, "points": len(points), "changed": found.changed, "newcomers": found.newcomers,
            "kinds": dict(kinds),
        }
        | {what: names for what, names in (("missing", found.missing), ("gone", found.gone)) if names}
        | ({"attributes": attributes_json(told_of)} if told_of is not None else {})
        | ({"left_out": {why: len(names) for why, names in found.left_out.items()}} if found.left_out else {})
    )  # fmt: skip
    if told:
        screen.fail(told)
    return UNPROVED if told else PROVED


def known_points(session: Session, line: Line, settings: SourceSettings) -> list[Point]:
    """The catalogue; the source is asked for it the first time, and when the plant file asks for other points."""
    from assets_defs.discovery import asks_for_others

    if asks_for_others(line, settings) or not line.catalogue(settings):
        with session.screen.busy(f"asking {settings.name} for its points"):
            line.discover(settings)
    return line.catalogue(settings)
