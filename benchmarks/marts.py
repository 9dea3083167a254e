"""What the marts and the report of a plant cost, by how many days they are over: a cost a day that stays is linear.

    python -m benchmarks.marts --days 1 4 16 --points 60

Lands days of a plant below a temporary folder (no server is asked), makes the marts of every window and point group
and the report over all of it, and prints processor seconds a day as ratios to those of the fewest days.
In every group there are a constant, a wandering number and a state with an event each second; the other points have
one about every minute.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines import marts
from pipelines.evidence import Evidence, Standing
from pipelines.landing import Landing, Piece
from pipelines.marts.report import ReportContext, render_report
from pipelines.points import Point, group_label
from pipelines.ports import SliceId
from pipelines.samples import number_ties, ordered, samples_table
from pipelines.timeline import DAY_NS, SECOND_NS, Interval, days, parse
from pipelines.transfer import Recount

_START_NS = parse("2026-01-01")
_MEMORY_BYTES = 512 << 20
_REACH_NS = 31 * DAY_NS
_SOURCE = "bench"
_STATES = np.array(["Closed", "Moving", "Open"])
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class LandedPlant:
    """A plant's landed days; `pieces` and `points` by group."""

    span: Interval
    points: dict[str, list[Point]]
    pieces: dict[str, list[Piece]]
    events: int

    def around(self, group: str, window: Interval) -> marts.Landed:
        """What is landed in the window, and a month beside it, as the assets look through it."""
        return marts.Landed(
            self.points[group],
            _inside(self.pieces[group], window.start_ns, window.end_ns),
            _inside(self.pieces[group], window.start_ns - _REACH_NS, window.start_ns),
            _inside(self.pieces[group], window.end_ns, window.end_ns + _REACH_NS),
        )


def landed(folder: Path, count: int, points: int, groups: int) -> LandedPlant:
    """Lands `count` days of `points` points, a slice a day and group."""
    landing, span = Landing(folder / "landing"), Interval(_START_NS, _START_NS + count * DAY_NS)
    every = {group_label(n): _points(group_label(n), points // groups) for n in range(groups)}
    pieces: dict[str, list[Piece]] = {group: [] for group in every}
    events = 0
    for number, day in enumerate(days(span)):
        for group, some in every.items():
            table = _events(some, day, seed=number)
            slice_id = SliceId(_SOURCE, group, day)
            made = landing.land(slice_id, day, table, [point.id for point in some], {})
            pieces[group].append(Piece(landing.path(slice_id, day, made.generation), day))
            events += len(table)
    return LandedPlant(span, every, pieces, events)


def measured(plant: LandedPlant, folder: Path) -> dict[str, float]:
    """Processor seconds of every mart over all windows and groups, and of the report."""
    inputs = [
        marts.MartInput(
            {group: plant.around(group, window) for group in plant.points},
            window, folder / "marts", _MEMORY_BYTES, _SOURCE,
        )
        for window in days(plant.span)
    ]  # fmt: skip
    work: dict[str, Callable[[], object]] = {
        "aggregates": lambda: [marts.build_aggregates(each) for each in inputs],
        "quality": lambda: [marts.build_quality(each) for each in inputs],
        "report": lambda: render_report(_context(plant, folder), folder / "report.html"),
    }
    spent = {}
    for name, run in work.items():
        began = time.process_time()
        run()
        spent[name] = time.process_time() - began
    return spent


def main() -> int:
    """Prints a table, and one JSON object as the last line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--days", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--points", type=int, default=60)
    options.add_argument("--groups", type=int, default=2)
    given = options.parse_args()
    found = []
    for count in sorted(given.days):
        with tempfile.TemporaryDirectory(prefix="ferry-bench-marts-") as folder:
            plant = landed(Path(folder), count, given.points, given.groups)
            found.append({"days": count, "events": plant.events, **measured(plant, Path(folder))})
    _show(found)
    sys.stdout.write(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], "runs": found}) + "\n")
    return 0


def _show(found: Sequence[dict[str, float]]) -> None:
    names = [name for name in found[0] if name not in ("days", "events")]
    heads = "".join(f"{name:>24}" for name in names)
    sys.stderr.write(f"{'days':>5}{'events':>12}{heads}\n")
    for row in found:
        cells = ""
        for name in names:
            times = (row[name] / row["days"]) / (found[0][name] / found[0]["days"])
            cells += f"{row[name]:.1f} s, {times:.2f} x a day".rjust(24)
        sys.stderr.write(f"{row['days']:>5}{row['events']:>12,}{cells}\n")


def _points(group: str, count: int) -> list[Point]:
    named = [
        Point(f"{group}.CONSTANT", f"{group}.CONSTANT", "number", unit="bar", zero=0.0, span=10.0),
        Point(f"{group}.NOISE", f"{group}.NOISE", "number", unit="°C"),
        Point(f"{group}.STATE", f"{group}.STATE", "digital", step=True),
    ]
    slow = [Point(f"{group}.SLOW{n:04}", f"{group}.SLOW{n:04}", "number") for n in range(max(count - len(named), 0))]
    return [*named, *slow]


def _events(points: Sequence[Point], day: Interval, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    fast = [point for point in points if ".SLOW" not in point.id]
    sizes = [_SECONDS_A_DAY if point in fast else _SECONDS_A_DAY // 60 for point in points]
    codes = np.repeat(np.arange(len(points)), sizes)
    times = np.concatenate([day.start_ns + np.arange(size) * (_SECONDS_A_DAY // size) * SECOND_NS for size in sizes])
    values = random.normal(20, 3, len(codes))
    values[codes == 0] = 4.0
    of_states = np.isin(codes, [n for n, point in enumerate(points) if point.kind == "digital"])
    states = random.integers(0, len(_STATES), len(codes))
    table = samples_table(
        {
            "point": pa.array([point.id for point in points], pa.string()).take(pa.array(codes)).dictionary_encode(),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
            "tie": pa.array(number_ties(codes, times)),
            "value": pa.array(values, mask=of_states),
            "text": pa.array(_STATES[states], pa.string(), mask=~of_states),
            "code": pa.array(states, pa.int64(), mask=~of_states),
            "quality": pa.array(np.where(random.random(len(codes)) < 0.01, 0, 192).astype(np.int32)),
            "detail": pa.array(np.zeros(len(codes), np.int32)),
        }
    )
    return ordered(table)


def _context(plant: LandedPlant, folder: Path) -> ReportContext:
    standings = [
        Standing(
            group=group, wanted=plant.span, points=len(some), slices=len(plant.pieces[group]), moved=(plant.span,),
            covered=(plant.span,), open=(), gaps=(), quarantined=(), exclusions=(), landed_events=0, covered_events=0,
            proved_events=0, followed_events=0, forgotten_events=0, rounded_events=0,
        )
        for group, some in plant.points.items()
    ]  # fmt: skip
    ids = {point.id for some in plant.points.values() for point in some}
    found = Recount(len(ids), plant.events, plant.events, plant.events, counted=ids)
    return ReportContext(
        source=_SOURCE,
        span=plant.span,
        evidence=Evidence(standings, found, {"independent": len(ids)}),
        points=[point for some in plant.points.values() for point in some],
        marts=folder / "marts",
        pieces=[piece for some in plant.pieces.values() for piece in some],
        generated_at=dt.datetime.now(dt.UTC),
        plant="bench",
        memory_bytes=_MEMORY_BYTES,
    )


def _inside(pieces: Sequence[Piece], start_ns: int, end_ns: int) -> list[Piece]:
    return [piece for piece in pieces if start_ns <= piece.span.start_ns < end_ns]


if __name__ == "__main__":
    sys.exit(main())
