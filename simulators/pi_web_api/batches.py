"""POST /batch: several requests in one, that may depend on each other.

Source: facts/historians.md 1.7. Always 207; a dependant of a failed parent is 409; a JSONPath that selects nothing
is 400; a RequestTemplate makes one request for each token that its path selects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from simulators.pi_web_api.exchange import Answer, Question, RefusalError, encoded, parameters_of

BASE_PATH = "/piwebapi"
Ask = Callable[[Question], Answer]
_NO_TOKENS = "Some JSON paths did not select any tokens."
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\*|\d+|'[^']*')\]")


def answered(question: Question, ask: Ask) -> Answer:
    """Runs the batch; `ask` answers each single request."""
    try:
        asked = json.loads(question.body)
    except ValueError:
        return RefusalError(400, "The batch request body is not valid JSON.").answer()
    if not isinstance(asked, dict) or not all(isinstance(item, dict) for item in asked.values()):
        return RefusalError(400, "The batch request body must be an object of requests.").answer()
    try:
        order = _ordered(asked)
    except RefusalError as refusal:
        return refusal.answer()
    run = _Run(question, ask)
    for name in order:
        run.one(name, asked[name])
    parts = [encoded(name) + b":" + run.texts[name] for name in asked]
    return Answer(207, b"{" + b",".join(parts) + b"}")


class _Run:
    """One batch under way: the bytes of each answer, and its document where a later request looks into it."""

    def __init__(self, question: Question, ask: Ask) -> None:
        self.question, self.ask = question, ask
        self.texts: dict[str, bytes] = {}
        self._statuses: dict[str, int] = {}
        self._documents: dict[str, Any] = {}

    def one(self, name: str, item: dict[str, Any]) -> None:
        """Answers one request of the batch."""
        try:
            answer = self._answer(item)
        except RefusalError as refusal:
            answer = refusal.answer()
        self._statuses[name] = answer.status
        head = f'{{"Status":{answer.status},"Headers":'.encode() + encoded(
            {"Content-Type": "application/json; charset=utf-8", **answer.headers}
        )
        self.texts[name] = head + b',"Content":' + (answer.body or b'""') + b"}"

    def _answer(self, item: dict[str, Any]) -> Answer:
        parents = item.get("ParentIds") or []
        failed = [name for name in parents if not 200 <= self._statuses[name] < 300]
        if failed:
            text = f"The request depends on request '{failed[0]}', which failed."
            raise RefusalError(409, text, "text")
        columns = [self._tokens(path) for path in item.get("Parameters") or []]
        template = item.get("RequestTemplate")
        if template is None:
            tokens = [column[0] for column in columns]
            return self._single(item, self._filled(str(item.get("Resource", "")), tokens))
        resource = str((template or {}).get("Resource", ""))
        length = max((len(column) for column in columns), default=1)
        answers = []
        for turn in range(length):
            tokens = [column[turn if len(column) > 1 else 0] for column in columns]
            try:
                answers.append(self._single(item, self._filled(resource, tokens)))
            except RefusalError as refusal:
                answers.append(refusal.answer())
        wrapped = [
            f'{{"Status":{answer.status},"Headers":{{}},"Content":'.encode() + (answer.body or b'""') + b"}"
            for answer in answers
        ]
        return Answer(207, b'{"Total":%d,"Items":[' % len(wrapped) + b",".join(wrapped) + b"]}")

    def _filled(self, resource: str, tokens: list[Any]) -> str:
        """The URL: a JSONPath is looked up, {0} and so on are filled in."""
        if resource.startswith("$"):
            return str(self._tokens(resource)[0])
        return re.sub(r"\{(\d+)\}", lambda match: _nth(tokens, int(match.group(1))), resource)

    def _single(self, item: dict[str, Any], resource: str) -> Answer:
        content = item.get("Content")
        if content is not None and not isinstance(content, str):
            raise RefusalError(400, "Content must be a string.", "Message")
        url = urlsplit(resource)  # host and port of a sub-request are ignored (facts 1.7)
        path = unquote(url.path)
        if not path.lower().startswith(BASE_PATH):
            raise RefusalError(400, f"The resource '{resource}' is not of this server.", "Message")
        method = str(item.get("Method", "GET")).upper()
        path = path[len(BASE_PATH) :].rstrip("/")
        if path.lower() == "/batch":
            raise RefusalError(400, "A batch may not hold a batch.", "Message")
        body = (content or "").encode()
        return self.ask(Question(method, path, parameters_of(url.query), self.question.base, body))

    def _tokens(self, path: str) -> list[Any]:
        """What a JSONPath such as `$.a.Content.Items[*].WebId` selects. Raises RefusalError for nothing."""
        name = path.removeprefix("$.").partition(".")[0].partition("[")[0]
        if not path.startswith("$.") or name not in self.texts:
            raise RefusalError(400, _NO_TOKENS, "text")
        if name not in self._documents:
            self._documents[name] = json.loads(self.texts[name])
        found = [self._documents[name]]
        rest = path[2 + len(name) :]
        place = 0
        while place < len(rest):
            match = _STEP.match(rest, place)
            if not match:
                raise RefusalError(400, f"The JSON path '{path}' is not valid.", "Message")
            found = [token for node in found for token in _step(node, match.group(1), match.group(2))]
            place = match.end()
        if not found:
            raise RefusalError(400, _NO_TOKENS, "text")
        return found


def _step(node: Any, name: str | None, index: str | None) -> list[Any]:
    key = name if name is not None else (index or "").strip("'")
    if isinstance(node, dict) and (name is not None or (index or "").startswith("'")):
        return [node[key]] if key in node else []
    if isinstance(node, list) and index == "*":
        return list(node)
    if isinstance(node, list) and key.isdigit() and int(key) < len(node):
        return [node[int(key)]]
    return []


def _nth(tokens: list[Any], place: int) -> str:
    if place >= len(tokens):
        raise RefusalError(400, f"There is no parameter {{{place}}}.", "Message")
    return str(tokens[place])


def _ordered(asked: dict[str, dict[str, Any]]) -> list[str]:
    """Names with every parent before its dependants. Raises RefusalError for a stranger or a circle."""
    order: list[str] = []
    waiting = list(asked)
    while waiting:
        ready = [name for name in waiting if all(parent in order for parent in asked[name].get("ParentIds") or [])]
        if not ready:
            raise RefusalError(400, f"The parents of request '{waiting[0]}' are missing or circular.")
        order += ready
        waiting = [name for name in waiting if name not in ready]
    return order
