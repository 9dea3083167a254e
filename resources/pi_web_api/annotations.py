"""Annotations of flagged events: asked for with the events around them, in batches.

PI tells them with streams/…/recorded and associations=Annotations, as objects of Id, Name, Description, Value,
Creator, CreationDate, Modifier and ModifyDate (docs.aveva.com, PI Web API Reference: Stream GetRecorded, Associations,
EventFrame GetAnnotations). What is landed says how many events lie between two flagged ones, so the size of an answer
is known before.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from pipelines.points import Point
from pipelines.ports import ANNOTATION_SCHEMA, AnnotationState
from pipelines.samples import number_ties, times_ns
from pipelines.samples.events import codes_of
from pipelines.timeline import parse
from resources.pi_web_api.cursors import pi_time, recorded_query
from resources.pi_web_api.decoding import TIME_TYPE
from resources.pi_web_api.pace import Pace
from resources.pi_web_api.refusals import Denied, Refused, TooMuch, Trouble
from resources.pi_web_api.streams import NOTED, RECORDED, Ask, Streams
from resources.pi_web_api.wire import Noted, NotedEvent, Stream, complaint

_log = logging.getLogger(__name__)
_ASSOCIATED = ("associations", "Annotations")
_NEAR_EVENTS = 500
"""So many events at most are read again to have the annotations of several of them in one answer."""
_SPARE_EVENTS = 100  # that may have come to a span since it was landed
_ANSWER_BYTES = 64 << 20
_SURE = 20
"""After so many flagged events without a word of annotations, and none with one, the server is not asked any more."""

_Mark = tuple[int, int]
"""Time (ns) and tie of a flagged event."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Flagged events of one point that are asked for together, and how many events lie from the first to the last."""

    point: Point
    marks: tuple[_Mark, ...]
    events: int

    def ask(self, most: int) -> Ask:
        """The question; `most` is the greatest maxCount that the server takes."""
        return Ask(self.point.address, (*self._query(self.count(most)), _ASSOCIATED))

    def bare(self) -> Ask:
        """The question without annotations, for one event."""
        return Ask(self.point.address, self._query(1))

    def count(self, most: int) -> int:
        return min(self.events + _SPARE_EVENTS, most)

    def stamps(self) -> list[_Stretch]:
        """A stretch for every stamp."""
        found: dict[int, list[_Mark]] = {}
        for mark in self.marks:
            found.setdefault(mark[0], []).append(mark)
        return [_Stretch(self.point, tuple(marks), self.events) for marks in found.values()]

    def _query(self, count: int) -> tuple[tuple[str, str], ...]:
        return recorded_query(pi_time(self.marks[0][0]), pi_time(self.marks[-1][0]), count)


class Annotations:
    """Asks one server for annotations, and remembers whether it offers any. Safe for many tasks at once."""

    def __init__(self, streams: Streams, pace: Pace) -> None:
        self._streams, self._pace = streams, pace
        self._told = False  # whether the server ever told one
        self._silent = 0  # flagged events of which it said nothing of the kind
        self._refusal = ""  # why it offers none
        self._said = False

    async def of(self, points: Sequence[Point], events: pa.Table, max_bytes: int) -> pa.Table:
        """See ports.Annotating. Raises Retry, Stop."""
        stretches, strangers = _planned({point.id: point for point in points if point.address}, events)
        found = _Found(max_bytes)
        for point, mark in strangers:
            found.without(point, [mark], "lacking", "the source no longer lists the point")
        waiting, width = deque(stretches), self._pace.bounds.batch
        while waiting:
            if why := self._not_offered():
                for each in waiting:
                    found.without(each.point.id, each.marks, "not_offered", why)
                break
            some = [waiting.popleft() for _ in range(min(width, len(waiting)))]
            try:
                asks = [each.ask(self._pace.most) for each in some]
                answers: Sequence[Noted | Refused | TooMuch | Trouble] = await self._streams.each(
                    NOTED, asks, _ANSWER_BYTES
                )
            except TooMuch as error:
                if len(some) > 1:
                    waiting.extendleft(reversed(some))
                    width = max(1, len(some) // 2)
                    continue
                answers = [error]
            for stretch, answer in zip(some, answers, strict=True):
                waiting.extend(await self._take(found, stretch, answer, alone=len(some) == 1))
        return found.table()

    async def _take(
        self, found: _Found, stretch: _Stretch, answer: Noted | Refused | TooMuch | Trouble, *, alone: bool
    ) -> Iterable[_Stretch]:
        """Takes what was answered; what is to be asked again, for less."""
        if isinstance(answer, Noted):
            return self._take_items(found, stretch, answer)
        stamps = stretch.stamps()
        if isinstance(answer, TooMuch) and len(stamps) > 1:
            return stamps
        if isinstance(answer, Trouble) and not alone:
            [answer] = await self._streams.each(NOTED, [stretch.ask(self._pace.most)], _ANSWER_BYTES)
            return await self._take(found, stretch, answer, alone=True)
        if isinstance(answer, Refused) and not isinstance(answer, Denied) and not self._told:
            [bare] = await self._streams.each(RECORDED, [stretch.bare()], _ANSWER_BYTES)
            if isinstance(bare, Stream):
                self._refusal = f"the server refuses associations=Annotations ({answer})"
                return [stretch]
        found.without(stretch.point.id, stretch.marks, "lacking", f"the source refuses its annotations: {answer}")
        return ()

    def _take_items(self, found: _Found, stretch: _Stretch, answer: Noted) -> Iterable[_Stretch]:
        items = answer.items if isinstance(answer.items, list) else []
        told = _by_mark(items)
        lost = [mark for mark in stretch.marks if mark not in told]
        if lost and len(items) >= stretch.count(self._pace.most) and len(stamps := stretch.stamps()) > 1:
            return stamps
        found.without(stretch.point.id, lost, "lacking", "the source no longer shows the event")
        self._told = self._told or any(item.annotations is not UNSET for item in told.values())
        for mark in stretch.marks:
            if mark not in told:
                continue
            notes = told[mark].annotations
            if notes is UNSET and not self._told:
                self._silent += 1
                found.without(stretch.point.id, [mark], "not_offered", "the server answers without annotations")
            elif isinstance(notes, list) and notes:
                found.take(stretch.point.id, mark, notes)
            else:
                found.without(stretch.point.id, [mark], "lacking", "the source flags the event and tells no annotation")
        return ()

    def _not_offered(self) -> str:
        """Why nothing is worth asking for, '' where it is; said once."""
        if not self._refusal and self._silent >= _SURE and not self._told:
            self._refusal = "the server answers without annotations"
        if self._refusal and not self._said:
            self._said = True
            source = self._streams.transport.source
            _log.warning("source %s offers no annotations, only that events have some: %s", source, self._refusal)
        return self._refusal


class _Found:
    """Rows of ANNOTATION_SCHEMA as they come."""

    def __init__(self, max_bytes: int) -> None:
        self._left, self._max_bytes = max_bytes, max_bytes
        self._rows: list[dict[str, Any]] = []

    def take(self, point: str, mark: _Mark, notes: Sequence[Any]) -> None:
        """The annotations of one event, if there is room for them."""
        rows = [_row(note if isinstance(note, dict) else {"Value": note}) for note in notes]
        size = sum(len(value.encode()) for row in rows for value in row.values() if isinstance(value, str))
        if size > self._left:
            most = f"{self._max_bytes >> 20} MiB"
            self.without(point, [mark], "lacking", f"the annotations of the slice are more than {most} of texts")
            return
        self._left -= size
        self._rows += [{**_of(point, mark, place), **row} for place, row in enumerate(rows)]

    def without(self, point: str, marks: Iterable[_Mark], state: AnnotationState, reason: str) -> None:
        """Events whose annotation is not there, and why."""
        nothing = _row({})
        self._rows += [{**_of(point, mark, 0), **nothing, "state": state, "reason": reason} for mark in marks]

    def table(self) -> pa.Table:
        """All of them, by point and time."""
        order = [(name, "ascending") for name in ("point", "time_ns", "tie", "place")]
        return pa.Table.from_pylist(self._rows, schema=ANNOTATION_SCHEMA).sort_by(order)


def _of(point: str, mark: _Mark, place: int) -> dict[str, Any]:
    return {"point": point, "time_ns": mark[0], "tie": mark[1], "place": place}


def _row(note: dict[str, Any]) -> dict[str, Any]:
    fault = complaint(note["Errors"]) if note.get("Errors") else ""
    return {
        "state": "lacking" if fault else "told", "reason": fault, "text": _text(note.get("Value")),
        "author": _text(note.get("Creator")), "created_ns": _time_ns(note.get("CreationDate")),
        "id": _text(note.get("Id")), "title": _text(note.get("Name")),
        "description": _text(note.get("Description")), "modified_by": _text(note.get("Modifier")),
        "modified_ns": _time_ns(note.get("ModifyDate")),
    }  # fmt: skip


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _time_ns(value: Any) -> int | None:
    try:
        time_ns = parse(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
    return time_ns if time_ns is not None and -(2**63) <= time_ns < 2**63 else None


def _by_mark(items: Sequence[NotedEvent]) -> dict[_Mark, NotedEvent]:
    """The events by time and tie; none where a time is none, as in a pull."""
    try:
        times = pa.array([item.timestamp for item in items], pa.string()).cast(TIME_TYPE).cast(pa.int64())
    except pa.ArrowInvalid:
        return {}
    if times.null_count:
        return {}
    stamps = np.asarray(times)
    ties = number_ties(np.zeros(len(stamps), np.int32), stamps)
    return dict(zip(zip(stamps.tolist(), ties.tolist(), strict=True), items, strict=True))


def _planned(points: dict[str, Point], events: pa.Table) -> tuple[list[_Stretch], list[tuple[str, _Mark]]]:
    """Flagged events of the points in stretches, and those of other points."""
    codes, ids = codes_of(events)
    times, ties = times_ns(events), np.asarray(events["tie"].combine_chunks())
    flags = np.asarray(events["annotated"].combine_chunks().fill_null(False))
    stretches: list[_Stretch] = []
    strangers: list[tuple[str, _Mark]] = []
    for code in np.unique(codes[flags]).tolist():
        low, high = np.flatnonzero(codes == code)[[0, -1]].tolist()
        mine = slice(low, high + 1)
        marks = list(zip(times[mine][flags[mine]].tolist(), ties[mine][flags[mine]].tolist(), strict=True))
        if ids[code] in points:
            stretches += _cut(points[ids[code]], marks, times[mine])
        else:
            strangers += [(ids[code], mark) for mark in marks]
    return stretches, strangers


def _cut(point: Point, marks: Sequence[_Mark], times: np.ndarray) -> Iterator[_Stretch]:
    """The marks in stretches of few events; those of one stamp stay together."""
    lows = np.searchsorted(times, [mark[0] for mark in marks], side="left").tolist()
    highs = np.searchsorted(times, [mark[0] for mark in marks], side="right").tolist()
    first = 0
    for place in range(1, len(marks) + 1):
        if place == len(marks) or (
            highs[place] - lows[first] > _NEAR_EVENTS and marks[place][0] != marks[place - 1][0]
        ):
            yield _Stretch(point, tuple(marks[first:place]), highs[place - 1] - lows[first])
            first = place
