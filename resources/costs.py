"""What runs have cost a source: how many requests they made for how many events. Measured, for the next forecast."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_RUNS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: requests to the source, counts and repetitions included, and the events that it moved."""

    requests: int
    events: int


def record(file: Path, cost: Cost) -> None:
    """Adds a run to the newest ones. Runs that end at once may lose one of them: an estimate does not mind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = [*costs(file), cost][-_RUNS_KEPT:]
    temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
    temporary.write_text("".join(f"{json.dumps(asdict(each))}\n" for each in kept), encoding="utf-8")
    temporary.replace(file)


def costs(file: Path) -> list[Cost]:
    """The newest runs, oldest first; none where none was recorded or the file is damaged."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [Cost(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError):
        return []


def requests_per_event(found: list[Cost]) -> float | None:
    """Over all these runs together; None where they moved nothing."""
    events = sum(each.events for each in found)
    return sum(each.requests for each in found) / events if events else None
