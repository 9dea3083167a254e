"""Recorded values of one stream and of sets of streams.

Source: facts/historians.md 1.4 to 1.6: Inside takes both ends; a window whose end lies before its start comes
backwards; `maxCount` counts per stream, MaxReturnedItemsPerCall over the whole call.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from simulators.pi_web_api import notes
from simulators.pi_web_api.events import Events
from simulators.pi_web_api.exchange import Answer, Question, RefusalError, encoded
from simulators.pi_web_api.interpolation import at_times
from simulators.pi_web_api.rendering import Press, item_texts
from simulators.pi_web_api.selection import Tree, below, value_fields, wants
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.specs import Spec

_BOUNDARIES = ("inside", "outside", "interpolated")
Texts = list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of each stream; `first_ns` ≤ `last_ns`, both included."""

    first_ns: int
    last_ns: int
    backwards: bool
    boundary: str
    max_count: int
    fields: tuple[str, ...]


def wanted(service: Service, question: Question, values: Tree) -> Wanted:
    """The parameters of a recorded-values question. Raises RefusalError."""
    start_ns, end_ns = service.window(question, "*-1d")
    boundary = question.text("boundaryType", "Inside").lower()
    if boundary not in _BOUNDARIES:
        raise RefusalError(400, f"The value '{boundary}' is not valid for parameter 'boundaryType'.")
    if question.text("filterExpression"):
        raise RefusalError(501, "This stand-in does not evaluate filter expressions.")
    if question.text("desiredUnits"):
        raise RefusalError(409, "Units of measure cannot be converted for a PI Point.")
    max_count = service.max_count(question)
    first_ns, last_ns = min(start_ns, end_ns), max(start_ns, end_ns)
    return Wanted(first_ns, last_ns, end_ns < start_ns, boundary, max_count, value_fields(values))


def one(service: Service, question: Question, spec: Spec) -> Answer:
    """GET /streams/{webId}/recorded."""
    tree = question.fields()
    ask = wanted(service, question, below(tree, "Items"))
    if notes.asked_for(service.plant, question):
        texts, count = _annotated(service, spec, ask, wants(below(tree, "Items"), "Annotations"))
    else:
        texts, count = texts_of(service.press, spec.number, ask)
    service.served(count)
    parts: list[bytes] = []
    if wants(tree, "Links"):
        parts.append(b'"Links":{}')
    if wants(tree, "Items"):
        parts.append(b'"Items":[' + b",".join(texts) + b"]")
    if wants(tree, "UnitsAbbreviation"):
        parts.append(b'"UnitsAbbreviation":""')
    return Answer(200, b"{" + b",".join(parts) + b"}")


def _annotated(service: Service, spec: Spec, ask: Wanted, told: bool) -> tuple[Texts, int]:
    """Events inside the window, in its direction, with their annotations."""
    events = service.plant.window(spec.number, ask.first_ns, ask.last_ns)
    events = events.take(slice(None, None, -1 if ask.backwards else 1)).take(slice(0, ask.max_count))
    texts = item_texts(events, ask.fields, service.settings.nonfinite == "tokens")
    return list(notes.with_notes(service.plant, spec, events, texts) if told else texts), len(texts)


def many(service: Service, question: Question, specs: list[Spec]) -> Answer:
    """GET /streamsets/recorded?webId=…; refused when all streams together hold more than one call may return."""
    tree = question.fields()
    streams = below(tree, "Items")
    ask = wanted(service, question, below(streams, "Items"))
    texts: list[Texts] = []
    counts: list[int] = []
    limit = service.settings.max_items
    for spec in specs:
        some, count = texts_of(service.press, spec.number, ask)
        texts.append(some)
        counts.append(count)
        if service.settings.limit_scope == "per_call" and sum(counts) > limit:
            raise service.over_limit("maxCount")
    service.served(sum(counts))
    body: list[bytes | memoryview] = [b"{"]
    if wants(tree, "Links"):
        body.append(b'"Links":{}')
    if wants(tree, "Items"):
        body.append(b',"Items":[' if len(body) > 1 else b'"Items":[')
        for turn, place in enumerate(shuffled(question, specs)):
            head = stream_head(service, question, specs[place], streams)
            body.append((b"," if turn else b"") + head)
            if wants(streams, "Items"):
                body.append(b',"Items":[' if len(head) > 1 else b'"Items":[')
                for index, text in enumerate(texts[place]):
                    if index:
                        body.append(b",")
                    body.append(text)
                body.append(b"]")
            body.append(b"}")
        body.append(b"]")
    body.append(b"}")
    return Answer(200, b"".join(body))


def shuffled(question: Question, specs: list[Spec]) -> list[int]:
    """Places of the streams in the order of the answer: by name if asked so, else none that a client may rely on."""
    field, down = question.text("sortField"), question.text("sortOrder").lower().startswith("desc")
    if field:
        return sorted(range(len(specs)), key=lambda place: specs[place].name.casefold(), reverse=down)
    return sorted(range(len(specs)), key=lambda place: crc32(specs[place].name.encode()))


def stream_head(service: Service, question: Question, spec: Spec, tree: Tree) -> bytes:
    """The opening of one stream's object in a set, without its values and without its closing brace."""
    links = {"Source": f"{question.base}/points/{service.web_id(question, spec)}"}
    parts = {
        "WebId": service.web_id(question, spec),
        "Name": spec.name,
        "Path": service.catalogue.path(spec),
        "Links": links,
        "UnitsAbbreviation": "",
    }
    return encoded({name: part for name, part in parts.items() if wants(tree, name)})[:-1]


def texts_of(press: Press, number: int, ask: Wanted) -> tuple[Texts, int]:
    """JSON of the wanted events of one stream, in order, and how many they are."""
    if ask.boundary != "inside":
        return _with_boundaries(press, number, ask)
    plant = press.plant
    last_ns = min(ask.last_ns, plant.last_visible_ns(number))
    days = plant.days(number, ask.first_ns, last_ns)
    texts: Texts = []
    left = ask.max_count
    for day in reversed(days) if ask.backwards else days:
        page = press.page(number, day, ask.fields)
        bounds = np.searchsorted(page.times, (ask.first_ns, last_ns + 1))
        low, high = int(bounds[0]), int(bounds[1])
        if ask.backwards:
            low = max(low, high - left)
        else:
            high = min(high, low + left)
        if low < high:
            left -= high - low
            texts.extend(page.reversed_parts(low, high) if ask.backwards else [page.part(low, high)])
        if not left:
            break
    return texts, ask.max_count - left


def _with_boundaries(press: Press, number: int, ask: Wanted) -> tuple[Texts, int]:
    """Outside: one recorded event beyond each end. Interpolated: a synthetic one at each end that has none."""
    plant = press.plant
    inside = plant.window(number, ask.first_ns, ask.last_ns)
    before: Events | None
    after: Events | None
    if ask.boundary == "outside":
        before, after = plant.before(number, ask.first_ns), plant.after(number, ask.last_ns)
    else:
        held = set(inside.times[[0, -1]].tolist()) if len(inside) else set()
        before = None if ask.first_ns in held else at_times(plant, number, [ask.first_ns])
        after = None if ask.last_ns in held or ask.last_ns == ask.first_ns else at_times(plant, number, [ask.last_ns])
    texts: Texts = []
    for part in (before, inside, after):
        if part is not None:
            texts.extend(item_texts(part, ask.fields, plant.settings.nonfinite == "tokens"))
    if ask.backwards:
        texts.reverse()
    texts = texts[: ask.max_count]
    return texts, len(texts)
