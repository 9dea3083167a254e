"""`ferry simulate`: a stand-in plant in the foreground."""

from __future__ import annotations

import subprocess
import sys

import click

from cli.options import framed
from cli.outcome import INTERRUPTED
from cli.session import Session

_KINDS = ("pi_web_api", "wonderware", "opcua", "modbus")


@click.command()
@click.argument("kind", type=click.Choice(_KINDS))
@framed
@click.option("--port", type=click.IntRange(0, 65_535), required=True, help="0 takes a free one.")
@click.option("--points", type=click.IntRange(min=1), help="How many points the plant has.")
@click.option("--seed", type=int, help="Another seed is another plant.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def simulate(
    session: Session, kind: str, port: int, points: int | None, seed: int | None, more: tuple[str, ...]
) -> int:
    """Run a stand-in plant until Ctrl-C. What follows `--` goes to the stand-in (`-- --help` lists it)."""
    from pipelines.ports import Stop

    arguments = [sys.executable, "-m", f"simulators.{kind}", "--port", str(port)]
    if points is not None:
        arguments += ["--points", str(points)]
    if seed is not None:
        arguments += ["--seed", str(seed)]
    session.screen.emit({"kind": kind, "port": port, "points": points, "seed": seed})
    with subprocess.Popen([*arguments, *more]) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the stand-in too; a SIGTERM to us does not.
            child.terminate()
            child.wait()
            return INTERRUPTED
    if code:
        raise Stop(f"the stand-in ended with {code}; what it says stands above")
    return 0
