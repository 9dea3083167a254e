"""`ferry collect`: reads PLCs on a steady clock into the spool, and has what is spooled followed into IoTDB."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source
from cli.outcome import PROVED
from cli.session import Session

if TYPE_CHECKING:
    from pipelines.collect import Collector
    from pipelines.plant import SourceSettings

_SAY_EVERY_S, _LOOK_EVERY_S = 60.0, 1.0


@click.command(short_help="Read PLCs on a steady clock.")
@framed
@source
@click.option("--no-forward", is_flag=True, help="Only spool: `ferry sync --follow` runs elsewhere.")
def collect(session: Session, source_name: str | None, no_forward: bool) -> int:
    """Read PLCs until Ctrl-C: what they answer goes to disk first, and on into IoTDB as soon as that takes it.

    A cycle that could not be read is recorded as missed, with the reason. Servers that are away cost nothing but time.
    """
    from assets_defs.collecting import collecting
    from cli.forwarding import Forwarder

    settings, screen = _plcs(session, source_name), session.screen
    forwarder = None if no_forward else Forwarder(session.plant_file, settings.name, session.plant.state_dir)
    with collecting(session.plant, settings) as ready:
        plcs = len(settings.connection)
        screen.note(f"{settings.name}: {len(ready.tags):,} tags over {plcs:,} connections, spooled in {ready.folder}")
        teller = threading.Thread(target=_tell, args=(session, settings, ready.collector, ready.spool), daemon=True)
        try:
            ready.collector.recall()  # before anybody calls these hours empty
            if forwarder:
                forwarder.start()
            teller.start()
            ready.collector.run()
        except KeyboardInterrupt:
            screen.note("stopped; what is spooled goes on to IoTDB with the next start")
        finally:
            if forwarder:
                forwarder.stop()
    screen.emit({"source": settings.name, **_figures(ready.collector), "spool_bytes": ready.spool.size_bytes()})
    return PROVED


def _plcs(session: Session, name: str | None) -> SourceSettings:
    from pipelines.ports import Stop

    found = [each for each in session.sources(name) if each.kind == "plc4x"]
    if len(found) == 1:
        return found[0]
    if name is None and found:
        raise Stop(f"several sources are of PLCs: name one with --source ({', '.join(each.name for each in found)})")
    raise Stop(f"{name or session.plant_file} has no PLCs: `ferry collect` reads sources of kind plc4x")


def _tell(session: Session, settings: SourceSettings, collector: Collector, reader: Any) -> None:
    """Trouble when it begins and when it is over, figures once a minute."""
    told: dict[str, str] = {}
    say_s = time.monotonic() + _SAY_EVERY_S
    while True:
        time.sleep(_LOOK_EVERY_S)
        for name, count in collector.counts.items():
            if count.trouble != told.get(name, ""):
                told[name] = count.trouble
                session.screen.note(f"{name}: {count.trouble or 'answers again'}", style="yellow")
        if time.monotonic() < say_s:
            continue
        say_s += _SAY_EVERY_S
        found = _figures(collector)
        session.screen.say(
            f"{settings.name}: {found['cycles']:,} cycles read, {found['missed']:,} missed, {found['bad']:,} bad "
            f"readings, spool {reader.size_bytes() / 1e6:,.1f} MB{_behind(reader.folder)}"
        )


def _behind(spool: Path) -> str:
    """How far IoTDB is behind, as far as the forwarder has told."""
    from cli.progress import duration
    from resources.plc4x import stored_to_ns

    stored_ns = stored_to_ns(spool)
    return "" if stored_ns is None else f", IoTDB {duration((time.time_ns() - stored_ns) / 1e9)} behind"


def _figures(collector: Collector) -> dict[str, Any]:
    counts = collector.counts
    return {
        "cycles": sum(count.cycles for count in counts.values()),
        "missed": sum(count.missed for count in counts.values()),
        "bad": sum(count.bad for count in counts.values()),
        "connections": {
            name: {"cycles": count.cycles, "missed": count.missed, "slowest_s": round(count.slowest_s, 4)}
            for name, count in counts.items()
        },
    }
