"""`ferry report` and `ferry export`: what people take away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import Duration, framed, source, span
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.marts import Rule
    from pipelines.plant import SourceSettings
    from pipelines.timeline import Interval


@click.command(short_help="Write the quality report (HTML).")
@framed
@source
@span()
def report(session: Session, source_name: str | None, start_ns: int | None, end_ns: int | None) -> None:
    """Write the quality report: one HTML file that needs nothing else. What it is made from is made where missing.

    Without --start and --end: over all that was ever moved.
    """
    from cli.marts import make_missing
    from cli.servers import start

    settings, screen = session.source(source_name), session.screen
    with session.line() as line:
        start(session, line)
        asked = session.moved_span(line, settings, start_ns, end_ns)
        make_missing(session, line, settings, asked)
        path = make_report(session, line, settings, asked)
        proof = line.evidence(settings, asked)
    screen.say(str(path))
    screen.emit({"report": str(path), "proved_events": proof.proved_events, **proof.found.as_json(settings.name)})


def make_report(session: Session, line: Line, settings: SourceSettings, asked: Interval) -> Path:
    """Writes the report and tells Dagster of it."""
    from assets_defs.backfill import prepare
    from assets_defs.instance import opened_instance
    from assets_defs.marts_line import write_report
    from assets_defs.telling import tell_report

    with session.screen.busy("writing the quality report"):
        path = write_report(line, settings, asked)
        prepare(line)
        with opened_instance() as instance:
            tell_report(instance, settings, asked, path)
    return path


@click.command(short_help="Write Parquet exports, or a wide table.")
@framed
@source
@span()
@click.option("--points", "globs", metavar="GLOB", multiple=True, help="Only these points; may be given often.")
@click.option("--to", "destination", type=click.Path(path_type=Path, file_okay=False),
              help="Folder; default: the plant file's exports.")  # fmt: skip
@click.option("--nanoseconds", is_flag=True, help="The column time in nanoseconds; Spark cannot read that.")
@click.option("--wide", is_flag=True, help="Instead: one table, a column a point, resampled.")
@click.option("--every", "every_ns", type=Duration(), metavar="STEP", help="Of --wide: step of the rows [1min].")
@click.option("--rule", type=click.Choice(["time-weighted", "last", "interpolated"]),
              help="Of --wide: what stands in a row [time-weighted].")  # fmt: skip
@click.option("--tolerance", "tolerance_ns", type=Duration(), metavar="TIME",
              help="Of --wide: how long an event counts at most; default: until the next.")  # fmt: skip
@click.option("--csv", is_flag=True, help="Of --wide: CSV instead of Parquet.")
def export(
    session: Session,
    source_name: str | None,
    start_ns: int | None,
    end_ns: int | None,
    globs: tuple[str, ...],
    destination: Path | None,
    nanoseconds: bool,
    wide: bool,
    **resampling: Any,
) -> None:
    """Write Parquet exports: events, aggregates and points, with true names and units; a folder is a data set.

    With --wide one table, a row an instant and a column a point. What is bad, or was never moved, is null in it.
    Without --start and --end: of all that was ever moved.
    """
    from cli.servers import start
    from pipelines.points import selected
    from pipelines.ports import Stop

    if nanoseconds and wide:
        raise click.UsageError("--nanoseconds is not for --wide: its rows are at whole steps")
    if not wide and any(value not in (None, False) for value in resampling.values()):
        raise click.UsageError("--every, --rule, --tolerance and --csv are for --wide")
    settings = session.source(source_name)
    with session.line() as line:
        start(session, line)
        asked = session.moved_span(line, settings, start_ns, end_ns)
        if not selected(line.catalogue(settings), globs or ("*",)):
            raise Stop(f"no point of source {settings.name!r} matches {' '.join(globs) or '*'}: nothing to export")
        if wide:
            _export_wide(session, line, settings, asked, globs or ("*",), destination, resampling)
        else:
            _export_data_sets(session, line, settings, asked, globs or ("*",), destination, nanoseconds)


def _export_data_sets(
    session: Session, line: Line, settings: SourceSettings, asked: Interval, globs: tuple[str, ...],
    destination: Path | None, nanoseconds: bool,
) -> None:  # fmt: skip
    from assets_defs.backfill import prepare
    from assets_defs.instance import opened_instance
    from assets_defs.marts_line import write_exports
    from assets_defs.telling import tell_exports
    from cli.marts import make_missing
    from pipelines.marts import INTERVALS

    screen = session.screen
    make_missing(session, line, settings, asked)
    with screen.busy("writing Parquet exports"):
        made = write_exports(line, settings, asked, globs, destination, nanoseconds=nanoseconds)
    if destination is None and globs == ("*",):
        prepare(line)
        with opened_instance() as instance:
            tell_exports(line, instance, settings, asked)
    folder = (destination or session.plant.exports_dir).absolute()
    events = made.rows("samples")
    screen.say(f"{events:,} events of whole UTC days in {len(made.paths):,} files below {folder}")
    if made.unaggregated:
        screen.note(f"{len(made.unaggregated):,} groups and windows have no aggregates yet, and none in the export")
    screen.emit(
        {
            "source": settings.name, "exports": str(folder), "events": events,
            "aggregate_rows": {each: made.rows(f"aggregates_{each}") for each in INTERVALS},
            "annotations": made.rows("annotations"),
            "without_aggregates": len(made.unaggregated), "files": [str(path) for path in made.paths],
        }
    )  # fmt: skip


def _export_wide(
    session: Session, line: Line, settings: SourceSettings, asked: Interval, globs: tuple[str, ...],
    destination: Path | None, given: dict[str, Any],
) -> None:  # fmt: skip
    from assets_defs.wide_line import Resampling, write_wide
    from pipelines.timeline import MINUTE_NS

    screen = session.screen
    rule: Rule = given["rule"] or "time-weighted"
    resampling = Resampling(
        MINUTE_NS if given["every_ns"] is None else given["every_ns"], rule, given["tolerance_ns"], given["csv"]
    )
    with screen.busy("resampling"):
        made = write_wide(line, settings, asked, globs, resampling, destination)
    cells = made.rows * made.points
    screen.say(
        f"{made.rows:,} rows of {made.points:,} points, {100 * made.known / cells:.1f} % of the cells known: "
        f"{made.path.absolute()}"
    )
    screen.emit(
        {
            "source": settings.name, "wide": str(made.path.absolute()), "rows": made.rows, "points": made.points,
            "known_cells": made.known, "rule": rule,
        }
    )  # fmt: skip
