"""Settings of the stand-in, read from the command line; secrets come from the environment only."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from typing import Literal

from simulators.pi_web_api.clock import parse_iso
from simulators.pi_web_api.events import HOUR_NS

Auth = Literal["none", "basic", "bearer"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what the stand-in holds and how it answers."""

    port: int = 0  # 0 takes a free one
    points: int = 2_000
    start_ns: int = parse_iso("2026-01-01T00:00:00Z")
    hours: float = 8_760  # events exist in [start, start + hours), those of future points 30 days longer
    seed: int = 1
    server: str = "FERRYSIM"
    certificate: str = ""  # a PEM file with certificate and key, for https
    auth: Auth = "none"
    username: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_USER", "ferry"))
    password: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_PASSWORD", "ferry-demo"), repr=False)
    token: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_TOKEN", "ferry-token"), repr=False)
    client_id: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_CLIENT", "ferry-client"))
    client_secret: str = field(default_factory=lambda: os.environ.get("FERRY_SIM_SECRET", "ferry-secret"), repr=False)
    client_login: Literal["any", "header", "form"] = "any"  # how a client shows its secret at the token endpoint
    token_s: float = 3_600  # life of a token of the token endpoint, with bearer
    token_requests: int = 0  # requests that such a token is good for, which nobody is told; 0 for no end
    edits: str = ""  # a JSON file of edits to start with
    max_items: int = 150_000  # MaxReturnedItemsPerCall
    limit_scope: Literal["per_call", "per_stream"] = "per_call"
    rate_limit: int = 1_000  # requests in any second; 0 for none
    count_batch_items: bool = False  # sub-requests of a batch use up the rate limit too
    max_body_bytes: int = 4_194_304
    max_url_bytes: int = 16_384
    count_bad: bool = True  # an event-weighted Count takes bad events
    totals: Literal["numbers", "texts"] = "numbers"  # what is added up of singles and halves: unverified
    nonfinite: Literal["strings", "tokens", "none"] = "strings"
    annotations: Literal["told", "refused", "omitted"] = "told"  # with associations=Annotations
    web_id_type: str = "Full"
    updates_kept: int = 10_000  # changes of a registered stream that a marker may be behind
    zone: str = "UTC"  # the server's own time zone
    clock_ns: int = 0  # what `*` is at start; 0 for the machine's clock
    every_s: float = 0.0  # mean time between the events of every ordinary point; 0: a plant's mix
    live: bool = False  # events of ordinary points later than the plant's clock are not there yet
    cache_bytes: int = 1_500 << 20  # rendered JSON kept
    columns_bytes: int = 400 << 20  # columns kept
    warm: bool = False
    gzip: bool = False  # off: it would hide what the client can do

    @property
    def end_ns(self) -> int:
        """The end of ordinary points' events, ns."""
        return self.start_ns + round(self.hours * HOUR_NS)


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m simulators.pi_web_api`."""
    base = Settings()
    options = argparse.ArgumentParser(prog="simulators.pi_web_api", description="A stand-in PI Web API.")
    add = options.add_argument
    add("--port", type=int, default=base.port, help="0 takes a free port")
    add("--points", type=int, default=base.points)
    add("--hours", type=float, default=base.hours, help="length of history from --start")
    add("--start", default="2026-01-01T00:00:00Z", help="first instant of history, ISO 8601 with Z")
    add("--seed", type=int, default=base.seed)
    add("--server", default=base.server, help="name of the Data Archive; its GUID follows from name and seed")
    add("--certificate", default="", help="PEM file with certificate and key: https")
    add("--auth", choices=("none", "basic", "bearer"), default="none")
    add("--token-s", type=float, default=base.token_s, help="life of a token of /identitymanager/connect/token")
    add("--token-requests", type=int, default=base.token_requests, help="requests that a token is good for, 0: any")
    add("--client-login", choices=("any", "header", "form"), default="any", help="where a client's secret is taken")
    add("--edits", default="", help="JSON file of edits applied at start")
    add("--max-items", type=int, default=base.max_items, help="MaxReturnedItemsPerCall")
    add("--limit-scope", choices=("per_call", "per_stream"), default=base.limit_scope)
    add("--rate-limit", type=int, default=base.rate_limit, help="requests in any second, 0 for none")
    add("--count-batch-items", action="store_true", help="sub-requests use up the rate limit")
    add("--count-good-only", action="store_true", help="event-weighted Count leaves bad events out")
    add("--totals", choices=("numbers", "texts"), default=base.totals, help="what is added up of singles and halves")
    add("--nonfinite", choices=("strings", "tokens", "none"), default=base.nonfinite)
    add("--annotations", choices=("told", "refused", "omitted"), default=base.annotations)
    add("--web-id-type", default=base.web_id_type, help="Full, IDOnly or PathOnly")
    add("--updates-kept", type=int, default=base.updates_kept, help="changes kept of a registered stream")
    add("--zone", default=base.zone, help="the server's time zone, for t, y and times without a zone")
    add("--clock", default="", help="what * is at start, ISO 8601 with Z; default: the machine's clock")
    add("--live", action="store_true", help="no ordinary event is later than the plant's clock")
    add("--every", type=float, default=base.every_s, help="seconds between events of every point; 0: a plant's mix")
    add("--columns-mb", type=int, default=base.columns_bytes >> 20, help="columns kept")
    add("--cache-mb", type=int, default=base.cache_bytes >> 20, help="rendered JSON kept")
    add("--warm", action="store_true", help="render all of [start, start + hours) before the ready line")
    add("--gzip", action="store_true", help="compress answers when asked to")
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
        server=given.server,
        certificate=given.certificate,
        auth=given.auth,
        token_s=given.token_s,
        token_requests=given.token_requests,
        client_login=given.client_login,
        edits=given.edits,
        max_items=given.max_items,
        limit_scope=given.limit_scope,
        rate_limit=given.rate_limit,
        count_batch_items=given.count_batch_items,
        count_bad=not given.count_good_only,
        totals=given.totals,
        nonfinite=given.nonfinite,
        annotations=given.annotations,
        web_id_type=given.web_id_type,
        updates_kept=given.updates_kept,
        zone=given.zone,
        clock_ns=parse_iso(given.clock) if given.clock else 0,
        every_s=given.every,
        live=given.live,
        cache_bytes=given.cache_mb << 20,
        columns_bytes=given.columns_mb << 20,
        warm=given.warm,
        gzip=given.gzip,
    )
