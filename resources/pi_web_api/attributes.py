"""All attributes of points, and the states of digital sets, in batches.

points/{webId}/attributes gives Items of Name and Value; dataservers/{webId}/enumerationsets the sets, and
enumerationsets/{webId}/enumerationvalues the states of one (docs.aveva.com, PI Web API Reference). Values stay in the
JSON that the server wrote: a hundred thousand points have millions of them, and none is made a Python object.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import ATTRIBUTE_SCHEMA, AttributePage
from resources.pi_web_api.catalogue import find_server
from resources.pi_web_api.pace import Pace
from resources.pi_web_api.refusals import Refused, TooMuch, Trouble
from resources.pi_web_api.streams import Ask, Question, Streams
from resources.pi_web_api.wire import Named, NamedValues, named_sets, reader

_ATTRIBUTES = Question("attributes", ("Name", "Value"), reader(NamedValues), reader(NamedValues), root="points")
_STATES = Question("enumerationvalues", ("Name", "Value"), reader(NamedValues), reader(NamedValues), "enumerationsets")
_SETS = Question("enumerationsets", ("Name", "WebId"), reader(NamedValues), reader(NamedValues), root="dataservers")
_ANSWER_BYTES = 64 << 20

_Answer = NamedValues | Refused | TooMuch | Trouble


class Attributes:
    """Asks one server. Safe for many tasks at once."""

    def __init__(self, streams: Streams, pace: Pace, data_server: str) -> None:
        self._streams, self._pace, self._data_server = streams, pace, data_server

    async def of(self, points: Sequence[Point]) -> AsyncGenerator[AttributePage, None]:
        """See ports.Attributed. Raises Retry, Stop."""
        waiting, width = deque(point for point in points if point.address), self._pace.bounds.batch
        told = False
        while waiting:
            some = [waiting.popleft() for _ in range(min(width, len(waiting)))]
            answers = await self._each(_ATTRIBUTES, [point.address for point in some])
            if isinstance(answers, TooMuch) and len(some) > 1:
                waiting.extendleft(reversed(some))
                width = max(1, len(some) // 2)
                continue
            found = [answers] if isinstance(answers, TooMuch) else answers
            bodies = {p.id: _attributes(each) for p, each in zip(some, found, strict=True) if _is_told(each)}
            unread = {p.id: _why(each) for p, each in zip(some, found, strict=True) if not _is_told(each)}
            if not told and not bodies and all(isinstance(each, Refused) for each in found):
                yield AttributePage(unread=unread, refusal=f"the server refuses points/…/attributes ({found[0]})")
                return
            told = True
            yield AttributePage(_page(bodies), unread)

    async def sets(self) -> AttributePage:
        """See ports.Attributed. Raises Retry, Stop."""
        server = await find_server(self._streams.transport, self._data_server)
        answers = await self._each(_SETS, [server.web_id])
        listed = answers if isinstance(answers, TooMuch) else answers[0]
        if not isinstance(listed, NamedValues):
            return AttributePage(refusal=f"the server refuses dataservers/…/enumerationsets ({_why(listed)})")
        web_ids = named_sets(listed)
        bodies: dict[str, str] = {}
        unread: dict[str, str] = {}
        batch = self._pace.bounds.batch
        for low in range(0, len(web_ids), batch):
            some = list(web_ids.items())[low : low + batch]
            found = await self._each(_STATES, [web_id for _, web_id in some])
            each = [found] * len(some) if isinstance(found, TooMuch) else found
            bodies |= {name: _states(one) for (name, _), one in zip(some, each, strict=True) if _is_told(one)}
            unread |= {name: _why(one) for (name, _), one in zip(some, each, strict=True) if not _is_told(one)}
        return AttributePage(_page(bodies), unread)

    async def _each(self, question: Question[NamedValues], web_ids: Sequence[str]) -> TooMuch | list[_Answer]:
        """Answers in the order of the WebIds; what failed on its way in a batch is asked for once more, alone."""
        try:
            answers = list(await self._streams.each(question, [Ask(web_id, ()) for web_id in web_ids], _ANSWER_BYTES))
        except TooMuch as error:
            return error
        for place, answer in enumerate(answers):
            if isinstance(answer, Trouble) and len(answers) > 1:
                [answers[place]] = await self._streams.each(question, [Ask(web_ids[place], ())], _ANSWER_BYTES)
        return answers


def _is_told(answer: _Answer) -> bool:
    return isinstance(answer, NamedValues) and isinstance(answer.items, list)


def _why(answer: _Answer) -> str:
    return str(answer) if isinstance(answer, Exception) else "the source answered without Items"


def _items(answer: _Answer) -> list[Named]:
    assert isinstance(answer, NamedValues) and isinstance(answer.items, list)
    return answer.items


def _attributes(answer: _Answer) -> str:
    """The attributes as one JSON object. Their values stay as they were written."""
    return _object((item.name, bytes(item.value).decode("utf-8", "replace")) for item in _items(answer))


def _states(answer: _Answer) -> str:
    """The states by number."""
    values = ((bytes(item.value).decode("utf-8", "replace"), item.name) for item in _items(answer))
    return _object((number, json.dumps(name, ensure_ascii=False)) for number, name in values)


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    given = {name: value for name, value in pairs if name}
    text = ",".join(f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in sorted(given.items()))
    body = f"{{{text}}}"
    if "\\u" not in body:
        return body
    # An escape may be of what PostgreSQL cannot hold: NUL, half a surrogate pair.
    return json.dumps(_legible(json.loads(body)), ensure_ascii=False, separators=(",", ":"))


def _legible(value: Any) -> Any:
    if isinstance(value, dict):
        return {_legible(key): _legible(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_legible(each) for each in value]
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _page(bodies: dict[str, str]) -> pa.Table:
    return pa.table([pa.array(bodies, pa.string()), pa.array(bodies.values(), pa.string())], schema=ATTRIBUTE_SCHEMA)
