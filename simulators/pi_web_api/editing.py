"""Edits as callers ask for them and are told of them: by point name and ISO time, in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.edits import Edit, EditError, applied, generated, read_edit
from simulators.pi_web_api.events import DAY_NS, Events
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.precision import narrowed
from simulators.pi_web_api.rendering import item_texts
from simulators.pi_web_api.signals import dice

KINDS = ("add", "change", "swap", "remove")
_SEED_DAY = 0
_SHOWN = ("Good", "Questionable", "Substituted", "Value")


def edited(plant: Plant, given: Any) -> list[dict[str, Any]]:
    """Applies a list of edits, or a generated set, and tells of each what was done.

    Of each: `point` (current name), `kind` (add, change, swap, remove), `op`, `time`, `tie`, `before`, `after`.
    Raises EditError, UnknownPointError; then nothing was applied.
    """
    if isinstance(given, dict) and "edits" in given:
        given = given["edits"]
    asked = [(str(each.get("op")), _read(plant, each)) for each in given] if isinstance(given, list) else []
    if isinstance(given, dict):
        asked = _drawn(plant, given)
    _rehearse(plant, [edit for _, edit in asked])
    told = []
    for kind, edit in asked:
        record = _record(plant, kind, edit)
        plant.edit([replace(edit, told=record)])
        told.append(record)
    return told


def load(plant: Plant, path: str) -> list[dict[str, Any]]:
    """Applies the edits of a JSON file. Raises OSError and what `edited` raises."""
    return edited(plant, json.loads(Path(path).read_text(encoding="utf-8")))


def _read(plant: Plant, given: dict[str, Any]) -> Edit:
    spec = plant.catalogue.find(given.get("point", ""))
    numeric = spec.pi_type.startswith(("Int", "Float"))
    return _stored(plant, read_edit(spec.number, numeric, given))


def _stored(plant: Plant, edit: Edit) -> Edit:
    """The edit with its event as the point's type holds it."""
    if edit.event is None:
        return edit
    return replace(edit, event=narrowed(edit.event, plant.catalogue.spec(edit.number).pi_type))


def _drawn(plant: Plant, given: dict[str, Any]) -> list[tuple[str, Edit]]:
    """A generated set: about `count` edits spread over points that have events in [start, end)."""
    seed, count = int(given.get("seed", 1)), int(given.get("count", 20))
    start_ns, end_ns = parse_iso(given["start"]), parse_iso(given["end"])
    kinds = tuple(given.get("kinds", KINDS))
    if not set(kinds) <= set(KINDS):
        raise EditError(f"kinds are {', '.join(KINDS)}")
    names = given.get("points")
    numbers = [plant.catalogue.find(name).number for name in names] if names else plant.catalogue.numbers()
    draw = dice(seed, len(numbers), _SEED_DAY, "edits")
    numbers = [int(number) for number in draw.permutation(numbers)]
    each = max(1, -(-2 * count // max(len(numbers), 1)))  # twice the even share: silent points take none
    drawn: list[tuple[str, Edit]] = []
    done = 0
    for number in numbers:
        if done >= count:
            break
        turned = kinds[done % len(kinds) :] + kinds[: done % len(kinds)]
        events = plant.window(number, start_ns, end_ns - 1)
        for kind, edits in generated(events, number, draw, min(each, count - done), turned):
            drawn += [(kind, _stored(plant, edit)) for edit in edits]
            done += 1
    return drawn


def _rehearse(plant: Plant, edits: list[Edit]) -> None:
    """Raises EditError for the first edit that would find no event, before any is applied."""
    days: dict[tuple[int, int], Events] = {}
    for edit in edits:
        key = (edit.number, edit.time_ns // DAY_NS)
        days[key] = applied(days[key] if key in days else plant.unhidden(*key), edit)


def _record(plant: Plant, kind: str, edit: Edit) -> dict[str, Any]:
    """What one edit does, read off the plant before it is applied."""
    record: dict[str, Any] = {
        "point": plant.catalogue.spec(edit.number).name,
        "kind": kind,
        "op": edit.op,
        "time": iso(edit.time_ns),
        "tie": edit.tie,
    }
    old = plant.unhidden(edit.number, edit.time_ns // DAY_NS).between(edit.time_ns, edit.time_ns + 1)
    if edit.op == "add":
        record["tie"] = len(old)
    else:
        record["before"] = json.loads(item_texts(old.take(np.array([edit.tie])), _SHOWN)[0])
    if edit.event is not None:
        record["after"] = json.loads(item_texts(edit.event, _SHOWN)[0])
    return record
