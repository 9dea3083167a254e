"""`ferry up` and `ferry down`: the plant's own servers, and the stand-ins of its simulated sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.options import framed
from cli.outcome import PROVED, UNREACHABLE
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line


@click.command(short_help="Start the embedded servers.")
@framed
def up(session: Session) -> int:
    """Start the embedded servers and stand-ins; they go on running after this command."""
    from assets_defs.instance import render

    screen = session.screen
    with session.line() as line:
        start(session, line)
        home = render(line.plant, line.outside)
        servers = line.outside.statuses()
    if servers:
        rows = [(each.name, "up" if each.running else "DOWN", each.address, each.detail) for each in servers]
        screen.table("", ("server", "is", "address", "more"), rows)
    else:
        screen.say("Nothing to start: this plant's servers and sources are all external.")
    logs = session.plant.state_dir / "logs"
    screen.say(f"logs         {logs}")
    screen.say(f"DAGSTER_HOME {home}   (`make ui` opens the UI; `ferry down` stops the servers)")
    screen.emit({"servers": [_row(each) for each in servers], "logs": str(logs), "dagster_home": str(home)})
    return PROVED if all(each.running for each in servers) else UNREACHABLE


@click.command(short_help="Stop them; what they hold stays.")
@framed
def down(session: Session) -> int:
    """Stop the embedded servers and stand-ins; what they hold stays."""
    from cli.demo_plant import nested
    from pipelines.plant import load_plant
    from resources.outside import Outside

    screen = session.screen
    stopped = []
    for file in (session.plant_file, *nested(session.plant)):
        plant = session.plant if file == session.plant_file else load_plant(file)
        with screen.busy(f"stopping the servers of {plant.state_dir}"):
            stopped += Outside(plant).down()
    screen.say(f"stopped: {', '.join(stopped)}" if stopped else "nothing of ours was running")
    screen.emit({"stopped": stopped})
    return PROVED


def start(session: Session, line: Line) -> None:
    """Has every server of ours up. Raises Unreachable, NoRoom."""
    if all(each.running for each in line.outside.statuses()):
        line.outside.up()  # attaches, and lends the stand-ins' passwords
        return
    with session.screen.busy("starting the embedded servers"):
        line.outside.up()


def _row(status: Any) -> dict[str, Any]:
    return {
        "name": status.name, "running": status.running, "pids": list(status.pids), "address": status.address,
        "detail": status.detail,
    }  # fmt: skip
