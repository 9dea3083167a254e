"""Settings of the stand-in, read from the command line; secrets come from the environment only."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from typing import Literal

from simulators.pi_web_api.clock import parse_iso
from simulators.wonderware.events import HOUR_NS

TlsMode = Literal["none", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what the stand-in holds and how it answers."""

    port: int = 0  # 0 takes a free one
    points: int = 2_000
    start_ns: int = parse_iso("2026-01-01T00:00:00Z")
    hours: int = 8_760  # rows exist in [start, start + hours)
    seed: int = 1
    username: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_USER", "ferry"))
    password: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_PASSWORD", "ferry-demo"), repr=False)
    tls: TlsMode = "none"
    ca_file: str = ""  # gets the certificate (PEM) of the authority that signed the server's
    zone: str = "UTC"  # the server's own time zone: of criteria and output without wwTimeZone
    real_with_initial: bool = True  # `>=` gives the initial row and a real row at the start too (unverified, facts 2.4)
    max_in_list: int = 0  # a statement that names more tags is refused; 0 for no bound
    clock_ns: int = 0  # the present at start; 0 for the machine's clock
    live: bool = False  # rows later than the plant's clock are not there yet
    cache_bytes: int = 1_500 << 20  # encoded rows kept
    columns_bytes: int = 400 << 20  # columns kept
    warm: bool = False

    @property
    def end_ns(self) -> int:
        """The end of history, ns."""
        return self.start_ns + self.hours * HOUR_NS


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m simulators.wonderware`."""
    base = Settings()
    options = argparse.ArgumentParser(prog="simulators.wonderware", description="A stand-in AVEVA Historian.")
    add = options.add_argument
    add("--port", type=int, default=base.port, help="0 takes a free port")
    add("--points", type=int, default=base.points)
    add("--hours", type=int, default=base.hours, help="length of history from --start")
    add("--start", default="2026-01-01T00:00:00Z", help="first instant of history, ISO 8601 with Z")
    add("--seed", type=int, default=base.seed)
    add("--tls", choices=("none", "optional", "required"), default=base.tls)
    add("--ca-file", default="", help="gets the certificate of the authority that signed the server's own")
    add("--zone", default=base.zone, help="the server's time zone, such as Europe/Berlin")
    add("--no-real-with-initial", action="store_true", help="`>=` gives no initial row where a real one stands")
    add("--max-in-list", type=int, default=base.max_in_list, help="most tags that a statement may name, 0 for any")
    add("--clock", default="", help="the present at start, ISO 8601 with Z; default: the machine's clock")
    add("--live", action="store_true", help="no row is later than the plant's clock")
    add("--cache-mb", type=int, default=base.cache_bytes >> 20, help="encoded rows kept")
    add("--warm", action="store_true", help="make and encode all rows before the ready line")
    return options


def from_arguments(arguments: list[str] | None = None) -> Settings:
    """Settings from command-line arguments; exits with 2 on a wrong one, as argparse does."""
    given = parser().parse_args(arguments)
    return Settings(
        port=given.port,
        points=given.points,
        start_ns=parse_iso(given.start),
        hours=given.hours,
        seed=given.seed,
        tls=given.tls,
        ca_file=given.ca_file,
        zone=given.zone,
        real_with_initial=not given.no_real_with_initial,
        max_in_list=given.max_in_list,
        clock_ns=parse_iso(given.clock) if given.clock else 0,
        live=given.live,
        cache_bytes=given.cache_mb << 20,
        warm=given.warm,
    )
