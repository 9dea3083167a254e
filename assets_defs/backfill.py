"""`ferry backfill`: what is missing → run rectangles → one process each, shown in the UI like any other run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from assets_defs.events import VARIABLE
from assets_defs.instance import fail_dead_runs, render
from assets_defs.jobs import backfill_job, marts_job
from assets_defs.line import Line
from assets_defs.partitions import key_of
from assets_defs.samples import WINDOWS_PER_RUN
from pipelines import ports
from pipelines.planning import Rectangle, rectangles
from pipelines.plant import SourceSettings
from pipelines.points import selected
from pipelines.timeline import Interval, iso, missing

OnEvent = Callable[[dict[str, Any]], None]
_ERRORS: dict[str, type[ports.FerryError]] = {
    each.__name__: each for each in (ports.Retry, ports.Unreachable, ports.Stop, ports.NoRoom)
}


@dataclass(slots=True)
class BackfillSummary:
    """What this backfill did; `events` were moved now, not before."""

    seconds: float = 0.0
    slices: int = 0
    events: int = 0
    problems: list[str] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Adds up one event of a run."""
        if event["kind"] == "slice":
            self.slices += 1
            self.events += event["events"]
        elif event["kind"] == "pair":
            self.problems += event["problems"]
            self.unproved.update(event["unproved"])


def backfill(
    line: Line,
    plant_file: Path,
    settings: SourceSettings,
    span: Interval,
    globs: Sequence[str] = (),
    on_event: OnEvent = lambda _: None,
) -> BackfillSummary:
    """Moves and proves what the ledger lacks of the span. Raises Stop, Unreachable, NoRoom as the runs met them."""
    began = time.monotonic()
    summary = BackfillSummary()
    prepare(line)
    wanted = open_pairs(line, settings, span, globs)
    runs = rectangles(
        settings.name, settings.point_groups, line.windows(settings), wanted, WINDOWS_PER_RUN[settings.window]
    )
    on_event({"kind": "plan", "pairs": len(wanted), "runs": len(runs)})
    config = {"points": list(globs), "start": iso(span.start_ns), "end": iso(span.end_ns)}
    run_config = {"ops": {f"{settings.name}__samples": {"config": config}}}

    def take(event: dict[str, Any]) -> None:
        summary.take(event)
        on_event(event)

    for rectangle in runs:
        run_rectangle(line, plant_file, backfill_job(settings.name), rectangle, run_config, take)
    summary.seconds = time.monotonic() - began
    return summary


def make_marts(
    line: Line, plant_file: Path, settings: SourceSettings, pairs: Sequence[tuple[str, Interval]], on_event: OnEvent
) -> None:
    """Runs the marts job over (group, window) pairs, rectangle by rectangle."""
    for rectangle in rectangles(
        settings.name, settings.point_groups, line.windows(settings), pairs, WINDOWS_PER_RUN[settings.window]
    ):
        run_rectangle(line, plant_file, marts_job(settings.name), rectangle, None, on_event)


def prepare(line: Line) -> None:
    """Renders the instance, makes it this process's, and clears away runs that were killed."""
    os.environ["DAGSTER_HOME"] = str(render(line.plant, line.outside))
    with dg.DagsterInstance.get() as instance:
        fail_dead_runs(instance)


def open_pairs(
    line: Line, settings: SourceSettings, span: Interval, globs: Sequence[str]
) -> list[tuple[str, Interval]]:
    """The (group, window) pairs of the span in which something is still to be done."""
    final = line.wanted(settings, span)
    if final is None:
        return []
    points = line.catalogue(settings)
    asked = {point.id for point in selected(points, globs or ("*",))}
    groups = line.by_group(settings, points)
    exclusions = line.ledger.exclusions(settings.name, None, final)
    found = []
    for group in line.groups(settings):
        mine = {point.id for point in groups[group]} & asked
        coverage = line.ledger.coverage(settings.name, group)
        for window in line.windows(settings, final):
            part = window.intersect(final)
            if part is None or (globs and not mine):
                continue
            lost = any(each.group == group and each.point in mine and each.span.overlaps(part) for each in exclusions)
            if lost or missing(part, coverage):
                found.append((group, window))
    return found


def run_rectangle(
    line: Line,
    plant_file: Path,
    job: str,
    rectangle: Rectangle,
    run_config: dict[str, Any] | None,
    on_event: OnEvent,
) -> None:
    """Executes one rectangle in a child process. Raises the error class that the run ended with."""
    first = key_of(rectangle.groups[0], rectangle.windows[0])
    last = key_of(rectangle.groups[-1], rectangle.windows[-1])
    log = line.plant.state_dir / "logs" / "runs.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [str(plant_file), job, first, last, *([json.dumps(run_config)] if run_config else [])]
    reading, writing = os.pipe()
    with log.open("ab") as output, os.fdopen(reading, encoding="utf-8") as events:
        child = subprocess.Popen(
            [sys.executable, "-m", "assets_defs.rectangle_run", *arguments],
            stdout=output,
            stderr=output,
            pass_fds=(writing,),
            env={**os.environ, VARIABLE: str(writing), "PYTHONUNBUFFERED": "1"},
        )
        os.close(writing)
        error: ports.FerryError | None = None
        saw_problem = False
        try:
            for event in _lines(events):
                if event["kind"] == "error":
                    error = _ERRORS.get(event["class"], ports.Retry)(event["message"])
                saw_problem = saw_problem or bool(event.get("problems"))
                on_event(event)
            code = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if error is not None:
        raise error
    if code and not saw_problem:
        raise ports.Retry(f"the run of {first} to {last} ended with {code} and said nothing; its log is {log}")


def _lines(stream: Iterator[str]) -> Iterator[dict[str, Any]]:
    for text in stream:
        yield json.loads(text)
