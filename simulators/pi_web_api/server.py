"""The server process: one core, uvicorn, loopback only, one line on stdout when it listens."""

from __future__ import annotations

import socket
import sys

import uvicorn

from simulators.pi_web_api import editing
from simulators.pi_web_api.batches import BASE_PATH
from simulators.pi_web_api.control import Control
from simulators.pi_web_api.gate import Gate
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.selection import VALUE_FIELDS
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.settings import Settings

HOST = "127.0.0.1"  # a stand-in has no business on a network
WARM_FIELDS = tuple(name for name in VALUE_FIELDS if name != "UnitsAbbreviation")


def application(plant: Plant) -> Gate:
    """The ASGI application over a plant."""
    control = Control()
    gate = Gate(Service(plant), control.app)
    control.gate = gate
    return gate


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises OSError for a port that is taken, and what bad edits raise."""
    plant = Plant(settings)
    if settings.edits:
        editing.load(plant, settings.edits)
    gate = application(plant)
    if settings.warm:
        warm(gate.service)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, settings.port))
    _Announcing(config_of(gate)).run(sockets=[listener])


def config_of(gate: Gate) -> uvicorn.Config:
    """How the application is served, with TLS where its settings name a certificate."""
    return uvicorn.Config(
        gate,
        ssl_certfile=gate.settings.certificate or None,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        backlog=2_048,
    )


def warm(service: Service, fields: tuple[str, ...] = WARM_FIELDS) -> None:
    """Renders every point's [start, start + hours) for the usual selected fields."""
    settings = service.settings
    for number in service.catalogue.numbers():
        for day in service.plant.days(number, settings.start_ns, settings.end_ns - 1):
            service.press.page(number, day, fields)


class _Announcing(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            scheme = "https" if self.config.is_ssl else "http"
            sys.stdout.write(f"listening on {scheme}://{HOST}:{listener.getsockname()[1]}{BASE_PATH}\n")
            sys.stdout.flush()
