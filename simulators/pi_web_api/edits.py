"""Edits of history: events added, changed and removed after the fact, one by one or as a generated set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipelines.samples import NO_CODE
from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.events import TICK_NS, Events, Flag, Shape, blank, joined

_FLAG_NAMES = {"questionable": Flag.QUESTIONABLE, "substituted": Flag.SUBSTITUTED, "annotated": Flag.ANNOTATED}
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class EditError(ValueError):
    """An edit that names no event, or is not understood."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at one stamp; `tie` counts the events of the point at that stamp, from 0, in the order served."""

    number: int
    op: str  # add, change, remove
    time_ns: int
    tie: int = 0
    event: Events | None = None  # the one event that is added, or that the old one becomes
    told: dict[str, Any] = field(default_factory=dict)  # what was asked, as given back to the caller


def read_edit(number: int, numeric: bool, given: dict[str, Any]) -> Edit:
    """An edit from its JSON form. Raises EditError."""
    op = given.get("op")
    if op not in ("add", "change", "remove"):
        raise EditError(f"{op!r} is no edit: expected add, change or remove")
    try:
        time_ns = parse_iso(str(given["time"]))
    except KeyError as error:
        raise EditError("an edit needs a time") from error
    event = None
    if op != "remove":
        if "value" not in given:
            raise EditError(f"{op} needs a value")
        event = one_event(time_ns, given["value"], numeric, given)
    told = {key: given[key] for key in ("op", "value", "good", *_FLAG_NAMES) if key in given}
    return Edit(number, op, time_ns, int(given.get("tie", 0)), event, {**told, "time": iso(time_ns)})


def one_event(time_ns: int, value: Any, numeric: bool, given: dict[str, Any]) -> Events:
    """One event from a JSON value as the server would give it. Raises EditError."""
    shape, number, code, name = _parts(value, numeric)
    event = blank(np.array([time_ns]), shape, () if name is None else (name,))
    event.numbers[0], event.codes[0] = number, code
    event.texts[0] = -1 if name is None else 0
    good = given.get("good", shape != Shape.SYSTEM)
    event.flags[0] = sum(int(flag) for name, flag in _FLAG_NAMES.items() if given.get(name))
    event.flags[0] |= 0 if good else int(Flag.BAD)
    return event


def _parts(value: Any, numeric: bool) -> tuple[Shape, float, int, str | None]:
    """Shape, number, code and text of a JSON value."""
    found: tuple[Shape, float, int, str | None] | None = None
    if isinstance(value, bool):
        found = Shape.BOOL, 0.0, int(value), None
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        found = Shape.INTEGER, 0.0, value, None
    elif isinstance(value, float):
        found = Shape.FLOAT, value, NO_CODE, None
    elif isinstance(value, str):
        if numeric and value in _NONFINITE:
            found = Shape.FLOAT, _NONFINITE[value], NO_CODE, None
        else:
            found = Shape.TEXT, 0.0, NO_CODE, value
    elif isinstance(value, dict) and isinstance(value.get("Value"), int):
        shape = Shape.SYSTEM if value.get("IsSystem") else Shape.STATE
        found = shape, 0.0, value["Value"], str(value.get("Name", ""))
    if found is None:
        raise EditError(f"{value!r} is no value of an event")
    return found


def applied(events: Events, edit: Edit) -> Events:
    """The events after one edit; an added event goes behind those at its stamp. Raises EditError."""
    low, high = (int(place) for place in np.searchsorted(events.times, (edit.time_ns, edit.time_ns + 1)))
    if edit.op == "add":
        assert edit.event is not None
        return joined([events.take(slice(0, high)), edit.event, events.take(slice(high, None))])
    place = low + edit.tie
    if place >= high:
        raise EditError(f"there is no event {edit.tie} at {iso(edit.time_ns)}")
    middle = [] if edit.event is None else [edit.event]
    return joined([events.take(slice(0, place)), *middle, events.take(slice(place + 1, None))])


def generated(
    events: Events, number: int, draw: np.random.Generator, wanted: int, kinds: tuple[str, ...]
) -> list[tuple[str, list[Edit]]]:
    """About `wanted` edits of one point's events, each with its kind; no event is touched twice.

    Kinds: `add` a late event between two others; `change` another value, same count; `swap` the values of two
    events that differ, so that count and sum stay (two edits); `remove`.
    """
    unique = np.concatenate(([True], np.diff(events.times) > 0)) if len(events) else np.empty(0, dtype=bool)
    if len(events):
        unique[:-1] &= np.diff(events.times) > 0
    places = np.flatnonzero(events.plain() & unique & (events.shapes != Shape.BOOL))
    places = draw.permutation(places)
    done: list[tuple[str, list[Edit]]] = []
    used = 0
    for turn in range(wanted):
        kind = kinds[turn % len(kinds)]
        if used + 2 > len(places):
            break
        first, second = int(places[used]), int(places[used + 1])
        used += 2
        one = events.take(slice(first, first + 1))
        if kind == "add":
            time_ns = int(events.times[first]) + TICK_NS * int(draw.integers(1, 5_000_000))
            if first + 1 >= len(events) or time_ns >= int(events.times[first + 1]):
                time_ns = int(events.times[first])  # no room before the next event: a tie
            edits = [Edit(number, "add", time_ns, 0, _moved(one, 1.0, time_ns))]
        elif kind == "remove":
            edits = [Edit(number, "remove", int(events.times[first]))]
        elif kind == "swap":
            other = events.take(slice(second, second + 1))
            if one.amounts()[0] == other.amounts()[0]:
                continue
            times = int(events.times[first]), int(events.times[second])
            edits = [
                Edit(number, "change", times[0], 0, replace(other, times=one.times)),
                Edit(number, "change", times[1], 0, replace(one, times=other.times)),
            ]
        else:
            edits = [Edit(number, "change", int(events.times[first]), 0, _moved(one, 1.0, None))]
        done.append((kind, edits))
    return done


def _moved(event: Events, by: float, time_ns: int | None) -> Events:
    """A copy of one event with another number, and at another time."""
    times = event.times.copy() if time_ns is None else np.array([time_ns])
    return replace(event, times=times, numbers=event.numbers + by, codes=event.codes + int(by))
