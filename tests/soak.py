"""A day of a plant in compressed time, followed minute by minute on real servers: late, edited and deleted events,
points that come, change their names and go, outages of the source, kills of IoTDB, restarts of the ledger.

    python -m tests.soak --points 2000 --hours 24        prints what it found as JSON; 0 when nothing differs
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from assets_defs.following import sweep, sync_pass
from assets_defs.line import Line, open_line
from pipelines.plant import SourceSettings, load_plant
from pipelines.ports import Retry, Source
from pipelines.sync import PassResult
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, iso, parse
from resources.budget import Budget
from resources.outside import Outside
from resources.pi_web_api import PiWebApiSource
from resources.pi_web_api.transport import Patience
from tests.contract.stand_in import running

START = parse("2026-03-01T00:00:00Z")
RATE = 100
PLANT = """
[plant]
name = "soak"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}"
point_groups = {groups}
window = "day"
start = 2026-03-01T00:00:00Z
requests_per_s = {rate}
lateness = "8 h"
[store]
heap_mb = 512
"""


class Hasty(Outside):
    """Gives a source up quickly, so that an outage costs no minutes."""

    def source(self, settings: SourceSettings, *, urgent: bool = False) -> Source:
        budget = Budget(RATE, shared=self.plant.state_dir / "budgets" / "pi1", urgent=urgent)
        patience = Patience(tries=2, first_wait_s=0.01, longest_wait_s=0.05)
        return PiWebApiSource.from_settings(settings, settings.url, patience, budget=budget)


@dataclass
class Soak:
    """The plant, and what was done to it."""

    line: Line
    url: str
    draw: random.Random
    shift_ns: int = 0
    events: int = 0
    edits: dict[str, int] = field(default_factory=dict)
    passes: int = 0
    failed_passes: int = 0
    seconds: list[float] = field(default_factory=list)
    differing: int = 0
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> SourceSettings:
        return self.line.plant.source[0]

    def now_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def control(self, path: str, body: object, method: str = "POST") -> dict:
        address = self.url.removesuffix("/piwebapi") + f"/_plant/{path}"
        answer = httpx.request(method, address, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def to(self, moment_ns: int) -> None:
        """Moves the plant's clock, and ours with it."""
        by_ns = moment_ns - self.now_ns()
        if by_ns > 0:
            self.control("clock", {"advance_s": by_ns / 1e9})
            self.shift_ns += by_ns

    def edit(self, kinds: list[str], number: int, hours: float) -> None:
        if number:
            span = {"start": iso(max(START, self.now_ns() - int(hours * HOUR_NS))), "end": iso(self.now_ns())}
            given = {"seed": self.draw.randrange(1 << 30), "count": number, "kinds": kinds, **span}
            for done in self.control("edits", given)["edits"]:
                self.edits[done["op"]] = self.edits.get(done["op"], 0) + 1

    def follow(self) -> PassResult | None:
        try:
            found = sync_pass(self.line, self.settings, 60.0)
        except Retry as error:
            self.failed_passes += 1
            self.problems[str(error)[:160]] = self.problems.get(str(error)[:160], 0) + 1
            self.line.reconnect()
            return None
        self.passes += 1
        for problem in found.problems:
            self.problems[problem[:160]] = self.problems.get(problem[:160], 0) + 1
        self.seconds.append(found.seconds)
        self.events += found.events
        self.differing += found.differing
        return found

    def minute(self, number: int, per_minute: float) -> None:
        """2 % of events late by up to 6 h, 0.5 % edited, 0.2 % deleted: in proportion, by the draw."""
        self.to(START + number * MINUTE_NS)
        for kinds, share in ((["add"], 0.02), (["change", "swap"], 0.005), (["remove"], 0.002)):
            wanted = per_minute * share
            self.edit(kinds, int(wanted) + (self.draw.random() < wanted % 1), 6.0)


@contextmanager
def plant(points: int, hours: int, groups: int) -> Iterator[tuple[Line, str]]:
    """A line with embedded servers of its own and a stand-in, all stopped in the end."""
    options = ("--points", str(points), "--hours", str(hours + 24), "--start", iso(START), "--live")
    with tempfile.TemporaryDirectory(prefix="ferry-soak-") as folder:
        clock = ("--clock", iso(START + 2 * MINUTE_NS), "--rate-limit", "0")
        with running(*options, *clock) as url:
            path = Path(folder) / "ferry.toml"
            path.write_text(PLANT.format(url=url, groups=groups, rate=RATE), encoding="utf-8")
            with open_line(load_plant(path)) as line:
                line.__dict__["outside"] = Hasty(line.plant)
                line.urgent = True
                try:
                    yield line, url
                finally:
                    line.outside.down()


def soak(line: Line, url: str, minutes: int, seed: int, *, outages: int = 3, kills: int = 2, restarts: int = 1) -> dict:
    """Runs it all; the figures."""
    draw = random.Random(seed)
    run = Soak(line, url, draw)
    run.shift_ns = START + 2 * MINUTE_NS - time.time_ns()
    line.now_ns = run.now_ns
    line.discover(run.settings)
    count = len(line.catalogue(run.settings))
    per_minute = count * 1.1
    troubles: dict[int, str] = {}
    for kind, number in (("outage", outages), ("kill", kills), ("restart", restarts)):
        for _ in range(number):
            troubles[draw.randrange(minutes // 6, minutes - 20)] = kind
    changes = {draw.randrange(5, minutes - 10): kind for kind in ("add", "rename", "delete") for _ in range(3)}
    until_back = 0
    for number in range(3, minutes):
        run.minute(number, per_minute)
        if number in troubles:
            sys.stderr.write(f"minute {number}: {troubles[number]}\n")
        if troubles.get(number) == "outage":
            run.control("faults", {"kind": "503", "times": -1})
            until_back = number + 12
        if number == until_back:
            run.control("faults", None, "DELETE")
        if troubles.get(number) == "kill":
            for status in line.outside.statuses():
                if "iotdb" in status.name.lower():
                    for pid in status.pids:
                        os.kill(pid, signal.SIGKILL)
        if troubles.get(number) == "restart":
            line.outside._postgres.stop()  # type: ignore[union-attr]
        if number in changes:
            change(run, changes[number])
        run.follow()
        if number % 60 == 59:
            sys.stderr.write(f"minute {number + 1}: {run.events:,} events, {run.differing:,} found changed\n")
            sys.stderr.write(f"{run.failed_passes} failed passes; {run.problems}\n")
    run.control("faults", None, "DELETE")
    return verdict(run, minutes)


def change(run: Soak, kind: str) -> None:
    """A point comes, gets another name or goes; a discovery sees it."""
    names = sorted(point.name for point in run.line.catalogue(run.settings))
    name = run.draw.choice(names)
    asked = {"op": kind, "name": f"NEW.{run.draw.randrange(1 << 30)}" if kind == "add" else name}
    if kind == "rename":
        asked["to"] = f"{name}.R"
    run.control("points", asked)
    try:
        run.line.discover(run.settings)
    except Retry:
        run.line.reconnect()  # the next hourly discovery sees it


def verdict(run: Soak, minutes: int) -> dict:
    """Once all has settled and was read deep once."""
    line, settings = run.line, run.settings
    run.to(START + (minutes + 1) * MINUTE_NS)
    line.discover(settings)
    while (found := run.follow()) is None or found.left or found.waiting:
        pass
    stats = run.control("stats", None, "GET")
    swept = sweep(line, settings, float("inf"), deep=True, span=Interval(START, found.up_to_ns), mend=True)
    wanted = Interval(START, found.up_to_ns)
    recount = line.verify(settings, wanted, deep=True)
    gaps = [str(gap) for standing in line.standings(settings, wanted) for gap in standing.gaps]
    ordered = sorted(run.seconds)
    return {
        **{key: value for key, value in recount.as_json("pi1").items() if key != "source"},
        "gaps": gaps,
        "unproved": dict(list(recount.unproved.items())[:5]),
        "passes": run.passes,
        "failed_passes": run.failed_passes,
        "pass_p50_s": round(ordered[len(ordered) // 2], 3),
        "pass_p95_s": round(ordered[int(len(ordered) * 0.95)], 3),
        "problems": run.problems,
        "edits": run.edits,
        "found_changed_by_looks": run.differing,
        "found_by_the_deep_sweep": sum(len(points) for points in swept.drift.values()),
        "sweep_problems": swept.problems,
        "requests_in_1s": stats["max_requests_in_1s"],
        "requests_per_s": RATE,
    }


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, default=2_000)
    options.add_argument("--hours", type=int, default=24)
    options.add_argument("--groups", type=int, default=8)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    began = time.monotonic()
    with plant(given.points, given.hours, given.groups) as (line, url):
        found = soak(line, url, given.hours * 60, given.seed)
    found["minutes"] = round((time.monotonic() - began) / 60, 1)
    sys.stdout.write(json.dumps(found, indent=1, default=str) + "\n")
    return 0 if not found["drift"] and not found["unproved_points"] and not found["gaps"] else 1


if __name__ == "__main__":
    sys.exit(main())
