"""Faults on demand, so that a client can be shown everything that a real server does wrong."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulators.pi_web_api.clock import parse_iso
from simulators.pi_web_api.events import HOUR_NS
from simulators.pi_web_api.exchange import Answer, RefusalError, encoded

CONNECTION_KINDS = ("slow", "reset", "cut")
BODY_KINDS = ("truncated", "web_exception", "web_page")
PART_KINDS = ("value_errors", "stream_errors", "left_out", "twice")
_SPAN = re.compile(r"startTime=([^&]*)&endTime=([^&]*)")
_UNDELIVERED = "An error occurred"
_TEXTS = {
    403: "The user does not have read access to the PI Point.",
    401: "Authorization has been denied for this request.",
    429: "Rate limit was reached",
    502: "The PI Data Archive could not be reached.",
    503: "The service is unavailable.",
}


@dataclass(slots=True)
class Fault:
    """One standing order.

    `kind`: an HTTP error status as text, `slow` (answers after `seconds`), `reset` (the connection is reset),
    `cut` (it closes in the middle of the body), `truncated` (a whole answer whose JSON ends too early),
    `web_exception` (a 200 whose items end half-way, with WebException), `web_page` (a 200 of HTML), and of streams in
    a 200 `value_errors` (the last value could not be delivered), `stream_errors` (it has Errors and no items),
    `left_out` and `twice` (of a set only; the second time without items). Skips the first `after` matching requests,
    then strikes `times` of them (-1: all), each with `probability`. With a `point` it strikes only what asks for that
    one, and in a set no other stream; with `over` what asks about more streams × hours, as a gateway's patience does.
    """

    kind: str
    times: int = 1
    probability: float = 1.0
    path: str = ""  # a regular expression searched for in path and query
    point: str = ""  # a name
    over: float = 0.0
    text: str = ""  # of an error status; '' for a usual one
    after: int = 0
    seconds: float = 1.0
    retry_after: str = ""
    inside_batch: bool = False  # strikes sub-requests of a batch instead of requests


def read_fault(given: dict[str, Any]) -> Fault:
    """A fault from its JSON form. Raises ValueError."""
    unknown = set(given) - set(Fault.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    given = {**given, "kind": str(given.get("kind", ""))}
    if "probability" in given:
        given = {"times": -1, **given}
    fault = Fault(**given)
    kinds = CONNECTION_KINDS + BODY_KINDS + PART_KINDS
    if fault.kind not in kinds and not re.fullmatch(r"[45]\d\d", fault.kind):
        raise ValueError(f"{fault.kind!r} is no fault: expected a status, {', '.join(kinds)}")
    if fault.inside_batch and fault.kind in CONNECTION_KINDS:
        raise ValueError(f"{fault.kind} cannot strike inside a batch")
    re.compile(fault.path)
    return fault


class Faults:
    """The standing orders; the first that matches a request strikes it."""

    def __init__(self, seed: int, web_ids: Callable[[str], set[str]] = lambda _: set()) -> None:
        self._web_ids = web_ids  # of a point by its name
        self.orders: list[Fault] = []
        self.struck = 0
        self._draw = random.Random(seed)  # noqa: S311 (repeatable tests, nothing secret)

    def pick(self, target: str, inside_batch: bool = False) -> Fault | None:
        """The fault for a request to this path and query, or None."""
        for fault in self.orders:
            if not fault.times or fault.inside_batch != inside_batch or not re.search(fault.path, target):
                continue
            if fault.point and not any(web_id in target for web_id in self._web_ids(fault.point)):
                continue
            if fault.over and _stream_hours(target) <= fault.over:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.probability < 1.0 and self._draw.random() >= fault.probability:
                continue
            fault.times -= 1 if fault.times > 0 else 0
            self.struck += 1
            return fault
        return None

    def spoilt(self, fault: Fault, answer: Answer) -> Answer:
        """A good answer made bad by one of BODY_KINDS or PART_KINDS."""
        if fault.kind not in PART_KINDS:
            return _spoilt(fault, answer)
        document = json.loads(answer.body)
        if answer.status != 200 or not isinstance(document.get("Items"), list):
            return answer
        mine = self._web_ids(fault.point)
        if any("WebId" in item for item in document["Items"]):
            streams = document["Items"]
            document["Items"] = [
                each
                for stream in streams
                for each in (_streams(fault.kind, stream) if not mine or stream["WebId"] in mine else [stream])
            ]
        else:
            [document] = _streams(fault.kind, document) or [document]
        return Answer(200, encoded(document), answer.headers)


def _stream_hours(target: str) -> float:
    """Streams × hours that a request is about; 0 where it is about no time."""
    found = _SPAN.search(target)
    if not found:
        return 0.0
    return max(1, target.count("webId=")) * (parse_iso(found[2]) - parse_iso(found[1])) / HOUR_NS


def _streams(kind: str, stream: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands in the place of one stream of a set, or of the answer about one."""
    if kind == "stream_errors":
        return [{**stream, "Items": [], "Errors": [_UNDELIVERED]}]
    if kind != "value_errors":
        return [stream, {**stream, "Items": []}] if kind == "twice" and "WebId" in stream else []
    if stream["Items"]:
        last = stream["Items"][-1]
        value = last["Value"] if "Type" in last else last
        value |= {"Value": None, "Good": True, "Errors": [{"FieldName": "Value", "Message": [_UNDELIVERED]}]}
    return [stream]


def _spoilt(fault: Fault, answer: Answer) -> Answer:
    if fault.kind == "web_page":
        page = f"<html><body>{_UNDELIVERED}</body></html>".encode()
        return Answer(200, page, {**answer.headers, "Content-Type": "text/html"})
    if fault.kind == "truncated":
        return Answer(answer.status, answer.body[: len(answer.body) * 2 // 3], answer.headers)
    document = json.loads(answer.body)
    if not isinstance(document, dict):
        return answer
    if isinstance(document.get("Items"), list):
        document["Items"] = document["Items"][: len(document["Items"]) // 2]
    document["WebException"] = {
        "Errors": ["An error occurred while the response was being written."],
        "StatusCode": 500,
    }
    return Answer(answer.status, encoded(document), answer.headers)


def refusal(fault: Fault) -> RefusalError:
    """The error answer of a fault that is a status."""
    status = int(fault.kind)
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return RefusalError(status, fault.text or _TEXTS.get(status, "An error has occurred."), "Message", headers)
