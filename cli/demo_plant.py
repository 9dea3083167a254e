"""The plant of a demo: the plant file as it is, or another size of its stand-in with a plant file of its own.

The first demo of a state folder fills that folder, whatever its size; one of another size gets a folder below it,
so that two simulated plants never mix in one ledger.
"""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.plant import Plant, Simulate, SourceSettings, load_plant
from pipelines.ports import Stop
from pipelines.timeline import HOUR_NS, iso

_NAME = "ferry.toml"
_MARK = "demo.json"
_FOLDER = "demos"


@dataclass(frozen=True, slots=True)
class Size:
    """How big a demo is."""

    points: int
    hours: int


def packaged() -> Path:
    """The demo's plant file as it came with this installation: in the wheel beside us, in a checkout at the root."""
    beside = Path(__file__).with_name(_NAME)
    return beside if beside.exists() else Path(__file__).parents[1] / _NAME


def simulated(plant: Plant) -> SourceSettings:
    """The source that the demo runs. Raises Stop when the plant has no stand-in."""
    for source in plant.source:
        if source.simulate is not None:
            return source
    raise Stop(
        "the demo needs a source with `simulate` in the plant file; for a real plant use ferry discover, plan, backfill"
    )


def demo_file(plant_file: Path, plant: Plant, points: int | None, hours: int | None) -> Path:
    """The plant file of a demo of that size; written when the one at hand is of another."""
    source = simulated(plant)
    assert source.simulate is not None
    given = _given(source, source.simulate)
    there = _size_in(plant.state_dir) or (given if (plant.state_dir / "stand_ins" / source.name).exists() else None)
    usual = there or given
    asked = Size(points or usual.points, hours or usual.hours)
    home = plant.state_dir
    if there not in (None, asked):
        home = home / _FOLDER / f"p{asked.points}-h{asked.hours}"
    home.mkdir(parents=True, exist_ok=True)
    (home / _MARK).write_text(json.dumps({"points": asked.points, "hours": asked.hours}) + "\n", encoding="utf-8")
    if home == plant.state_dir and asked == given:
        return plant_file
    file = home / _NAME
    file.write_text(_rewritten(plant_file, source, asked), encoding="utf-8")
    load_plant(file)
    return file


def nested(plant: Plant) -> list[Path]:
    """Plant files of demos of other sizes below the plant's state folder."""
    return sorted((plant.state_dir / _FOLDER).glob(f"*/{_NAME}"))


def _given(source: SourceSettings, simulate: Simulate) -> Size:
    hours = simulate.hours if source.end is None else min(simulate.hours, (source.end - source.start) / HOUR_NS)
    return Size(simulate.points, max(int(hours), 1))


def _size_in(home: Path) -> Size | None:
    try:
        return Size(**json.loads((home / _MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _rewritten(plant_file: Path, source: SourceSettings, size: Size) -> str:
    raw = tomllib.loads(plant_file.read_text(encoding="utf-8"))
    raw["plant"]["state_dir"] = "."
    for table in raw["source"]:
        if table["name"] == source.name:
            table["simulate"] = {**table["simulate"], "points": size.points, "hours": size.hours}
            table["end"] = dt.datetime.fromisoformat(iso(source.start + size.hours * HOUR_NS))
    head = f"# Written by `ferry demo` from {plant_file.name}: {size.points} points, {size.hours} hours.\n"
    return head + to_toml(raw)


def to_toml(tables: Mapping[str, Any]) -> str:
    """A plant file's tables as TOML; what is nested deeper stands inline."""
    lines: list[str] = []
    for name, table in tables.items():
        for each in table if isinstance(table, list) else [table]:
            lines.append(f"\n[[{name}]]" if isinstance(table, list) else f"\n[{name}]")
            lines += [f"{key} = {to_value(value)}" for key, value in each.items()]
    return "\n".join(lines) + "\n"


def to_value(value: Any) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {to_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(to_value(each) for each in value) + "]"
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat().replace("+00:00", "Z")
    return json.dumps(value, ensure_ascii=False)
