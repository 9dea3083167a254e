"""One question to the server and its answer, whether it came alone over HTTP or inside a batch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from simulators.pi_web_api import selection

Form = Literal["Errors", "Message", "text"]
"""The three shapes of an error body that real servers give (facts 1.7)."""


class RefusalError(Exception):
    """An answer that is an error; `form` is the shape of its body."""

    def __init__(self, status: int, text: str, form: Form = "Errors", headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.form, self.headers = status, text, form, headers or {}

    def answer(self) -> Answer:
        """The error as an answer."""
        bodies: dict[Form, Any] = {
            "Errors": {"Errors": [self.text]},
            "Message": {"Message": self.text},
            "text": self.text,
        }
        return Answer(self.status, encoded(bodies[self.form]), self.headers)


@dataclass(frozen=True, slots=True)
class Question:
    """A request: `path` is decoded and begins after the base (`/streams/…`); parameter names are in lower case."""

    method: str
    path: str
    parameters: dict[str, list[str]]
    base: str  # http://host:port/piwebapi, for links
    body: bytes = b""

    def text(self, name: str, default: str = "") -> str:
        """A parameter's first text."""
        return self.parameters.get(name.lower(), [default])[0] or default

    def texts(self, name: str) -> list[str]:
        """All texts of a parameter that may be repeated."""
        return self.parameters.get(name.lower(), [])

    def number(self, name: str, default: int) -> int:
        """A whole number from 0. Raises RefusalError."""
        text = self.text(name, str(default))
        if not text.isdecimal():
            raise RefusalError(400, f"The value '{text}' is not valid for parameter '{name}'.")
        return int(text)

    def fields(self) -> selection.Tree:
        """The selected fields."""
        return selection.read(self.text("selectedFields"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the bytes of a JSON body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def parameters_of(query: str) -> dict[str, list[str]]:
    """A query string as parameters; `+` is a space, as in every form-decoded URL."""
    found: dict[str, list[str]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name.lower(), []).append(text)
    return found


def encoded(document: Any) -> bytes:
    """Compact JSON, UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def listed(question: Question, document: dict[str, Any], status: int = 200) -> Answer:
    """A document, cut to the selected fields."""
    return Answer(status, encoded(selection.pruned(document, question.fields())))
