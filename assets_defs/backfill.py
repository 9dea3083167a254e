"""`ferry backfill`: what is missing → run rectangles → one process each, shown in the UI like any other run."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets_defs.adoption import adopt, open_pairs
from assets_defs.instance import fail_dead_runs, opened_instance, pool_holders, render
from assets_defs.jobs import backfill_job, journal_job, marts_job
from assets_defs.journal import open_windows
from assets_defs.line import Line
from assets_defs.rectangle_child import OnEvent, run_range, run_rectangle
from assets_defs.samples import WINDOWS_PER_RUN, source_pool
from pipelines.landing import window_label
from pipelines.planning import rectangles
from pipelines.plant import SourceSettings
from pipelines.timeline import Interval, iso


@dataclass(slots=True)
class BackfillSummary:
    """What this backfill did; `events` were moved now, not before."""

    seconds: float = 0.0
    slices: int = 0
    events: int = 0
    journal_windows: int = 0
    """Windows whose alarms and writes were read."""
    problems: list[str] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Adds up one event of a run."""
        if event["kind"] == "slice":
            self.slices += 1
            self.events += event["events"]
        elif event["kind"] == "journal":
            self.journal_windows += 1
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

    with opened_instance() as instance:
        if runs and (others := pool_holders(instance, source_pool(settings))):
            on_event({"kind": "waiting", "holders": others})
    for rectangle in runs:
        run_rectangle(line, plant_file, backfill_job(settings.name), rectangle, run_config, take)
    if not globs and (windows := open_windows(line, settings, span)):
        labels = (window_label(windows[0]), window_label(windows[-1]))
        run_range(line, plant_file, journal_job(settings.name), labels, None, take)
    with opened_instance() as instance:
        adopt(line, instance, settings, span)
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
    """Renders the instance, makes it this process's, clears away runs that were killed, and looks whose store answers:
    nothing is covered in another one, so that a backfill over it has something to do and says why it cannot."""
    line.store_trouble()
    os.environ["DAGSTER_HOME"] = str(render(line.plant, line.outside))
    with opened_instance() as instance:
        fail_dead_runs(instance)
