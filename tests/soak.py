"""A day of a plant in compressed time, followed minute by minute on real servers: late, edited and deleted events,
points that come, change their names and go, outages of the source, kills of IoTDB, restarts of the ledger.

    python -m tests.soak --points 2000 --hours 24        prints what it found as JSON; 0 when nothing differs
    python -m tests.soak … --no-feed                     without the change feed; the hash of the contents is the same
    python -m tests.soak … --compare                     both at once, point by point

What happens to the plant comes from the seed alone, not from when it is done, so that runs can be compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from assets_defs.following import sweep, sync_pass
from assets_defs.line import Line, open_line
from pipelines.plant import SourceSettings, load_plant
from pipelines.ports import Retry, Source
from pipelines.reconcile import deep_rows
from pipelines.sync import PassResult
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, iso, parse
from resources.budget import Budget
from resources.outside import Outside
from resources.pi_web_api import PiWebApiSource
from resources.pi_web_api.transport import Patience
from tests.contract.stand_in import running

START = parse("2026-03-01T00:00:00Z")
RATE = 400
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
sync = {{ feed = {feed} }}
lateness = "8 h"
[store]
heap_mb = 512
"""


class Hasty(Outside):
    """Gives a source up quickly, so that an outage costs no minutes."""

    def source(self, settings: SourceSettings, *, urgent: bool = False) -> Source:
        shared = self.plant.state_dir / "budgets" / "pi1"
        budget = Budget(settings.requests_per_s, shared=shared, urgent=urgent)
        patience = Patience(tries=2, first_wait_s=0.01, longest_wait_s=0.05)
        return PiWebApiSource.from_settings(settings, settings.url, patience, budget=budget)


@dataclass
class Follower:
    """One line that follows the plant, and how it went."""

    line: Line
    events: int = 0
    passes: int = 0
    failed_passes: int = 0
    looks: int = 0
    told: int = 0
    differing: int = 0
    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> SourceSettings:
        return self.line.plant.source[0]

    def discover(self) -> None:
        try:
            self.line.discover(self.settings)
        except Retry:
            self.line.reconnect()  # the next hourly discovery sees it

    def follow(self) -> PassResult | None:
        try:
            found = sync_pass(self.line, self.settings, 60.0)
        except Retry as error:
            self.failed_passes += 1
            self.trouble(str(error))
            self.line.reconnect()
            return None
        for problem in found.problems:
            self.trouble(problem)
        self.passes += 1
        self.seconds.append(found.seconds)
        self.events += found.events
        self.looks += found.looks
        self.told += found.told
        self.differing += found.differing
        return found

    def trouble(self, text: str) -> None:
        self.problems[text[:160]] = self.problems.get(text[:160], 0) + 1

    def kill_iotdb(self) -> None:
        for status in self.line.outside.statuses():
            if "iotdb" in status.name.lower():
                for pid in status.pids:
                    os.kill(pid, signal.SIGKILL)

    def stop_ledger(self) -> None:
        self.line.outside._postgres.stop()  # type: ignore[union-attr]

    def stored(self, span: Interval) -> dict[str, tuple[int, int]]:
        """Events and digest of all that IoTDB holds of the points that the source still has.

        Of a deleted point it holds what was known when it went: with a feed that is more.
        """
        points = [point.id for point in self.line.ledger.load_points("pi1")]
        found = deep_rows(self.line.store.read("pi1", points, span))
        return {point: (row["events"], row["digest"]) for point, row in found.items() if row["events"]}


@dataclass
class Soak:
    """The plant, who follows it, and what was done to it."""

    followers: list[Follower]
    url: str
    draw: random.Random
    names: list[str]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    shift_ns: int = 0
    edits: dict[str, int] = field(default_factory=dict)

    def now_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def control(self, path: str, body: object, method: str = "POST") -> dict:
        address = self.url.removesuffix("/piwebapi") + f"/_plant/{path}"
        answer = self.client.request(method, address, json=body)
        answer.raise_for_status()
        return answer.json()

    def to(self, moment_ns: int) -> None:
        """Moves the plant's clock, and ours with it."""
        by_ns = moment_ns - self.now_ns()
        if by_ns > 0:
            self.control("clock", {"advance_s": by_ns / 1e9})
            self.shift_ns += by_ns

    def edit(self, kinds: list[str], number: int, span: Interval) -> None:
        if number:
            span = {"start": iso(span.start_ns), "end": iso(span.end_ns)}
            given = {"seed": self.draw.randrange(1 << 30), "count": number, "kinds": kinds, **span}
            for done in self.control("edits", given)["edits"]:
                self.edits[done["op"]] = self.edits.get(done["op"], 0) + 1

    def requests(self) -> int:
        return int(self.control("stats", None, "GET")["requests"])

    def follow(self) -> None:
        for each in self.followers:
            before = self.requests()
            each.follow()
            each.requests += self.requests() - before

    def minute(self, number: int, per_minute: float) -> None:
        """2 % of events late by up to 6 h, 0.5 % edited, 0.2 % deleted: in proportion, by the draw."""
        moment_ns = START + number * MINUTE_NS
        self.to(moment_ns)
        reach = Interval(max(START, moment_ns - 6 * HOUR_NS), moment_ns)
        for kinds, share in ((["add"], 0.02), (["change", "swap"], 0.005), (["remove"], 0.002)):
            wanted = per_minute * share
            self.edit(kinds, int(wanted) + (self.draw.random() < wanted % 1), reach)

    def change(self, kind: str) -> None:
        """A point comes, gets another name or goes; a discovery sees it."""
        place = self.draw.randrange(len(self.names))
        name = f"NEW.{self.draw.randrange(1 << 30)}" if kind == "add" else self.names.pop(place)
        asked = {"op": kind, "name": name}
        if kind == "rename":
            asked["to"] = f"{name}.R"
        if kind != "delete":
            self.names.append(asked.get("to", name))
        self.control("points", asked)
        for each in self.followers:
            each.discover()

    def strike(self, trouble: str) -> None:
        if trouble == "outage":
            self.control("faults", {"kind": "503", "times": -1})
        for each in self.followers:
            if trouble == "kill":
                each.kill_iotdb()
            elif trouble == "restart":
                each.stop_ledger()


@contextmanager
def plant(points: int, hours: int, groups: int, feeds: tuple[bool, ...] = (True,)) -> Iterator[tuple[list[Line], str]]:
    """A stand-in, and a line for each of `feeds` with embedded servers of its own; all are stopped in the end."""
    options = ("--points", str(points), "--hours", str(hours + 24), "--start", iso(START), "--live")
    clock = ("--clock", iso(START + 2 * MINUTE_NS), "--rate-limit", "0")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferry-soak-")))
        url = stack.enter_context(running(*options, *clock))
        lines = []
        for feed in feeds:
            path = folder / str(feed) / "ferry.toml"
            path.parent.mkdir()
            text = PLANT.format(url=url, groups=groups, rate=RATE // len(feeds), feed=str(feed).lower())
            path.write_text(text, encoding="utf-8")
            line = stack.enter_context(open_line(load_plant(path)))
            line.__dict__["outside"] = Hasty(line.plant)
            line.urgent = True
            stack.callback(line.outside.down)
            lines.append(line)
        yield lines, url


def soak(
    lines: list[Line], url: str, minutes: int, seed: int, *, outages: int = 3, kills: int = 2, restarts: int = 1
) -> dict:
    """Runs it all; the figures."""
    draw = random.Random(seed)
    run = Soak([Follower(line) for line in lines], url, draw, [])
    run.shift_ns = START + 2 * MINUTE_NS - time.time_ns()
    for each in run.followers:
        each.line.now_ns = run.now_ns
        each.line.discover(each.settings)
    run.names = sorted(point.name for point in lines[0].catalogue(lines[0].plant.source[0]))
    per_minute = len(run.names) * 1.1
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
            run.strike(troubles[number])
            until_back = number + 12 if troubles[number] == "outage" else until_back
        if number == until_back:
            run.control("faults", None, "DELETE")
        if number in changes:
            run.change(changes[number])
        run.follow()
        if number % 60 == 59:
            for each in run.followers:
                sys.stderr.write(
                    f"minute {number + 1}: {each.events:,} events, {each.differing:,} found changed, {each.looks:,} "
                    f"looks, {each.failed_passes} failed passes, {sum(each.seconds):.0f} s\n"
                )
    run.control("faults", None, "DELETE")
    return verdict(run, minutes)


def verdict(run: Soak, minutes: int) -> dict:
    """Once all has settled and was read deep once."""
    run.to(START + (minutes + 1) * MINUTE_NS)
    stats = run.control("stats", None, "GET")
    found = [settled(each) for each in run.followers]
    span = Interval(START, START + minutes * MINUTE_NS)
    assert all(up_to_ns >= span.end_ns for _, up_to_ns in found)
    contents = [each.stored(span) for each in run.followers]
    return {
        **found[0][0],
        "the other": [figures for figures, _ in found[1:]],
        "contents": {
            "points": len(contents[0]),
            "events": sum(events for events, _ in contents[0].values()),
            "hash": hashlib.sha256(json.dumps(sorted(contents[0].items())).encode()).hexdigest(),
            "same": all(each == contents[0] for each in contents),
        },
        "edits": run.edits,
        "requests_in_1s": stats["max_requests_in_1s"],
        "requests_per_s": RATE,
    }


def settled(each: Follower) -> tuple[dict, int]:
    """One line's figures, and up to when it has everything."""
    line, settings = each.line, each.settings
    line.discover(settings)
    while (found := each.follow()) is None or found.left or found.waiting:
        pass
    wanted = Interval(START, found.up_to_ns)
    swept = sweep(line, settings, float("inf"), deep=True, span=wanted, mend=True)
    recount = line.verify(settings, wanted, deep=True)
    gaps = [str(gap) for standing in line.standings(settings, wanted) for gap in standing.gaps]
    ordered = sorted(each.seconds)
    figures = {
        **{key: value for key, value in recount.as_json("pi1").items() if key != "source"},
        "gaps": gaps,
        "unproved": dict(list(recount.unproved.items())[:5]),
        "passes": each.passes,
        "failed_passes": each.failed_passes,
        "pass_p50_s": round(ordered[len(ordered) // 2], 3),
        "pass_p95_s": round(ordered[int(len(ordered) * 0.95)], 3),
        "requests": each.requests,
        "looks": each.looks,
        "told": each.told,
        "problems": each.problems,
        "found_changed": each.differing,
        "found_by_the_deep_sweep": sum(len(points) for points in swept.drift.values()),
        "sweep_problems": swept.problems,
    }
    return figures, found.up_to_ns


def sound(found: dict) -> bool:
    """Whether nothing differs, at any line or between two."""
    lines = [found, *found["the other"]]
    return found["contents"]["same"] and not any(
        each["drift"] or each["unproved_points"] or each["gaps"] for each in lines
    )


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, default=2_000)
    options.add_argument("--hours", type=int, default=24)
    options.add_argument("--groups", type=int, default=8)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-feed", action="store_true")
    options.add_argument("--compare", action="store_true")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers are stopped
    began = time.monotonic()
    feeds = (True, False) if given.compare else (not given.no_feed,)
    with plant(given.points, given.hours, given.groups, feeds) as (lines, url):
        found = soak(lines, url, given.hours * 60, given.seed)
    found["minutes"] = round((time.monotonic() - began) / 60, 1)
    sys.stdout.write(json.dumps(found, indent=1, default=str) + "\n")
    return 0 if sound(found) else 1


if __name__ == "__main__":
    sys.exit(main())
