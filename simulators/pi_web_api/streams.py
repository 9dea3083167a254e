"""Endpoints of one stream and of ad hoc stream sets, other than recorded values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from simulators.pi_web_api import interpolation, recorded, summaries
from simulators.pi_web_api.clock import TimeTextError, interval_ns
from simulators.pi_web_api.events import Events
from simulators.pi_web_api.exchange import Answer, Question, RefusalError, listed
from simulators.pi_web_api.rendering import item_texts
from simulators.pi_web_api.selection import VALUE_FIELDS
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.specs import Spec

Reading = Callable[[Service, Question, Spec], Any]
"""What one stream answers: a TimedValue, or a list of them."""


def recorded_values(service: Service, question: Question, web_id: str) -> Answer:
    """GET /streams/{webId}/recorded."""
    return recorded.one(service, question, service.point(web_id))


def set_recorded(service: Service, question: Question) -> Answer:
    """GET /streamsets/recorded?webId=…."""
    return recorded.many(service, question, service.points(question))


def timed(service: Service, events: Events) -> list[dict[str, Any]]:
    """Events as TimedValue documents."""
    tokens = service.settings.nonfinite == "tokens"
    return [json.loads(text) for text in item_texts(events, VALUE_FIELDS, tokens)]


def interpolated(service: Service, question: Question, spec: Spec) -> list[dict[str, Any]]:
    """Values at even steps; both ends of the window count."""
    start_ns, end_ns = service.window(question)
    try:
        step_ns = interval_ns(question.text("interval", "1h"))
    except TimeTextError as error:
        raise RefusalError(400, str(error)) from error
    if step_ns <= 0:
        raise RefusalError(400, "The value of parameter 'interval' is not valid.")
    if abs(end_ns - start_ns) // step_ns >= service.settings.max_items:
        raise service.over_limit("interval")
    step_ns = step_ns if end_ns >= start_ns else -step_ns
    times = range(start_ns, end_ns + (1 if step_ns > 0 else -1), step_ns)
    return timed(service, interpolation.at_times(service.plant, spec.number, times))


def plot(service: Service, question: Question, spec: Spec) -> list[dict[str, Any]]:
    """Up to five values for each of `intervals`."""
    start_ns, end_ns = service.window(question)
    count = question.number("intervals", 24)
    if not 0 < count * interpolation.PLOT_VALUES <= service.settings.max_items:
        raise service.over_limit("intervals")
    low_ns, high_ns = min(start_ns, end_ns), max(start_ns, end_ns)
    return timed(service, interpolation.plotted(service.plant, spec.number, low_ns, high_ns, count))


def value(service: Service, question: Question, spec: Spec) -> dict[str, Any]:
    """The value at `time`; without one, the last recorded value up to now."""
    time_ns = service.time(question.text("time", "*"), question.text("timeZone"))
    if question.text("time"):
        events = interpolation.at_times(service.plant, spec.number, [time_ns])
    else:
        events = interpolation.last_at(service.plant, spec.number, time_ns)
    return _only(service, events, time_ns)


def end(service: Service, question: Question, spec: Spec) -> dict[str, Any]:
    """The last value of the stream; that of a future point may be ahead of now."""
    now_ns = service.plant.clock.now_ns()
    _, last_ns = service.plant.span(spec.number)
    upto_ns = max(now_ns, last_ns) if spec.future else now_ns
    return _only(service, interpolation.last_at(service.plant, spec.number, upto_ns), now_ns)


def summary(service: Service, question: Question, spec: Spec) -> list[dict[str, Any]]:
    """Summaries over the window, or over each `summaryDuration` of it."""
    return summaries.summarised(service, spec, summaries.wanted(service, question))


READINGS: dict[str, Reading] = {
    "interpolated": interpolated,
    "plot": plot,
    "value": value,
    "end": end,
    "summary": summary,
}


def one(service: Service, question: Question, web_id: str, name: str) -> Answer:
    """GET /streams/{webId}/{interpolated, plot, value, end, summary}."""
    spec = service.point(web_id)
    found = READINGS[name](service, question, spec)
    if isinstance(found, dict):
        return listed(question, found)
    service.served(len(found))
    return listed(question, {"Links": {}, "Items": found, "UnitsAbbreviation": ""})


def many(service: Service, question: Question, name: str) -> Answer:
    """GET /streamsets/{…}?webId=…."""
    specs = service.points(question)
    items = []
    for place in recorded.shuffled(question, specs):
        spec = specs[place]
        found = READINGS[name](service, question, spec)
        head = json.loads(recorded.stream_head(service, question, spec, {}) + b"}")
        items.append({**head, ("Value" if isinstance(found, dict) else "Items"): found})
    total = sum(len(item.get("Items", (0,))) for item in items)
    if service.settings.limit_scope == "per_call" and total > service.settings.max_items:
        raise service.over_limit("maxCount")
    service.served(total)
    return listed(question, {"Links": {}, "Items": items})


def _only(service: Service, events: Events, time_ns: int) -> dict[str, Any]:
    """The one event, or No Data."""
    return timed(service, events if len(events) else interpolation.no_value(time_ns))[0]
