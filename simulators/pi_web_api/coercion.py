"""Events recorded under another point type, as retrieval shows them under the point's present one.

Source: AVEVA, Data Archive Administration, "Allowable point type coercions" and "Configure error handling" (policy 0:
what cannot be coerced is the system state Coercion Failed). A digital event keeps the names of the set that it was
recorded under ("Coerce digital state sets").
"""

from __future__ import annotations

import numpy as np

from simulators.pi_web_api.events import Events, Flag, Shape, blank, joined
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import COERCION_FAILED, DIGITAL_SETS, SYSTEM_STATES

_SHAPES = {
    **dict.fromkeys(("Float16", "Float32", "Float64"), Shape.FLOAT),
    **dict.fromkeys(("Int16", "Int32"), Shape.INTEGER),
    "Digital": Shape.STATE,
    "String": Shape.TEXT,
}
_LIMITS = {"Int16": (0, 32_767), "Int32": (-2_147_450_880, 2_147_483_647)}


def coerced(events: Events, spec: Spec) -> Events:
    """The events under the type of `spec`; system states stay as they are."""
    shape = _SHAPES.get(spec.pi_type)
    stay = np.isin(events.shapes, [Shape.SYSTEM, *([] if shape is None else [shape])])
    if stay.all():
        return events
    parts = [events.take(slice(place, place + 1)) for place in range(len(events))]
    return joined([part if kept else _one(part, spec, shape) for part, kept in zip(parts, stay, strict=True)])


def _one(event: Events, spec: Spec, shape: Shape | None) -> Events:
    """One event, as the events of `shape` are."""
    number, text = float(event.amounts()[0]), event.names[event.texts[0]] if event.texts[0] >= 0 else None
    if event.shapes[0] == Shape.TEXT:
        number = _parsed(str(text))
    found = blank(event.times, shape or Shape.SYSTEM)
    found.flags[:] = event.flags
    if shape == Shape.FLOAT and np.isfinite(number):
        found.numbers[:] = number
        return found
    if shape == Shape.INTEGER and np.isfinite(number):
        low, high = _LIMITS[spec.pi_type]
        if low <= round(number) <= high:
            found.codes[:] = round(number)
            return found
    if shape == Shape.STATE:
        names = DIGITAL_SETS[spec.digital_set]
        named = [place for place, name in enumerate(names) if text is not None and name.lower() == text.lower()]
        code = named[0] if named else number
        if code in range(len(names)):
            return _named(found, int(code), names[int(code)])
    if shape == Shape.TEXT:
        return _named(found, int(found.codes[0]), text if text is not None else repr(number))
    found.shapes[:], found.flags[:] = Shape.SYSTEM, int(Flag.BAD)
    return _named(found, COERCION_FAILED, SYSTEM_STATES[COERCION_FAILED])


def _named(event: Events, code: int, name: str) -> Events:
    event.codes[:], event.texts[:] = code, 0
    return Events(event.times, event.shapes, event.numbers, event.codes, event.texts, event.flags, (name,))


def _parsed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
