"""Edits as callers ask for them and are told of them: by tag name and ISO time in UTC, in JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.signals import dice
from simulators.wonderware.edits import Edit, EditError, applied, generated, read_edit
from simulators.wonderware.events import DAY_NS, NO_OPC, Events, Version
from simulators.wonderware.plant import Plant

KINDS = ("add", "change", "swap", "remove")
_SEED_DAY = 0


def edited(plant: Plant, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Applies {"edits": [...]}, or a generated set, and tells of each what was done.

    Of each: `point` (current name), `kind` (add, change, swap, remove), `op`, `time`, `tie`, `before`, `after`.
    Raises EditError, UnknownTagError; then nothing was applied.
    """
    if "edits" in given:
        asked = [(str(each.get("op")), _read(plant, each)) for each in given["edits"]]
    else:
        asked = _drawn(plant, given)
    _rehearse(plant, [edit for _, edit in asked])
    told = []
    for kind, edit in asked:
        record = _record(plant, kind, edit)
        plant.edit([replace(edit, told=record)])
        told.append(record)
    return told


def _read(plant: Plant, given: dict[str, Any]) -> Edit:
    spec = plant.catalogue.find(str(given.get("point", "")))
    return read_edit(plant.birth(spec.number), given)


def _drawn(plant: Plant, given: dict[str, Any]) -> list[tuple[str, Edit]]:
    """A generated set: about `count` edits spread over tags that have rows in [start, end)."""
    seed, count = int(given.get("seed", 1)), int(given.get("count", 20))
    start_ns, end_ns = parse_iso(given["start"]), parse_iso(given["end"])
    kinds = tuple(given.get("kinds", KINDS))
    if not kinds or not set(kinds) <= set(KINDS):
        raise EditError(f"kinds are {', '.join(KINDS)}")
    names = given.get("points")
    found = [plant.catalogue.find(name) for name in names] if names else _usual(plant)
    numbers = [spec.number for spec in found]
    draw = dice(seed, len(numbers), _SEED_DAY, "edits")
    numbers = [int(number) for number in draw.permutation(numbers)]
    each = max(1, -(-2 * count // max(len(numbers), 1)))  # twice the even share: silent tags take none
    drawn: list[tuple[str, Edit]] = []
    done = 0
    for number in numbers:
        if done >= count:
            break
        turned = kinds[done % len(kinds) :] + kinds[: done % len(kinds)]
        events = plant.window(number, start_ns, end_ns - 1)
        for kind, edits in generated(plant.birth(number), events, draw, min(each, count - done), turned):
            drawn += [(kind, edit) for edit in edits]
            done += 1
    return drawn


def _usual(plant: Plant) -> list[Any]:
    """Tags without the Historian's own, which nobody copies."""
    return [spec for number in plant.catalogue.numbers() if not (spec := plant.catalogue.spec(number)).is_system]


def _rehearse(plant: Plant, edits: list[Edit]) -> None:
    """Raises EditError for the first edit that would find no row, before any is applied."""
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
    day = plant.unhidden(edit.number, edit.time_ns // DAY_NS).between(edit.time_ns, edit.time_ns + 1)
    old = day.version(Version.LATEST)
    text = plant.birth(edit.number).kind == "string"
    if edit.op == "add":
        record["tie"] = len(old)
    else:
        record["before"] = _shown(old.take(np.array([edit.tie])), text)
    if edit.event is not None:
        record["after"] = _shown(edit.event, text)
    return record


def _shown(event: Events, text: bool) -> dict[str, Any]:
    """One row in words."""
    value: Any = None
    if event.valid[0]:
        value = event.names[int(event.texts[0])] if text else float(event.numbers[0])
    opc = int(event.opc[0])
    return {
        "value": value,
        "quality": int(event.quality[0]),
        "detail": int(event.detail[0]),
        "opc": None if opc == NO_OPC else opc,
    }
