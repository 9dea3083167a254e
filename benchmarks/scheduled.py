"""A followed plant by Dagster's schedule: when each pass was over, and what Dagster itself takes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import dagster as dg
import psutil

from assets_defs.instance import home_of
from assets_defs.line import Line
from assets_defs.schedules import schedule_name, sync_job
from resources.embedded.ports import choose, is_listening

_START_S, _STOP_S, _POLL_S = 120.0, 60.0, 0.1
_MINUTE_S = 60.0


@contextmanager
def dagster_dev(path: Path, source: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """UI and daemon of the plant, with the schedule of sync switched on."""
    port = choose(["ui"])["ui"]
    environment = {**os.environ, "FERRY_PLANT": str(path)}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "assets_defs.ui", "--port", str(port)], env=environment, stdout=output, stderr=output
        )
        try:
            end_s = time.monotonic() + _START_S
            while not is_listening(port):
                if child.poll() is not None or time.monotonic() > end_s:
                    sys.exit(f"Dagster did not start: {log.read_text(encoding='utf-8')[-2000:]}")
                time.sleep(_POLL_S)
            home = path.parent / ".ferry" / "dagster"
            program = str(Path(sys.executable).with_name("dagster"))
            switch = [program, "schedule", "start", schedule_name(sync_job(source))]
            subprocess.run(
                [*switch, "-m", "assets_defs.defs"], env={**environment, "DAGSTER_HOME": str(home)}, cwd=home,
                stdout=output, stderr=output, check=True,
            )  # fmt: skip
            yield child
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                for each in psutil.Process(child.pid).children(recursive=True):
                    each.kill()
                child.kill()


def watched(line: Line, seconds: float) -> list[tuple[int, int, int]]:
    """Of each step forward of what is proved: from, to, and when it was seen, ns; the first one is the beginning."""
    settings, found = line.plant.source[0], list[tuple[int, int, int]]()
    edge_ns = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        edges = line.followed_to(settings)
        now_ns = min(edges.values()) if len(edges) == settings.point_groups else 0
        if now_ns > edge_ns:
            if edge_ns:
                found.append((edge_ns, now_ns, time.time_ns()))
            edge_ns = now_ns
        time.sleep(_POLL_S)
    return found


def costs(line: Line) -> dict[str, float]:
    """What Dagster takes around a pass: medians over the runs that succeeded, s, and events in its log."""
    job = sync_job(line.plant.source[0].name)
    rows = []
    with dg.DagsterInstance.from_config(str(home_of(line.plant))) as instance:
        wanted = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
        for record in instance.get_run_records(wanted):
            [step] = instance.get_run_step_stats(record.dagster_run.run_id)
            assert record.start_time and record.end_time and step.start_time and step.end_time
            created_s = record.create_timestamp.timestamp()
            rows.append(
                {
                    "tick_to_run_s": created_s - created_s // _MINUTE_S * _MINUTE_S,
                    "run_to_process_s": record.start_time - created_s,
                    "process_to_pass_s": step.start_time - record.start_time,
                    "pass_s": step.end_time - step.start_time,
                    "after_pass_s": record.end_time - step.end_time,
                    "log_events": float(len(instance.all_logs(record.dagster_run.run_id))),
                }
            )
    found = {name: round(median(row[name] for row in rows), 2) for name in (rows[0] if rows else ())}
    return {"runs": len(rows), **found}
