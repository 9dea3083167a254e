"""Endpoints of Stream Updates: streams are registered, then asked with a marker for what changed since.

404 says that a marker's cache is unknown, 409 that the marker is invalid: either way the client registers again and
reads the gap from the archive. In a set, what fails is an item of its own; the others are answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from zlib import crc32

from simulators.pi_web_api.events import Events
from simulators.pi_web_api.exchange import Answer, Question, RefusalError, listed
from simulators.pi_web_api.rendering import rendered
from simulators.pi_web_api.selection import VALUE_FIELDS
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.signups import ACTIONS
from simulators.pi_web_api.specs import Spec

_ARCHIVED = "PreviousEventArchived"
Item = dict[str, Any]


def register(service: Service, question: Question, web_id: str) -> Answer:
    """POST /streams/{webId}/updates."""
    return listed(question, _registered(service, question, web_id))


def set_register(service: Service, question: Question) -> Answer:
    """POST /streamsets/updates?webId=…."""
    return _set(question, "webId", lambda web_id: _registered(service, question, web_id), _not_registered)


def read(service: Service, question: Question, marker: str) -> Answer:
    """GET /streams/updates/{marker}."""
    return listed(question, _updated(service, question, marker))


def set_read(service: Service, question: Question) -> Answer:
    """GET /streamsets/updates?marker=…."""
    return _set(question, "marker", lambda marker: _updated(service, question, marker), _not_updated)


def _set(
    question: Question, name: str, answered: Callable[[str], Item], failed: Callable[[str, RefusalError], Item]
) -> Answer:
    """The items of a set, in an order that no client may rely on."""
    asked = question.texts(name)
    if not asked:
        raise RefusalError(400, f"Parameter '{name}' is required.")
    items = []
    for text in asked:
        try:
            item = answered(text)
        except RefusalError as refusal:
            item = failed(text, refusal)
        items.append((crc32(text.encode()), item))
    return listed(question, {"Items": [item for _, item in sorted(items, key=lambda pair: pair[0])]})


def _registered(service: Service, question: Question, web_id: str) -> Item:
    spec = service.point(web_id)
    signup, new = service.signups.register(spec)
    status = "Succeeded" if new else "AlreadyRegistered"
    return {**_source(service, question, spec), "LatestMarker": signup.marker, "Status": status, "Exception": None}


def _not_registered(web_id: str, refusal: RefusalError) -> Item:
    head = {"Source": web_id, "SourceName": None, "SourcePath": None}
    return {**head, "LatestMarker": None, "Status": "Failed", "Exception": _exception(refusal)}


def _updated(service: Service, question: Question, marker: str) -> Item:
    signup, number = service.signups.find(marker)
    if not service.signups.current(signup):
        path = service.catalogue.path(signup.spec)
        gone = _not_updated(marker, RefusalError(404, f"PI Point not found '{path}'."))
        return {**gone, **_source(service, question, signup.spec)}
    service.signups.advance(signup)
    edits, appeared = service.signups.since(signup, number)
    events: list[Item] = []
    for edit in edits:
        event = service.plant.removed(edit) if edit.event is None else edit.event
        events += _events(service, event, ACTIONS[edit.op])
    for day in appeared:
        events += _events(service, day, ACTIONS["add"])
    service.served(len(events))
    return {
        **_source(service, question, signup.spec),
        "RequestedMarker": marker,
        "LatestMarker": signup.marker,
        "Status": "Updated",
        "Events": events,
        "Exception": None,
    }


def _not_updated(marker: str, refusal: RefusalError) -> Item:
    return {
        "Source": None,
        "SourceName": None,
        "SourcePath": None,
        "RequestedMarker": marker,
        "LatestMarker": None,
        "Status": "Failed",
        "Events": [],
        "Exception": _exception(refusal),
    }


def _source(service: Service, question: Question, spec: Spec) -> Item:
    path = service.catalogue.path(spec)
    return {"Source": service.web_id(question, spec), "SourceName": spec.name, "SourcePath": path}


def _exception(refusal: RefusalError) -> Item:
    return {"Errors": [refusal.text], "StatusCode": refusal.status}


def _events(service: Service, events: Events, action: str) -> list[Item]:
    """Events of one day as TimedValues with what became of them."""
    page = rendered(events, VALUE_FIELDS, service.settings.nonfinite == "tokens")
    values = json.loads(b"[" + bytes(page.part(0, len(events))) + b"]")
    return [{**value, "Action": action, "PreviousEventAction": _ARCHIVED} for value in values]
