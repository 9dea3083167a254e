"""`ferry report` and `ferry export`: what people take away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import framed, source, span
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
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
    import dagster as dg

    from assets_defs.backfill import prepare
    from assets_defs.marts_line import write_report
    from assets_defs.telling import tell_report

    with session.screen.busy("writing the quality report"):
        path = write_report(line, settings, asked)
        prepare(line)
        with dg.DagsterInstance.get() as instance:
            tell_report(instance, settings, asked, path)
    return path


@click.command(short_help="Write Parquet exports.")
@framed
@source
@span()
@click.option("--points", "globs", metavar="GLOB", multiple=True, help="Only these points; may be given often.")
@click.option("--to", "destination", type=click.Path(path_type=Path, file_okay=False),
              help="Folder; default: the plant file's exports.")  # fmt: skip
def export(
    session: Session,
    source_name: str | None,
    start_ns: int | None,
    end_ns: int | None,
    globs: tuple[str, ...],
    destination: Path | None,
) -> None:
    """Write Parquet exports, partitioned Hive-style, with true names and units."""
    from assets_defs.marts_line import write_exports
    from pipelines.points import selected
    from pipelines.ports import Stop

    settings, screen = session.source(source_name), session.screen
    asked = session.span(settings, start_ns, end_ns)
    with session.line() as line:
        if not selected(line.catalogue(settings), globs or ("*",)):
            raise Stop(f"no point of source {settings.name!r} matches {' '.join(globs) or '*'}: nothing to export")
        with screen.busy("writing Parquet exports"):
            made = write_exports(line, settings, asked, globs or ("*",), destination)
    folder = (destination or session.plant.exports_dir).absolute()
    screen.say(f"{made.rows:,} events of whole UTC days in {len(made.paths):,} files below {folder}")
    screen.emit(
        {
            "source": settings.name, "exports": str(folder), "events": made.rows,
            "files": [str(path) for path in made.paths],
        }
    )  # fmt: skip
