"""One pull of history: raw values of several nodes in one request, of a node that has more from where it was cut.

Not with continuation points: not every server keeps its place between two events of one stamp. A page that is not the
last one ends before its last stamp, and the next one begins with it.

Source: OPC 10000-11, 6.5.3 (ReadRaw); OPC 10000-4, 5.11.3 (HistoryRead).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
from asyncua import ua

from pipelines.points import Point
from pipelines.ports import Pulled, Reading, Skip, Split
from pipelines.samples import crowded_ns, empty, fields_of, number_ties, ordered, samples_table, text_bytes
from pipelines.timeline import Interval
from resources.opcua.catalogue import place_of, states_of
from resources.opcua.client import Session, TooMuch
from resources.opcua.server import Server
from resources.opcua.stamps import stamp_of
from resources.opcua.values import name_of, reading_of

_BATCH_EVENTS = 100_000
_LEAST_VALUES = 2
_MICROSECOND_NS, _TICK_NS = 1_000, 100
_NO_DATA = {0x00A5_0000, 0x809B_0000}  # GoodNoData, BadNoData
_NO_PLACE = 0x804B_0000  # BadNoContinuationPoints: too many nodes had more than a page
Row = tuple[int, Reading]


@dataclass(slots=True)
class Pace:
    """How much one request asks for; what a server refused is not asked again."""

    values: int = 20_000
    nodes: int = 50


@dataclass(slots=True)
class _Answer:
    """What a server said of one node: values, and whether there are more of them."""

    values: list[ua.DataValue] = field(default_factory=list)
    more: bool = False
    failed: str = ""


class Pulling:
    """The state of one pull."""

    def __init__(
        self, server: Server, pace: Pace, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int
    ) -> None:
        self._server, self._pace, self._span, self._most = server, pace, span, max_events
        self._most_bytes = max_bytes
        self._points: dict[str, list[Point]] = {}
        for point in points:
            self._points.setdefault(point.address, []).append(point)

    async def batches(self) -> AsyncGenerator[Pulled, None]:
        """Whole points, some at a time. Raises Split where one node has more than `max_events`; Retry, Stop."""
        waiting = deque(self._points)
        tables: list[pa.Table] = []
        names: list[str] = []
        failed: dict[str, str] = {}
        rows = size = 0
        while waiting:
            some = [waiting.popleft() for _ in range(min(self._pace.nodes, len(waiting)))]
            answers = await self._asked(some, self._span.start_ns)
            for address, answer in zip(some, answers, strict=True):
                try:
                    found = await self._whole(address, answer)
                except Skip as error:
                    failed |= {point.id: str(error) for point in self._points[address]}
                    continue
                for point in self._points[address]:
                    events = _events(point, found)
                    full = rows + len(found) > min(self._most, _BATCH_EVENTS)
                    if rows and (full or size + text_bytes(events) > self._most_bytes):
                        yield Pulled(_joined(tables), tuple(names))
                        tables, names, rows, size = [], [], 0, 0
                    tables.append(events)
                    size += text_bytes(events)
                    names.append(point.id)
                    rows += len(found)
        if names or failed:
            yield Pulled(_joined(tables), tuple(names), failed)

    async def _whole(self, address: str, answer: _Answer) -> list[Row]:
        """All events of a node, from its first answer on. Raises Skip, Split."""
        rows: list[Row] = []
        start_ns = self._span.start_ns
        while True:
            page = self._rows(address, answer)
            cut_ns = page[-1][0] if answer.more and page else self._span.end_ns
            rows += [row for row in page if start_ns <= row[0] < min(cut_ns, self._span.end_ns)]
            if answer.more and cut_ns <= start_ns:  # nothing but events of one stamp, and not all of them
                rows += await self._at(address, start_ns)
                cut_ns = start_ns + _TICK_NS
            if len(rows) > self._most or _long(rows) > self._most_bytes:
                raise Split(
                    f"{self._points[address][0].name} has more than {self._most:,} events in {self._span}, "
                    "or longer ones",
                    crowded_ns([np.array([stamp_ns for stamp_ns, _ in rows], np.int64)]),
                )
            if not answer.more or cut_ns >= self._span.end_ns:
                return rows
            start_ns = cut_ns if page else start_ns
            [answer] = await self._asked([address], start_ns)

    async def _at(self, address: str, stamp_ns: int) -> list[Row]:
        """All events of one stamp: page after page, as the server continues."""
        details = _details(stamp_ns, stamp_ns + _TICK_NS, self._pace.values)
        answer = await self._server.ask(lambda opened: _continued(opened, address, details, self._most))
        return [row for row in self._rows(address, answer) if row[0] == stamp_ns]

    def _rows(self, address: str, answer: _Answer) -> list[Row]:
        """Times and readings. Raises Skip."""
        if answer.failed:
            raise Skip(address, answer.failed)
        length = place_of(self._points[address][0])[1]
        page = [(_time_ns(address, each), each) for each in (reading_of(one, length) for one in answer.values)]
        if any(later < sooner for (sooner, _), (later, _) in pairwise(page)):
            raise Skip(address, "the server's history is not in the order of time")
        return page

    async def _asked(self, addresses: Sequence[str], start_ns: int) -> list[_Answer]:
        """What the server says of each node from `start_ns` on; where it refuses, less at once. Raises Retry, Stop."""
        details = _details(start_ns, self._span.end_ns, self._pace.values // len(addresses))
        try:
            return await self._server.ask(lambda opened: _read(opened, addresses, details))
        except TooMuch:
            if len(addresses) > 1:
                half = self._pace.nodes = (len(addresses) + 1) // 2
                return [*await self._asked(addresses[:half], start_ns), *await self._asked(addresses[half:], start_ns)]
            if self._pace.values <= _LEAST_VALUES:
                raise
            self._pace.values //= 2
            return await self._asked(addresses, start_ns)


def _details(start_ns: int, end_ns: int, most: int) -> ua.ReadRawModifiedDetails:
    """Raw values of [start, end), and a little more: some servers cut the times that they are given."""
    later_ns = (end_ns // _MICROSECOND_NS + 2) * _MICROSECOND_NS
    return ua.ReadRawModifiedDetails(
        IsReadModified=False, StartTime=stamp_of(start_ns), EndTime=stamp_of(later_ns),
        NumValuesPerNode=max(_LEAST_VALUES, most), ReturnBounds=False,
    )  # fmt: skip


async def _continued(opened: Session, address: str, details: ua.ReadRawModifiedDetails, most: int) -> _Answer:
    """All pages of one node, as its continuation points lead; a server whose places turn in a circle fails."""
    answer, place = _Answer(), _place(opened.node(address))
    before: list[ua.DataValue] = []
    while True:
        [result] = await _history(opened, [place], details)
        page = _answer(result, details)
        if page.failed or (page.values == before and before) or len(answer.values) > most:
            answer.failed = (
                page.failed or "the server does not get past a stamp that has more events than it gives at once"
            )
            return answer
        answer.values += page.values
        if not result.ContinuationPoint:
            return answer
        before, place = page.values, _place(place.NodeId, result.ContinuationPoint)


async def _read(opened: Session, addresses: Sequence[str], details: ua.ReadRawModifiedDetails) -> list[_Answer]:
    nodes: dict[str, ua.NodeId] = {}
    wrong: dict[str, str] = {}
    for address in addresses:
        try:
            nodes[address] = opened.node(address)
        except (ValueError, ua.UaError) as error:
            wrong[address] = str(error)
    answers: dict[str, _Answer] = {address: _Answer(failed=why) for address, why in wrong.items()}
    known = list(nodes)
    for at in range(0, len(known), opened.most("history")):
        some = known[at : at + opened.most("history")]
        results = await _history(opened, [_place(nodes[address]) for address in some], details)
        left = [
            _place(nodes[address], result.ContinuationPoint)
            for address, result in zip(some, results, strict=True)
            if result.ContinuationPoint
        ]
        if left:
            await _history(opened, left, details, release=True)
        answers |= {address: _answer(each, details) for address, each in zip(some, results, strict=True)}
    return [answers[address] for address in addresses]


def _place(node: ua.NodeId, continuation: bytes | None = None) -> ua.HistoryReadValueId:
    return ua.HistoryReadValueId(NodeId=node, IndexRange="", ContinuationPoint=continuation)


async def _history(
    opened: Session, places: list[ua.HistoryReadValueId], details: ua.ReadRawModifiedDetails, *, release: bool = False
) -> list[ua.HistoryReadResult]:
    asked = ua.HistoryReadParameters(
        HistoryReadDetails=details, TimestampsToReturn=ua.TimestampsToReturn.Both, ReleaseContinuationPoints=release,
        NodesToRead=places,
    )  # fmt: skip
    return await opened.asked.history_read(asked)


def _answer(result: ua.HistoryReadResult, details: ua.ReadRawModifiedDetails) -> _Answer:
    status = int(result.StatusCode.value)
    values = list(getattr(result.HistoryData, "DataValues", None) or [])
    if status & 0xFFFF0000 == _NO_PLACE:
        raise TooMuch(name_of(status))
    if status & 0xFFFF0000 in _NO_DATA:
        return _Answer()
    if status >> 31:
        return _Answer(failed=name_of(status))
    return _Answer(values, more=bool(result.ContinuationPoint) or len(values) >= details.NumValuesPerNode)


def _long(rows: Sequence[Row]) -> int:
    """Characters of the texts, but for the longest."""
    lengths = [len(value) for _, reading in rows for value in reading.values if isinstance(value, str)]
    return sum(lengths) - max(lengths, default=0)


def _time_ns(address: str, reading: Reading) -> int:
    found = reading.source_ns if reading.source_ns is not None else reading.server_ns
    if found is None:
        raise Skip(address, "the server's history has events without a time")
    return found


def _events(point: Point, rows: Sequence[Row]) -> pa.Table:
    element, _ = place_of(point)
    states = states_of(point) if point.kind == "digital" else {}
    columns: list[tuple[float | None, str | None, int | None]] = []
    for _, reading in rows:
        value = reading.values[element] if reading.values else None
        if states and isinstance(value, int):
            columns.append((None, states.get(value, str(value)), int(value)))
        else:
            columns.append(fields_of(value, reading.reason))
    times = np.array([time_ns for time_ns, _ in rows], np.int64)
    values, texts, codes = zip(*columns, strict=True) if columns else ((), (), ())
    none = np.zeros(len(rows), np.int32)
    return ordered(
        samples_table(
            {
                "point": pa.DictionaryArray.from_arrays(pa.array(none), pa.array([point.id], pa.string())),
                "time": pa.array(times).cast(pa.timestamp("ns", tz="UTC")),
                "tie": pa.array(number_ties(none, times)),
                "value": pa.array(values, pa.float64()),
                "text": pa.array(texts, pa.string()),
                "code": pa.array(codes, pa.int64()),
                "quality": pa.array([reading.quality for _, reading in rows], pa.int32()),
                "detail": pa.array([reading.detail for _, reading in rows], pa.int32()),
            }
        )
    )


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([empty(), *tables]).unify_dictionaries().combine_chunks()
