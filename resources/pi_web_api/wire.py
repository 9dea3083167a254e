"""The JSON of PI Web API: what its answers look like, and how their bodies are read.

Shapes: facts/historians.md 1.4 to 1.7. Errors come in three: `{"Errors": [...]}`, `{"Message": "..."}`, a plain
string. Since 2017 R2 a 200 may carry a `WebException` at any level: it is broken, however whole it looks.
An answer with an error in any part of it is never a complete answer, and a part that is missing is never an empty one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

RECORDED_FIELDS = ("Timestamp", "Good", "Questionable", "Substituted", "Annotated", "Value", "Errors", "WebException")
T = TypeVar("T")
_SHOWN_DIGITS = 1_000
"""Of a number that is too great: Python makes no text of ten times as many."""
_UNREAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The last where a value is nested some thousand deep."""


class Event(Struct, rename="pascal", gc=False):
    """One TimedValue. Left untracked by the garbage collector: a page holds 100,000 and none is in a cycle.

    In the order in which servers write the fields: msgspec then finds each at once.
    """

    timestamp: str | None = None
    good: bool | None = True
    questionable: bool | None = False
    substituted: bool | None = False
    annotated: Any = False  # no part of the value: whatever stands there spoils no event
    value: Any = UNSET
    errors: Any = None
    web_exception: Any = None


class Answer(Struct, rename="pascal", gc=False):
    """Any object of an answer that may carry an error, in one of the forms that servers have for it."""

    web_exception: Any = None
    errors: Any = None
    exception: Any = None
    message: Any = None


class Stream(Answer, rename="pascal", gc=False):
    """Recorded events of one stream: a whole answer of streams/…/recorded, or one item of a stream set."""

    web_id: str = ""
    items: list[Event] | UnsetType | None = UNSET


class StreamSet(Answer, rename="pascal", gc=False):
    """The answer of streamsets/recorded."""

    items: list[Stream] | UnsetType | None = UNSET


class NotedEvent(Struct, rename="pascal", gc=False):
    """One recorded event with the annotations that people wrote to it; UNSET where the server does not speak of any."""

    timestamp: str | None = None
    annotations: Any = UNSET


class Noted(Answer, rename="pascal", gc=False):
    """The answer of streams/…/recorded with associations=Annotations."""

    web_id: str = ""
    items: list[NotedEvent] | UnsetType | None = UNSET


class NotedSet(Answer, rename="pascal", gc=False):
    """The same of streamsets/recorded."""

    items: list[Noted] | UnsetType | None = UNSET


class Named(Struct, rename="pascal", gc=False):
    """A named thing: an attribute of a point, a state, a digital set. The value stays as it was written."""

    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    web_id: str = ""


class NamedValues(Answer, rename="pascal", gc=False):
    """The answer of points/…/attributes, …/enumerationsets and …/enumerationvalues."""

    web_id: str = ""
    items: list[Named] | UnsetType | None = UNSET


class SummaryValue(Answer, rename="pascal"):
    """The value of one summary: a number, or a state where there is nothing to sum up."""

    value: Any = None
    good: bool | None = True


class SummaryItem(Answer, rename="pascal"):
    """One summary of one stream."""

    type: str = ""
    value: SummaryValue | None = None


class Summary(Answer, rename="pascal"):
    """Summaries of one stream."""

    web_id: str = ""
    items: list[SummaryItem] | UnsetType | None = UNSET


class SummarySet(Answer, rename="pascal"):
    """The answer of streamsets/summary."""

    items: list[Summary] | UnsetType | None = UNSET


class SubResponse(Struct, rename="pascal"):
    """One answer inside a batch."""

    status: int = 0
    headers: dict[str, Any] | None = None
    content: msgspec.Raw = msgspec.Raw(b"null")


class Broken(Exception):
    """A body that says 200 and cannot be trusted: cut short, not JSON, or with an exception inside.

    `lasting` where asking once more brings the same: JSON that is nested too deep was not broken on its way.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


def reader(kind: type[T]) -> Callable[[bytes], T]:
    """A function that reads a body into `kind` and raises Broken.

    Bare NaN and Infinity tokens are no JSON, but servers have written them (facts 1.5): the standard library reads
    those, at a tenth of the speed.
    """
    fast = msgspec.json.Decoder(kind)

    def read(body: bytes) -> T:
        try:
            return fast.decode(body)
        except _UNREAD as first:
            try:
                return msgspec.convert(_document(body), kind)
            except (ValueError, msgspec.ValidationError, RecursionError) as second:
                lasting = isinstance(second, RecursionError)
                raise Broken(f"unreadable JSON of {len(body)} bytes: {first}", lasting=lasting) from None

    return read


def _document(body: bytes) -> Any:
    """Like json.loads, with a number that no double holds as a whole number, which is refused where its point is known:
    Python would make infinity of it. Raises ValueError, RecursionError."""
    return json.loads(body, parse_float=_number)


def _number(text: str) -> float | int:
    value = float(text)
    if math.isfinite(value):
        return value
    exact = Decimal(text)
    return int(exact) if exact.adjusted() < _SHOWN_DIGITS else 10**_SHOWN_DIGITS


def set_reader(kind: type[T], stream: type[Answer]) -> Callable[[bytes], T]:
    """A reader of stream sets that leaves out the streams which are none, so that one spoils no other."""
    whole = reader(kind)

    def read(body: bytes) -> T:
        try:
            return whole(body)
        except Broken as broken:
            try:
                document = _document(body)
                document["Items"] = [item for item in document["Items"] if _fits(item, stream)]
            except (ValueError, LookupError, TypeError, RecursionError):
                raise broken from None
            return whole(json.dumps(document).encode())

    return read


def named_sets(answer: NamedValues) -> dict[str, str]:
    """WebIds of what an answer lists, by name."""
    return {each.name: each.web_id for each in answer.items or () if each.web_id}


_read_parts = msgspec.json.Decoder(dict[str, SubResponse])


def read_batch(body: bytes) -> dict[str, SubResponse]:
    """The answers of a batch by the ids that were given; their contents stay as they came. What is no answer is left
    out. Raises Broken."""
    try:
        return _read_parts.decode(body)
    except _UNREAD as first:
        lasting = False
        try:  # bare tokens, or something odd: one part after another, so that no other suffers from it
            parts = {name: _sub_response(part) for name, part in _document(body).items()}
        except (ValueError, AttributeError, RecursionError) as second:
            parts, lasting = {}, isinstance(second, RecursionError)
        found = {name: part for name, part in parts.items() if part is not None}
        if not found:
            raise Broken(f"unreadable batch of {len(body)} bytes: {first}", lasting=lasting) from None
        return found


def _sub_response(part: Any) -> SubResponse | None:
    if not isinstance(part, dict) or not isinstance(part.get("Status"), int):
        return None
    headers = part.get("Headers")
    content = msgspec.Raw(json.dumps(part.get("Content")))
    return SubResponse(part["Status"], headers if isinstance(headers, dict) else None, content)


def _fits(item: Any, kind: type[Answer]) -> bool:
    try:
        msgspec.convert(item, kind)
    except msgspec.ValidationError:
        return False
    return True


def fault_of(answer: Answer) -> str:
    """The text of whatever says in a 200 that it is none, '' where nothing does."""
    if answer.web_exception:
        return "WebException: " + (complaint(answer.web_exception) or "without a text")
    for each in (answer.errors, answer.exception, answer.message):
        if each:
            return complaint(each) or "an error without a text"
    return ""


def complaint(body: Any) -> str:
    """The text for a person in an error body that was read: three shapes, and lists of them."""
    if isinstance(body, str):
        return body.strip()
    if isinstance(body, list):
        return "; ".join(text for each in body if (text := complaint(each)))
    if isinstance(body, dict):
        found = (complaint(body.get(key)) for key in ("Errors", "Message", "ExceptionMessage"))
        return next((text for text in found if text), "")
    return ""


def complaint_in(body: bytes) -> str:
    """The same for a body as it came; what is no JSON is shown as text, one line, cut."""
    try:
        text = complaint(json.loads(body))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    return " ".join(text.split())[:300]
