"""Serving the stand-in over TDS."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from simulators.tds.server import Server, Tls
from simulators.wonderware.historian import Historian, Session
from simulators.wonderware.plant import Plant
from simulators.wonderware.settings import Settings

HOST = "127.0.0.1"
# What the product asks for; --warm prints it.
WARM_COLUMNS = "DateTime, TagName, Value, vValue, Quality, QualityDetail, OPCQuality"


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises OSError for a port that is taken."""
    historian = Historian(Plant(settings))
    if settings.warm:
        warm(historian)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    tls = Tls(settings.tls, Path(settings.ca_file) if settings.ca_file else None)
    server = Server(historian, HOST, settings.port, tls)
    server.start()
    sys.stdout.write(f"listening on {HOST}:{server.port}\n")
    sys.stdout.flush()
    stopped.wait()
    server.stop()
    historian.outside.close()


def warm(historian: Historian, columns: str = WARM_COLUMNS) -> None:
    """Makes and encodes all rows for the usual select list."""
    session = Session(historian.plant.settings.username, "Runtime")
    sql = (
        f"SELECT {columns} FROM History WHERE DateTime > '1990-01-01' AND DateTime < '2100-01-01' "  # noqa: S608
        "AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'"
    )
    for result in historian.execute(session, sql, {}):
        for _ in result.blocks:
            pass
