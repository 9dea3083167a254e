"""How far behind a followed plant is: from an event at the source to its proof in IoTDB.

    python -m benchmarks.following --points 10000 --every 1           passes seconds apart, as `ferry sync --follow`
    python -m benchmarks.following --points 10000 --every 1 --scheduled   by Dagster's schedule, every minute
    python -m benchmarks.following --points 500 --beside-hours 720    quiet, then with a backfill of a month beside it

A stand-in, IoTDB and PostgreSQL of its own, all on this machine and in real time. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from assets_defs.following import sync_pass
from assets_defs.line import Line, open_line
from benchmarks.costs import Costs
from benchmarks.scheduled import costs as dagster_costs
from benchmarks.scheduled import dagster_dev, watched
from pipelines.plant import load_plant
from pipelines.timeline import DAY_NS, HOUR_NS, SECOND_NS, iso
from pipelines.transfer import SliceResult
from tests.contract.stand_in import running

_PLANT = """
[plant]
name = "bench"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}"
point_groups = {groups}
window = "month"
start = {start}
requests_per_s = {rate}
sync = {{ every = "1 s", lag = "{lag} s", overlap = "{lag} s", feed = {feed} }}
[limits]
slices_at_once = {slices}
"""

_CATCH_UP, _CAUGHT_UP_S = 10, 10.0
"""Passes before the first that counts, at most; one that took no longer than this has caught up."""


@dataclass
class Passes:
    """Passes one after the other for a while. Of each slice that they proved: from, up to when, and when it had been
    done, ns; `edges` is up to when each group is proved."""

    proved: list[tuple[int, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    events: int = 0
    edges: dict[str, int] = field(default_factory=dict)

    def take(self, done: SliceResult) -> None:
        """A slice that is through; second looks prove nothing new."""
        group, end_ns = done.slice.group, done.slice.span.end_ns
        edge_ns = self.edges.get(group, end_ns)
        if done.state == "verified" and end_ns > edge_ns:
            self.proved.append((edge_ns, end_ns, time.time_ns()))
        self.edges[group] = max(edge_ns, end_ns)

    def lags_s(self) -> np.ndarray:
        """Lags of events that are spread evenly over what each slice proved."""
        spread = [done - np.linspace(start, end, 50, endpoint=False) for start, end, done in self.proved]
        weights = [np.full(50, (end - start) / 50) for start, end, _ in self.proved]
        lags, weight = np.concatenate(spread), np.concatenate(weights)
        drawn = np.random.default_rng(1).choice(len(lags), 20_000, p=weight / weight.sum())
        return lags[drawn] / SECOND_NS

    def figures(self) -> dict[str, float]:
        lags = self.lags_s()
        return {
            **(
                {
                    "passes": len(self.seconds),
                    "events": self.events,
                    "pass_p50_s": round(float(np.median(self.seconds)), 2),
                }
                if self.seconds
                else {}
            ),
            "steps": len(self.proved),
            "lag_p50_s": round(float(np.quantile(lags, 0.5)), 2),
            "lag_p95_s": round(float(np.quantile(lags, 0.95)), 2),
            "lag_max_s": round(float(lags.max()), 2),
        }


def follow(line: Line, seconds: float, until: subprocess.Popen[bytes] | None = None) -> Passes:
    """Passes for so long, or until the process ends; those before that catch up do not count."""
    settings = line.plant.source[0]
    before = Passes()
    for _ in range(_CATCH_UP):
        began_s = time.monotonic()
        sync_pass(line, settings, 60.0, before.take)
        if time.monotonic() - began_s < _CAUGHT_UP_S:
            break
    found = Passes(edges=before.edges)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s and (until is None or until.poll() is None):
        began_s = time.monotonic()
        done = sync_pass(line, settings, 60.0, found.take)
        if done.problems or done.unproved:
            sys.exit(f"not everything was proved: {done.problems} {dict(list(done.unproved.items())[:3])}")
        found.seconds.append(time.monotonic() - began_s)
        found.events += done.events
        time.sleep(max(0.0, settings.sync.every / SECOND_NS - found.seconds[-1]))
    return found


def beside(line: Line, path: Path, start: str, seconds: float) -> dict[str, object]:
    """Passes beside a backfill of what lies before the handover, for so long at most; then it is stopped."""
    until_ns = line.ledger.handover("pi1")
    assert until_ns is not None
    program, log = Path(sys.executable).with_name("ferry"), path.with_name("backfill.log")
    command = [str(program), "backfill", "--plant", str(path), "--start", start, "--end", iso(until_ns), "--json"]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as child:
        found = follow(line, seconds, child).figures()
        child.terminate()
    told = [row for row in log.read_text(encoding="utf-8").splitlines() if "events" in row]
    return {"beside a backfill": found, "backfill": told[-1][:300] if told else ""}


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=2_000)
    options.add_argument("--every", type=float, default=0.0, help="seconds between events of every point; 0: a mix")
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--lag", type=int, default=2, help="what is younger is not final")
    options.add_argument("--rate", type=int, default=900, help="requests_per_s")
    options.add_argument("--slices", type=int, default=3, help="slices_at_once")
    options.add_argument("--groups", type=int, default=8, help="point_groups")
    options.add_argument("--no-feed", action="store_true")
    options.add_argument("--scheduled", action="store_true", help="passes by Dagster's schedule, with a real daemon")
    options.add_argument("--beside-hours", type=int, default=0, help="history that a backfill moves at the same time")
    options.add_argument("--beside-seconds", type=float, default=600.0, help="so long at most; then it is stopped")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    now_ns = time.time_ns()
    start_ns = (
        (now_ns - given.beside_hours * HOUR_NS) // DAY_NS * DAY_NS if given.beside_hours else now_ns - 60 * SECOND_NS
    )
    # No more than is needed: the stand-in renders what it holds, and with many dense points that is what is measured.
    hours = (now_ns - start_ns) / HOUR_NS + (2 if given.beside_hours else (given.seconds + 600) / 3_600)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferry-following-")))
        url = stack.enter_context(
            running(
                "--points", str(given.points), "--every", str(given.every), "--start", iso(start_ns),
                "--hours", str(hours), "--live", "--rate-limit", "0", "--cache-mb", "6000", "--columns-mb", "3000",
            )
        )  # fmt: skip
        path = folder / "ferry.toml"
        start = iso(start_ns // SECOND_NS * SECOND_NS)
        feed = str(not given.no_feed).lower()
        path.write_text(
            _PLANT.format(
                url=url,
                start=start,
                rate=given.rate,
                lag=given.lag,
                feed=feed,
                slices=given.slices,
                groups=given.groups,
            ),
            encoding="utf-8",
        )
        line = stack.enter_context(open_line(load_plant(path)))
        line.urgent = True
        stack.callback(line.outside.down)
        line.outside.up()
        line.discover(line.plant.source[0])
        costs = Costs({each.name: each.pids for each in line.outside.statuses()})
        before = costs.cpu_s()
        if given.scheduled:
            follow(line, 0.0)  # catches up
            with dagster_dev(path, "pi1", folder / "dagster.log"):
                quiet = Passes(watched(line, given.seconds))
            own = dagster_costs(line)
        else:
            quiet, own = follow(line, given.seconds), {}
        found: dict[str, object] = {"points": given.points, "load": os.getloadavg()[0], "quiet": quiet.figures()}
        if own:
            found["dagster"] = own
        found["cpu_s"] = {name: round(spent - before[name], 1) for name, spent in costs.cpu_s().items()}
        if given.beside_hours:
            found |= beside(line, path, start, given.beside_seconds)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
