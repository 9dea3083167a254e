"""Edits of history: what an UPDATE or a late insert leaves behind (facts/historians.md 2.9).

A change takes the row out of Latest (Original keeps it) and puts a new Latest row behind it; a removal only takes it
out of Latest; an addition is a late insert, first and latest version at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from simulators.pi_web_api.clock import iso, parse_iso
from simulators.tds.rows import for_arrow
from simulators.wonderware.events import (
    BAD,
    GOOD,
    MILLISECOND_NS,
    NO_OPC,
    QD_EDITED,
    QD_GOOD,
    Events,
    Version,
    blank,
    joined,
)
from simulators.wonderware.oddities import moved
from simulators.wonderware.specs import Spec

Op = Literal["add", "change", "remove"]


class EditError(ValueError):
    """An edit that names no row, or is not understood."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at one stamp; `tie` counts the tag's Latest rows at that stamp, from 0, in stored order."""

    number: int
    op: Op
    time_ns: int
    tie: int = 0
    event: Events | None = None  # the one row that is added, or that the old one becomes
    told: dict[str, Any] = field(default_factory=dict)  # what was done, as given back to the caller


def read_edit(spec: Spec, given: dict[str, Any]) -> Edit:
    """An edit from its JSON form: op, time, tie, value (null for none), quality, detail, opc. Raises EditError."""
    op = given.get("op")
    if op not in ("add", "change", "remove"):
        raise EditError(f"{op!r} is no edit: expected add, change or remove")
    if "time" not in given or (op != "remove" and "value" not in given):
        raise EditError("an edit needs a time, and a value unless it removes")
    time_ns = parse_iso(str(given["time"]))
    event = None if op == "remove" else one_event(spec, op, time_ns, given)
    return Edit(spec.number, op, time_ns, int(given.get("tie", 0)), event)


def one_event(spec: Spec, op: str, time_ns: int, given: dict[str, Any]) -> Events:
    """One row from its JSON form. Raises EditError."""
    value = given["value"]
    text = spec.kind == "string"
    if value is not None and (isinstance(value, str) != text or isinstance(value, dict | list)):
        raise EditError(f"{value!r} is no value of a tag that is {spec.kind}")
    event = blank(np.array([time_ns]), (for_arrow(value),) if text and value is not None else ())
    event.valid[0] = value is not None
    if value is not None and not text:
        event.numbers[0] = float(value)
    event.quality[0] = given.get("quality", BAD if value is None else GOOD)
    event.detail[0] = given.get("detail", 24 if value is None else QD_EDITED if op == "change" else QD_GOOD)
    opc = given.get("opc", 0 if value is None else 192)
    event.opc[0] = NO_OPC if opc is None else opc
    event.versions[0] = int(Version.LATEST if op == "change" else Version.BOTH)
    return event


def applied(events: Events, edit: Edit) -> Events:
    """The rows after one edit; an added row goes behind those at its stamp. Raises EditError."""
    low, high = (int(place) for place in np.searchsorted(events.times, (edit.time_ns, edit.time_ns + 1)))
    if edit.op == "add":
        assert edit.event is not None
        return joined([events.take(slice(0, high)), edit.event, events.take(slice(high, None))])
    latest = np.flatnonzero(events.versions[low:high] & int(Version.LATEST)) + low
    if edit.tie >= len(latest):
        raise EditError(f"there is no row {edit.tie} at {iso(edit.time_ns)}")
    place = int(latest[edit.tie])
    versions = events.versions.copy()
    versions[place] &= ~int(Version.LATEST) & 0xFF
    events = replace(events, versions=versions)
    kept = place + (1 if versions[place] else 0)
    middle = [] if edit.event is None else [edit.event]
    return joined([events.take(slice(0, kept)), *middle, events.take(slice(place + 1, None))])


def generated(
    spec: Spec, events: Events, draw: np.random.Generator, wanted: int, kinds: tuple[str, ...]
) -> list[tuple[str, list[Edit]]]:
    """About `wanted` edits of one tag's Latest rows, each with its kind; no row is touched twice.

    Kinds: `add` a late row between two others; `change` another value, same count; `swap` the values of two rows that
    differ, so that count and sum stay (two edits); `remove`.
    """
    alone = np.concatenate(([True], np.diff(events.times) > 0)) if len(events) else np.empty(0, dtype=np.bool_)
    if len(events):
        alone[:-1] &= np.diff(events.times) > 0
    places = draw.permutation(np.flatnonzero(alone & events.valid & (events.quality == GOOD)))
    done: list[tuple[str, list[Edit]]] = []
    for turn in range(min(wanted, len(places) // 2)):
        kind = kinds[turn % len(kinds)]
        edits = _drawn(spec, events, draw, kind, int(places[2 * turn]), int(places[2 * turn + 1]))
        if edits:
            done.append((kind, edits))
    return done


def _drawn(spec: Spec, events: Events, draw: np.random.Generator, kind: str, first: int, second: int) -> list[Edit]:
    """The edits of one kind at a place, and at a second one for a swap; none where two values are equal."""
    one, time_ns = events.take(slice(first, first + 1)), int(events.times[first])
    if kind == "remove":
        return [Edit(spec.number, "remove", time_ns)]
    new = moved(spec, one)
    if kind == "add":
        late_ns = time_ns + MILLISECOND_NS * int(draw.integers(1, 500))
        if first + 1 >= len(events) or late_ns >= int(events.times[first + 1]):
            late_ns = time_ns  # no room before the next row: a tie
        both = np.full(1, int(Version.BOTH), dtype=np.uint8)
        detail = np.full(1, QD_GOOD, dtype=np.int32)
        return [
            Edit(spec.number, "add", late_ns, 0, replace(new, times=np.array([late_ns]), versions=both, detail=detail))
        ]
    if kind == "change":
        return [Edit(spec.number, "change", time_ns, 0, new)]
    other = events.take(slice(second, second + 1))
    if one.numbers[0] == other.numbers[0] and one.texts[0] == other.texts[0]:
        return []
    swapped = replace(new, numbers=other.numbers, texts=other.texts, names=other.names)
    back = replace(moved(spec, other), numbers=one.numbers, texts=one.texts, names=one.names)
    return [
        Edit(spec.number, "change", time_ns, 0, swapped),
        Edit(spec.number, "change", int(events.times[second]), 0, back),
    ]
