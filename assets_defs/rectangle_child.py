"""Starts one run rectangle as a child process and hears from it; the child's side is `rectangle_run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assets_defs.events import VARIABLE
from assets_defs.line import Line
from assets_defs.partitions import key_of
from assets_defs.rectangle_run import LIFELINE, STOP_SIGNAL
from pipelines import ports
from pipelines.planning import Rectangle

OnEvent = Callable[[dict[str, Any]], None]
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""For processes that move history: glibc's heap of its own for every thread keeps a tenth more memory than is used."""
_STOP_S = 60.0
_LOG_LIMIT_BYTES = 8 << 20
_SAID_BYTES, _SAID_CHARS = 16_384, 500
_ERRORS: dict[str, type[ports.FerryError]] = {
    each.__name__: each for each in (ports.Retry, ports.Unreachable, ports.Stop, ports.NoRoom)
}


def run_rectangle(
    line: Line,
    plant_file: Path,
    job: str,
    rectangle: Rectangle,
    run_config: dict[str, Any] | None,
    on_event: OnEvent,
) -> None:
    """Executes one rectangle in a child process; see `run_range`."""
    first = key_of(rectangle.groups[0], rectangle.windows[0])
    last = key_of(rectangle.groups[-1], rectangle.windows[-1])
    run_range(line, plant_file, job, (first, last), run_config, on_event)


def run_range(
    line: Line,
    plant_file: Path,
    job: str,
    keys: tuple[str, str],
    run_config: dict[str, Any] | None,
    on_event: OnEvent,
) -> None:
    """Executes a job from the first to the last key in a child process, which ends when we do, even by kill -9.

    Raises the error class that the run ended with.
    """
    first, last = keys
    log = _log_file(line)
    log_began = log.stat().st_size if log.exists() else 0
    arguments = [str(plant_file), job, first, last, *([json.dumps(run_config)] if run_config else [])]
    reading, writing = os.pipe()
    held, lifeline = os.pipe()
    with log.open("ab") as output, os.fdopen(reading, encoding="utf-8") as events, os.fdopen(lifeline, "wb"):
        child = subprocess.Popen(
            [sys.executable, "-m", "assets_defs.rectangle_run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writing, held),
            start_new_session=True,  # Ctrl-C reaches it once, from us
            env={**FEW_ARENAS, **os.environ, VARIABLE: str(writing), LIFELINE: str(held), "PYTHONUNBUFFERED": "1"},
        )
        os.close(writing)
        os.close(held)
        try:
            error, saw_problem, sentence = _listen(events, on_event)
            code = child.wait()
        except BaseException:
            on_event({"kind": "stopping"})
            _stop(child)
            raise
    if error is not None:
        raise error
    if code and not saw_problem:
        why = f"failed: {sentence}" if sentence else _last_words(code, log, log_began)
        raise ports.Retry(f"the run of {first} to {last} {why}; its log is {log}")


def _last_words(code: int, log: Path, began: int) -> str:
    """How a child ended that could not say so itself: what it wrote last, or what ended it."""
    with log.open("rb") as file:
        file.seek(max(began, log.stat().st_size - _SAID_BYTES))
        said = [text.strip() for text in file.read().decode("utf-8", "replace").splitlines() if text.strip()]
    last = f": {said[-1][:_SAID_CHARS]}" if said else ", and its log has not a word of it"
    if code >= 0:
        return f"ended with {code}{last}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why = " (who kills without a word is mostly the system, for want of memory)" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}{last}"


def _log_file(line: Line) -> Path:
    """What Dagster prints while it runs; an old one is kept once."""
    log = line.plant.state_dir / "logs" / "runs.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
    return log


def _listen(events: Iterator[str], on_event: OnEvent) -> tuple[ports.FerryError | None, bool, str]:
    """Passes events on until the child closes them; the error that it named, whether a window had problems, and what
    it said of windows that it left out."""
    error: ports.FerryError | None = None
    saw_problem, sentence = False, ""
    for text in events:
        event = json.loads(text)
        if event["kind"] == "error":
            error = _ERRORS.get(event["class"], ports.Retry)(event["message"])
        elif event["kind"] == "failed":
            sentence = event["message"]
        saw_problem = saw_problem or bool(event.get("problems"))
        on_event(event)
    return error, saw_problem, sentence


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Lets it write down what is through; a kill is safe, too."""
    child.send_signal(STOP_SIGNAL)
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
