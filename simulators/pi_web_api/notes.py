"""Annotations: what people wrote to events, which recorded values tell with associations=Annotations.

Source: PI Web API Reference, topics Associations and EventFrame GetAnnotations (the form of one). The form is the same
for events of points in AVEVA's own client specifications (StreamAnnotation).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from simulators.pi_web_api.clock import iso
from simulators.pi_web_api.events import HOUR_NS, Events, Flag
from simulators.pi_web_api.exchange import Question, RefusalError, encoded
from simulators.pi_web_api.specs import Spec

if TYPE_CHECKING:
    from simulators.pi_web_api.plant import Plant

_TEXTS = ("Sensor replaced", 'Operator: "valve stuck" ⚠', "Probe gewechselt; Wert geschätzt", "line 1\nline 2")


def asked_for(plant: Plant, question: Question) -> bool:
    """Whether annotations are to be told. Raises RefusalError."""
    names = [name for text in question.texts("associations") for name in re.split(r"[;,]", text) if name]
    unknown = next((name for name in names if name.lower() != "annotations"), None)
    if names and plant.settings.annotations == "refused":
        unknown = names[0]
    if unknown is not None:
        raise RefusalError(400, f"The value '{unknown}' is not valid for parameter 'associations'.")
    return bool(names) and plant.settings.annotations == "told"


def with_notes(plant: Plant, spec: Spec, events: Events, texts: list[bytes]) -> list[bytes]:
    """The JSON of single events with the annotations of each behind its other fields."""
    flagged = np.asarray(events.flags & Flag.ANNOTATED != 0)
    found = []
    for place, text in enumerate(texts):
        notes = notes_of(plant, spec, int(events.times[place])) if flagged[place] else []
        joint = b"," if len(text) > 2 else b""
        found.append(text[:-1] + joint + b'"Annotations":' + encoded(notes) + b"}")
    return found


def notes_of(plant: Plant, spec: Spec, time_ns: int) -> list[dict[str, Any]]:
    """The annotations of the point's flagged events at a stamp: one, two, or what `plant.notes` has."""
    draw = (spec.number * 7 + time_ns // 100) % 12
    texts: list[Any] = [_TEXTS[draw % len(_TEXTS)]] if draw else ["first", {"Reason": "calibration", "Code": 7}]
    texts = plant.notes.get((spec.number, time_ns), texts)
    return [
        {
            "Id": f"{spec.number:08x}-{time_ns // 100 % 16**12:012x}-{place}",
            "Name": f"Annotation {place + 1}",
            "Description": f"of {spec.name}",
            "Value": text,
            "Creator": "PLANT\\operator",
            "CreationDate": iso(time_ns + HOUR_NS),
            "Modifier": "PLANT\\engineer",
            "ModifyDate": iso(time_ns + 2 * HOUR_NS),
            "Errors": None,
        }
        for place, text in enumerate(texts)
    ]
