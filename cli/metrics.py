"""`ferry metrics`: the figures of `ferry status` as Prometheus text, to stdout or into a node exporter's folder."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import framed, source
from cli.outcome import PROVED
from cli.session import Session


@click.command()
@framed
@source
@click.option(
    "--textfile", type=click.Path(path_type=Path, dir_okay=False),
    help="Write there instead (whole or not at all), for a node exporter's textfile collector: a name ending in .prom.",
)  # fmt: skip
def metrics(session: Session, source_name: str | None, textfile: Path | None) -> int:
    """Print Prometheus metrics: events, lag, gaps, exceptions by cause, request budget used. Asks no source."""
    from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile

    from cli.figures import Figures
    from cli.standing import standing_of
    from pipelines.ports import Stop

    registry = CollectorRegistry()
    figures = Figures(registry)
    with session.line() as line:
        for settings in session.sources(source_name):
            found = standing_of(line, settings)
            figures.add(found, line.outside.budget_used(settings))
    if textfile is None:
        session.screen.say(generate_latest(registry).decode().rstrip())
    else:
        try:
            write_to_textfile(str(textfile), registry)
        except OSError as error:
            raise Stop(
                f"--textfile {textfile}: {error.strerror}; name a file in a folder that can be written"
            ) from None
        session.screen.note(f"written to {textfile}", style=None)
    session.screen.emit({"plant": session.plant.plant.name, "textfile": str(textfile) if textfile else None})
    return PROVED
