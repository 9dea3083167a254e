"""What a seed runs on: one IoTDB and one PostgreSQL for all of them, a plant, a stand-in and a ledger for each."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psutil
import psycopg

from pipelines.timeline import HOUR_NS, Interval, iso, parse
from resources.embedded import EmbeddedIoTDB, EmbeddedPostgres, IoTDBAddress, PostgresAddress
from tests.contract.stand_in import running
from tests.faults.middleman import Middleman, between
from tests.faults.oracle import Iotdb, Truth
from tests.faults.warm import Child, Mother

SOURCE = "pi1"
PATIENCE_S = 600.0
_PLANT = """
[plant]
name = "{name}"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}"
points = {points}
exclude = {exclude}
point_groups = {groups}
window = "{window}"
start = {start}
{end}
requests_per_s = 900
[store]
iotdb = "{iotdb}"
username = "{user}"
password_env = "FERRY_FAULTS_IOTDB"
staging = "{staging}"
[ledger]
postgres = {{ dsn_env = "FERRY_FAULTS_DSN" }}
[limits]
slice_events = 1200
believe_shrink = {believe_shrink}
"""
DENSE = "UNIT1.FLOW.FI001.PV"
"""An event a second; the other special points of the stand-in show one oddity each."""


@dataclass
class Servers:
    """One IoTDB and one PostgreSQL, started here."""

    state_dir: Path
    iotdb: EmbeddedIoTDB
    address: IoTDBAddress
    postgres: PostgresAddress
    mother: Mother

    def pids(self) -> list[int]:
        """Of IoTDB's processes."""
        return list(self.iotdb.status().pids)


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """Stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="ferry-faults-") as folder:
        postgres, iotdb = EmbeddedPostgres(Path(folder)), EmbeddedIoTDB(Path(folder))
        mother = Mother()
        try:
            yield Servers(Path(folder), iotdb, iotdb.ensure(), postgres.ensure(), mother)
        finally:
            mother.close()
            iotdb.stop()
            postgres.stop()


@dataclass
class Done:
    """One command, as it ended. `code` is negative where it was killed."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    began_ns: int
    ended_ns: int

    @property
    def told(self) -> dict[str, Any]:
        """Its JSON, {} where it said none."""
        with contextlib.suppress(ValueError, IndexError):
            return dict(json.loads(self.out.splitlines()[-1]))
        return {}

    def __str__(self) -> str:
        took_s = (self.ended_ns - self.began_ns) / 1e9
        return f"ferry {' '.join(self.words)} → {self.code}, {took_s:.1f} s"


@dataclass
class Plant:
    """One plant under attack: its file, its stand-in behind a middleman, its truth, and what was run on it."""

    folder: Path
    name: str
    servers: Servers
    dsn: str
    man: Middleman
    url: str
    truth: Truth
    span: Interval
    """The settled history that is moved."""
    followed: bool
    """Whether the source goes on, and `ferry sync` has something to do."""
    config: dict[str, Any]
    done: list[Done] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Ids of points that a fault was aimed at: only they may be unproved."""
    absent: set[str] = field(default_factory=set)
    """Ids of points that the source does not show, or that no discovery has seen yet."""
    names: dict[str, str] = field(default_factory=dict)
    """At the source, of points that were renamed, by id."""
    tampered: bool = False
    """IoTDB or the landing was changed by somebody else since the last two sweeps."""
    edited_meanwhile: bool = False
    """The source was edited while a command read it: what was read may be a mixture of two states."""

    @property
    def file(self) -> Path:
        return self.folder / "ferry.toml"

    @property
    def state_dir(self) -> Path:
        return self.folder / ".ferry"

    @property
    def landing(self) -> Path:
        return self.state_dir / "landing"

    @property
    def store(self) -> Iotdb:
        address = self.servers.address
        return Iotdb(f"{address.host}:{address.port}", address.user, address.password, self.name)

    @property
    def groups(self) -> int:
        return int(self.config["groups"])

    after: list[Callable[[], None]] = field(default_factory=list)
    """What a fault has to put right once the command is over."""
    expected: frozenset[int] = frozenset()
    """The exit codes that a fault may cause; empty for all."""

    def named(self) -> set[str]:
        """Ids of the points that the plant file names, also of those that the source does not show any more."""
        return {point for point in self.truth.now if self.name_of(point) not in self.config["exclude"]}

    def wanted(self) -> set[str]:
        """Those of them that the source shows."""
        return self.named() - self.absent

    def name_of(self, point: str) -> str:
        return self.names.get(point, unquote(point))

    def write(self, **changed: Any) -> None:
        """The plant file, with some of it changed."""
        self.config |= changed
        address = self.servers.address
        given = {key: json.dumps(value) if isinstance(value, list) else value for key, value in self.config.items()}
        text = _PLANT.format(
            name=self.name, url=self.url, iotdb=f"{address.host}:{address.port}", user=address.user,
            staging=self.servers.iotdb.staging_dir, **given,
        )  # fmt: skip
        self.file.write_text(text, encoding="utf-8")

    def control(self, path: str, body: object = None, method: str = "POST") -> dict[str, Any]:
        """Does something at the source behind the product's back, and takes the truth down."""
        answer = httpx.request(method, f"{self.man.upstream}/_plant/{path}", json=body, timeout=60)
        if answer.status_code != 200:
            return {"refused": answer.text}
        self.truth.look(time.time_ns())
        return dict(answer.json())

    def start(self, *words: str) -> Child:
        """A command, running in a process group of its own."""
        out, err = (self.folder / f"{len(self.done)}-{words[0]}.{each}" for each in ("out", "err"))
        child = self.servers.mother.start([*words, "--plant", str(self.file), "--json"], out, err, self.environment())
        self._open[child.pid] = (words, out, err, time.time_ns())
        return child

    def ended(self, child: Child) -> Done:
        """Waits for it; who says nothing for too long is killed, with all of its children."""
        words, out, err, began_ns = self._open.pop(child.pid)
        try:
            code = child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            kill_family(child)
            code = -99
        found = Done(words, code, out.read_text(), err.read_text(errors="replace"), began_ns, time.time_ns())
        self.done.append(found)
        return found

    def ferry(self, *words: str) -> Done:
        return self.ended(self.start(*words))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "FERRY_FAULTS_DSN": self.dsn, "FERRY_FAULTS_IOTDB": self.servers.address.password}

    _open: dict[int, tuple[tuple[str, ...], Path, Path, int]] = field(default_factory=dict)


def kill_family(child: Child) -> None:
    """kill -9 of the command alone; its children end with it, and are waited for."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(child.pid).children(recursive=True)
        child.kill()
        child.wait()
        _, alive = psutil.wait_procs(family, timeout=30)
        for each in alive:
            each.kill()


@contextlib.contextmanager
def plant(servers: Servers, seed: int, followed: bool, hours: int = 3) -> Iterator[Plant]:
    """A plant of 25 odd points with some hours of settled history, and all of it gone at the end."""
    # Of 8 seeds one has the 5,000 ties at one stamp, at about noon of every fourth day, and one goes over midnight.
    day, hour = [(6, 3), (6, 15), (7, 9), (5, 10), (6, 22), (7, 18), (6, 8), (7, 1)][seed % 8]
    start_ns = parse(f"2026-01-{day:02d}T00:00:00Z") + hour * HOUR_NS
    span = Interval(start_ns, start_ns + hours * HOUR_NS)
    name = f"f{seed}x{os.getpid()}"
    folder = servers.state_dir / name
    folder.mkdir()
    with psycopg.connect(servers.postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    options = ["--points", "26", "--seed", str(seed), "--start", "2026-01-04T00:00:00Z", "--rate-limit", "0"]
    options += ["--hours", "17520", "--live"] if followed else ["--hours", "240"]
    live = Interval(time.time_ns() // HOUR_NS * HOUR_NS, time.time_ns() + 24 * HOUR_NS)
    with running(*options) as origin, between(origin) as (man, url):
        truth = Truth(man.upstream, (span, live) if followed else (span,))
        config: dict[str, Any] = {
            "points": ["*"], "exclude": [DENSE], "groups": 2, "window": "day", "believe_shrink": 0.01,
            "start": iso(span.start_ns), "end": "" if followed else f"end = {iso(span.end_ns)}",
        }  # fmt: skip
        found = Plant(folder, name, servers, servers.postgres.dsn(name), man, url, truth, span, followed, config)
        truth.look(time.time_ns())
        found.write()
        try:
            yield found
        finally:
            for put_right in found.after:
                put_right()
            found.store.run(f'DROP DATABASE IF EXISTS "{name}"')
            with psycopg.connect(servers.postgres.dsn("postgres"), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            shutil.rmtree(folder, ignore_errors=True)
