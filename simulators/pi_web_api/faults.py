"""Faults on demand, so that a client can be shown everything that a real server does wrong."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import Any

from simulators.pi_web_api.exchange import Answer, RefusalError, encoded

CONNECTION_KINDS = ("slow", "reset", "cut")
BODY_KINDS = ("truncated", "web_exception")
_TEXTS = {
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
    `web_exception` (a 200 whose items end half-way, with WebException). Skips the first `after` matching requests,
    then strikes `times` of them (-1: all), each with `probability`.
    """

    kind: str
    times: int = 1
    probability: float = 1.0
    path: str = ""  # a regular expression searched for in path and query
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
    if fault.kind not in CONNECTION_KINDS + BODY_KINDS and not re.fullmatch(r"[45]\d\d", fault.kind):
        raise ValueError(f"{fault.kind!r} is no fault: expected a status, {', '.join(CONNECTION_KINDS + BODY_KINDS)}")
    if fault.inside_batch and fault.kind in CONNECTION_KINDS:
        raise ValueError(f"{fault.kind} cannot strike inside a batch")
    re.compile(fault.path)
    return fault


class Faults:
    """The standing orders; the first that matches a request strikes it."""

    def __init__(self, seed: int) -> None:
        self.orders: list[Fault] = []
        self.struck = 0
        self._draw = random.Random(seed)  # noqa: S311 (repeatable tests, nothing secret)

    def pick(self, target: str, inside_batch: bool = False) -> Fault | None:
        """The fault for a request to this path and query, or None."""
        for fault in self.orders:
            if not fault.times or fault.inside_batch != inside_batch or not re.search(fault.path, target):
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


def refusal(fault: Fault) -> RefusalError:
    """The error answer of a fault that is a status."""
    status = int(fault.kind)
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return RefusalError(status, _TEXTS.get(status, "An error has occurred."), "Message", headers)


def spoilt(fault: Fault, answer: Answer) -> Answer:
    """A good answer made bad by one of BODY_KINDS."""
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
