"""One question to many streams, in whichever form the server takes it: a stream set, a batch, or one at a time.

A stream set is one GET with many WebIds and one time span; its answer comes in any order, so streams are told apart
by WebId. A batch (POST, 207) holds independent GETs, each with its own span and its own status. Where a set refuses,
`each` finds out which stream is to blame.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from pipelines.ports import Stop
from resources.pi_web_api.refusals import Denied, Refused, TooMuch, Trouble, refusal, seconds_of
from resources.pi_web_api.transport import BODY_BYTES, Transport
from resources.pi_web_api.wire import (
    RECORDED_FIELDS,
    Broken,
    NamedValues,
    Noted,
    NotedSet,
    Stream,
    StreamSet,
    SubResponse,
    Summary,
    SummarySet,
    complaint,
    complaint_in,
    fault_of,
    read_batch,
    reader,
    set_reader,
)

Query = Sequence[tuple[str, str]]
T = TypeVar("T", Stream, Summary, Noted, NamedValues)
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked of a stream (or of what else `root` has), and how its answer is read, alone and in a set.

    WebException is asked for, though nobody documents that it survives selectedFields: without it, the count is what
    shows a page that the server cut short.
    """

    action: str
    fields: tuple[str, ...]  # below Items of one stream
    read_one: Callable[[bytes], T]
    read_set: Callable[[bytes], Any]
    root: str = "streams"

    def of_one(self, query: Query, slim: bool = True) -> str:
        """The query text for one stream."""
        fields = [f"Items.{field}" for field in self.fields] + ["WebException", "Errors"]
        return _query([*query, ("selectedFields", ";".join(fields))] if slim else query)

    def of_set(self, query: Query) -> str:
        """The query text for a set; `&webId=` of each stream follows it."""
        fields = ["Items.WebId", *(f"Items.Items.{field}" for field in self.fields)]
        fields += ["Items.WebException", "Items.Errors", "WebException", "Errors"]
        return _query([*query, ("selectedFields", ";".join(fields))])


RECORDED = Question("recorded", RECORDED_FIELDS, reader(Stream), set_reader(StreamSet, Stream))
SUMMARY = Question(
    "summary", ("Type", "Value", "Errors", "WebException"), reader(Summary), set_reader(SummarySet, Summary)
)
NOTED = Question("recorded", ("Timestamp", "Annotations"), reader(Noted), set_reader(NotedSet, Noted))
"""To be asked with associations=Annotations, which streams/…/recorded takes."""
_DOUBT_S = 900.0
"""So long a stream of which a set answered oddly is asked for alone."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One stream's own question: its WebId and its query. Not `slim`: without selectedFields."""

    web_id: str
    query: Query
    slim: bool = True


class Streams:
    """The forms of asking, and what this server was found to take."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.batches = True
        self._sets = True
        self._sets_proved = False
        self._refusals = 0
        self._doubted: dict[str, float] = {}  # until when

    @property
    def sets(self) -> bool:
        """Whether stream sets are worth asking for."""
        return self._sets

    def set_refused(self, error: Refused) -> None:
        """A whole set was refused: because of one of its streams, or because the server takes none."""
        self._refusals += not isinstance(error, Denied)
        if not self._sets_proved and (error.status in (405, 501) or self._refusals >= 3):
            self._sets = False

    def doubt(self, web_ids: Iterable[str]) -> None:
        """A set did not answer for these as it should: events and counts of them come from another question."""
        until = time.monotonic() + _DOUBT_S
        self._doubted.update(dict.fromkeys(web_ids, until))

    def doubted(self, web_id: str) -> bool:
        """Whether this stream is to be asked for alone."""
        if web_id in self._doubted and self._doubted[web_id] < time.monotonic():
            del self._doubted[web_id]
        return web_id in self._doubted

    async def together(
        self, question: Question[T], web_ids: Sequence[str], query: Query, most_bytes: int = BODY_BYTES
    ) -> dict[str, T]:
        """Answers by the WebId that was asked for, of streams that are there once, whole and without an error; the
        others are in doubt from now on.

        Raises Refused, TooMuch, Trouble, Unreachable, Stop.
        """
        wanted = {identity(web_id): web_id for web_id in web_ids}
        path = f"streamsets/{question.action}?{question.of_set(query)}{''.join(f'&webId={quote(w)}' for w in web_ids)}"

        def read(body: bytes) -> dict[str, T]:
            answer = question.read_set(body)
            if fault := fault_of(answer):
                raise Broken(fault)
            if not isinstance(answer.items, list):
                raise Broken("a stream set without Items")
            streams = [(wanted.get(identity(each.web_id)), each) for each in answer.items]
            times = Counter(web_id for web_id, _ in streams)
            return {
                web_id: each
                for web_id, each in streams
                if web_id is not None and times[web_id] == 1 and isinstance(each.items, list) and not fault_of(each)
            }

        found = await self.transport.get(path, read, most_bytes)
        self._sets_proved = self._sets_proved or bool(found)
        self.doubt(web_id for web_id in web_ids if web_id not in found)
        return found

    async def each(
        self, question: Question[T], asks: Sequence[Ask], most_bytes: int = BODY_BYTES
    ) -> list[T | Refused | TooMuch | Trouble]:
        """An answer or an error for every ask, in their order. Raises Unreachable, Stop, and for a whole batch TooMuch,
        Trouble."""
        if len(asks) > 1 and self.batches:
            try:
                return await self._batch(question, asks, most_bytes)
            except Refused:  # whatever it says: one at a time it is known what it is about
                self.batches = False
        return await asyncio.gather(*(self._one(question, ask, most_bytes) for ask in asks))

    def set_bytes(self, question: Question[T], query: Query) -> int:
        """Length of a set's URL before its WebIds."""
        return len(self.transport.url) + len(question.action) + len(question.of_set(query)) + 16

    async def _one(self, question: Question[T], ask: Ask, most_bytes: int) -> T | Refused | TooMuch | Trouble:
        try:
            return _sound(await self.transport.get(self._path(question, ask), question.read_one, most_bytes))
        except (Refused, TooMuch, Trouble) as error:
            return error

    async def _batch(
        self, question: Question[T], asks: Sequence[Ask], most_bytes: int
    ) -> list[T | Refused | TooMuch | Trouble]:
        body = {
            str(place): {"Method": "GET", "Resource": f"{self.transport.url}/{self._path(question, ask)}"}
            for place, ask in enumerate(asks)
        }

        def read(answer: bytes) -> list[T | Refused | TooMuch | Trouble]:
            parts = read_batch(answer)
            if not parts.keys() & body.keys():
                raise Broken(f"a batch without any of its answers: {complaint_in(answer)}")
            return [_part(question, parts.get(str(place))) for place in range(len(asks))]

        found = await self.transport.post("batch", body, read, most_bytes)
        for each in found:
            if isinstance(each, Denied) and each.status == 401:
                raise Stop(f"source {self.transport.source}: a part of a batch was refused ({each})")
        return found

    def _path(self, question: Question[T], ask: Ask) -> str:
        return f"{question.root}/{quote(ask.web_id)}/{question.action}?{question.of_one(ask.query, ask.slim)}"


def _part(question: Question[T], part: SubResponse | None) -> T | Refused | TooMuch | Trouble:
    """One answer of a batch."""
    if part is None:
        return Trouble("left out of the answer to a batch", 200)
    content = bytes(part.content)
    try:
        if part.status in range(400, 600):
            after = (part.headers or {}).get("Retry-After")
            return refusal(part.status, complaint(msgspec.json.decode(content)), seconds_of(str(after or "")))
        if part.status not in (200, 207):
            return Trouble(f"an answer in a batch has the status {part.status}", 200)
        if content.startswith(b'"'):  # some servers give a content as text
            content = msgspec.json.decode(content, type=str).encode()
        return _sound(question.read_one(content))
    except (Broken, msgspec.DecodeError) as error:
        return Trouble(f"a broken answer in a batch: {error}", 200)


def _sound(answer: T) -> T | Refused | TooMuch | Trouble:
    """The answer, if it does not itself say that it is none."""
    fault = fault_of(answer)
    return refusal(200, fault) if fault else answer


def packed(items: Sequence[U], size_bytes: Callable[[U], int], room_bytes: int) -> list[list[U]]:
    """The items in order, as many together as there is room for, at least one."""
    parts: list[list[U]] = []
    left = 0
    for item in items:
        size = size_bytes(item)
        if left < size:
            parts.append([])
            left = room_bytes
        parts[-1].append(item)
        left -= size
    return parts


def identity(web_id: str) -> str:
    """What a WebId names, whichever form it has: a server may answer in another form than it was asked in.

    Full and IDOnly WebIds 2.0 of points hold the server's GUID (22 characters) and the point's id (6) after
    their marker (facts/historians.md 1.3); any other WebId stands for itself.
    """
    if web_id[:4] in ("F1DP", "I1DP") and len(web_id) >= 32:
        return web_id[4:32]
    return web_id


def _query(pairs: Query) -> str:
    return urlencode(pairs, quote_via=quote, safe="*:")
