"""Events of many streams, as the JSON gave them → columns. The hot path: no work per event in Python that a list
comprehension or Arrow can do.

A page of plain good numbers takes the fast path: one list per column, one Arrow cast for all times (100 ns ticks in
0 to 7 digits, Z or an offset). Rows that are anything else are read one by one by `states.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.points import Point
from pipelines.samples import EXACT, GOOD, HALF, SCHEMA, SINGLE, narrowed
from resources.pi_web_api.precision import bits_of, numbers_of
from resources.pi_web_api.states import Undelivered, quality_of, reading, undelivered
from resources.pi_web_api.wire import Event

_SHOWN = 200
"""So many characters of a value that cannot be kept stand in the reason; what is not ASCII as escapes."""
TIME_TYPE = SCHEMA.field("time").type
ROWS = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),  # the stream's number in this pull
        *(SCHEMA.field(name) for name in ("time", "value", "text", "code", "quality", "detail", "annotated")),
    ]
)
Int64s = npt.NDArray[np.int64]


class Given(NamedTuple):
    """Events of one stream as they came; `number` stands for the point in this pull."""

    number: int
    point: Point
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Page:
    """Columns (ROWS) of several streams one after another; `ends[i]` is where stream i ends.

    `bad` names streams (by their place) that could not be read and why, `lost` those with a value that was not
    delivered; they have no rows. `times` is the time column, ns.
    """

    rows: pa.Table
    times: Int64s
    ends: tuple[int, ...]
    bad: dict[int, str] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)


def decode(streams: Sequence[Given]) -> Page:
    """The columns of all streams. Raises nothing: a stream with something that cannot be kept is `bad` or `lost`."""
    try:
        return _decoded(streams)
    except (Undelivered, ValueError, TypeError, OverflowError, LookupError, RecursionError, pa.ArrowException):
        return _without_bad(streams)


def _decoded(streams: Sequence[Given]) -> Page:
    """Raises what the first thing raises that is not as it should be."""
    events = list(chain.from_iterable([stream.events for stream in streams]))
    lengths = [len(stream.events) for stream in streams]
    times = _times(events)
    if times is None:
        raise ValueError("a time that is none")
    flagged = [  # one pass: a list for every flag took twice as long
        row
        for row, event in enumerate(events)
        if event.good is not True
        or event.questionable is not False
        or event.substituted is not False
        or event.annotated is not False
        or event.errors is not None
        or event.web_exception is not None
    ]
    values, text, code, quality, detail = _values(events, flagged, streams, lengths)
    numbers = np.repeat(np.array([stream.number for stream in streams], dtype=np.int32), lengths)
    columns = [pa.array(numbers), times, values, text, code, quality, detail, _annotated(events, flagged)]
    rows = pa.table(columns, schema=ROWS)
    ends = tuple(int(end) for end in np.cumsum(lengths, dtype=np.int64))
    return Page(rows, np.asarray(times.cast(pa.int64())), ends)


def _times(events: list[Event]) -> pa.Array | None:
    """The times, or None where one of them is no time that 64-bit nanoseconds hold."""
    texts = pa.array([event.timestamp for event in events], pa.string())
    if texts.null_count:
        return None
    try:
        return texts.cast(TIME_TYPE)
    except pa.ArrowInvalid:
        return None


def _annotated(events: list[Event], flagged: list[int]) -> pa.Array:
    """True where an event has an annotation, null elsewhere."""
    rows = [row for row in flagged if events[row].annotated is True]
    if not rows:
        return pa.nulls(len(events), pa.bool_())
    missing = np.ones(len(events), dtype=np.bool_)
    missing[rows] = False
    return pa.array(~missing, mask=missing)


def _without_bad(streams: Sequence[Given]) -> Page:
    """The page with the streams emptied that cannot be kept whole. Slow, and rare."""
    bad, lost, kept = {}, {}, []
    for place, stream in enumerate(streams):
        if why := _loss(stream):
            lost[place] = why
        elif why := _trouble(stream):
            bad[place] = why
        kept.append(stream._replace(events=[]) if why else stream)
    return replace(_decoded(kept), bad=bad, lost=lost)


def _loss(stream: Given) -> str:
    """The first event of the stream whose value was not delivered, '' where all were."""
    return next((f"at {event.timestamp}: {why}" for event in stream.events if (why := undelivered(event))), "")


def _trouble(stream: Given) -> str:
    """What of the stream cannot be kept, '' where all can: the first event, as it came."""
    try:
        _decoded([stream])
    except Exception:
        for event in stream.events:
            if _times([event]) is None:
                return f"unreadable time {event.timestamp!r}: not ISO 8601 within 1677 to 2262"
            try:
                _decoded([stream._replace(events=[event])])
            except Exception as error:
                what = error.reason if isinstance(error, UnicodeEncodeError) else str(error) or type(error).__name__
                return f"its event at {event.timestamp} cannot be kept ({what}): {ascii(event.value)[:_SHOWN]}"
        return "its events cannot be kept together"
    return ""


def _values(
    events: list[Event], flagged: list[int], streams: Sequence[Given], lengths: list[int]
) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    """value, text, code, quality, detail."""
    values, *others = _as_written(events, flagged, streams, lengths)
    return _narrowed(values, streams, lengths), *others


def _narrowed(values: pa.Array, streams: Sequence[Given], lengths: list[int]) -> pa.Array:
    """The values, where a point keeps them in fewer bits than a double as what their texts stand for."""
    few = [bits_of(stream.point) for stream in streams]
    if not any(few):
        return values
    missing = values.is_null() if values.null_count else None
    numbers = np.array(values.fill_null(0.0) if values.null_count else values)
    singles = np.repeat([bits == SINGLE for bits in few], lengths)
    numbers[singles] = narrowed(numbers[singles], SINGLE)
    ends = np.cumsum(lengths)
    for place, bits in enumerate(few):
        if bits == HALF:
            mine = slice(ends[place] - lengths[place], ends[place])
            numbers[mine] = numbers_of(streams[place].point, numbers[mine])
    return pa.array(numbers, mask=None if missing is None else np.asarray(missing))


def _as_written(
    events: list[Event], flagged: list[int], streams: Sequence[Given], lengths: list[int]
) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    """The same, with the values as their texts have them."""
    rows = len(events)
    raw = [event.value for event in events]
    if any(events[row].errors or events[row].web_exception for row in flagged):
        raise Undelivered  # such a value does not count, number or not
    quality = _qualities(events, flagged)
    detail = np.zeros(rows, dtype=np.int32)
    values = _plain(raw)
    if values is not None:
        return values, pa.nulls(rows, pa.string()), pa.nulls(rows, pa.int64()), pa.array(quality), pa.array(detail)
    # Arrow takes a list of numbers only when all are exact in a double, so what it refused is looked at one by one.
    odd = [row for row, value in enumerate(raw) if value.__class__ is not float and not _is_exact(value)]
    places = np.unique(np.array(odd, dtype=np.int64))
    owners = np.searchsorted(np.cumsum(lengths, dtype=np.int64), places, side="right")
    found = [
        reading(events[row], streams[owner].point) for row, owner in zip(places.tolist(), owners.tolist(), strict=True)
    ]
    for row, each in zip(places.tolist(), found, strict=True):
        raw[row] = each.value
    quality[places] = [each.quality for each in found]
    detail[places] = [each.detail for each in found]
    text = _scattered(pa.array([each.text for each in found], pa.string()), places, rows)
    code = _scattered(pa.array([each.code for each in found], pa.int64()), places, rows)
    return pa.array(raw, pa.float64()), text, code, pa.array(quality), pa.array(detail)


def _is_exact(value: Any) -> bool:
    return value.__class__ is int and -EXACT <= value <= EXACT


def _plain(raw: list[Any]) -> pa.Array | None:
    """The values where all are numbers (or bool) that a double holds exactly, else None."""
    try:
        values = pa.array(raw, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
    return None if values.null_count else values


def _scattered(values: pa.Array, places: Int64s, rows: int) -> pa.Array:
    """`values` at their places among `rows`, null elsewhere."""
    missing = np.ones(rows, dtype=np.bool_)
    missing[places] = False
    order = np.zeros(rows, dtype=np.int64)
    order[places] = np.arange(len(places))
    return values.take(pa.array(order, mask=missing))


def _qualities(events: list[Event], flagged: list[int]) -> npt.NDArray[np.int32]:
    """OPC quality of every event by its flags."""
    found = np.full(len(events), GOOD, dtype=np.int32)
    for row in flagged:
        event = events[row]
        found[row] = quality_of(event.good, event.questionable, event.substituted)
    return found
