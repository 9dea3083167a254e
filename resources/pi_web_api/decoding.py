"""Events of many streams, as the JSON gave them → columns. The hot path: no work per event in Python that a list
comprehension or Arrow can do.

A page of plain good numbers takes the fast path: one list per column, one Arrow cast for all times (100 ns ticks in
0 to 7 digits, Z or an offset). Rows that are anything else are read one by one by `states.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.points import Point
from pipelines.samples import GOOD, SCHEMA
from resources.pi_web_api.states import EXACT, quality_of, reading
from resources.pi_web_api.wire import Event

TIME_TYPE = SCHEMA.field("time").type
ROWS = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),  # the stream's number in this pull
        *(SCHEMA.field(name) for name in ("time", "value", "text", "code", "quality", "detail")),
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

    `bad` names streams (by their place) that could not be read and why; they have no rows. `times` is the time
    column, ns.
    """

    rows: pa.Table
    times: Int64s
    ends: tuple[int, ...]
    bad: dict[int, str]


def decode(streams: Sequence[Given]) -> Page:
    """The columns of all streams. Raises nothing: a stream with an unreadable time is `bad`."""
    events = list(chain.from_iterable([stream.events for stream in streams]))
    lengths = [len(stream.events) for stream in streams]
    times = _times(events)
    if times is None:
        return _without_bad(streams)
    values, text, code, quality, detail = _values(events, streams, lengths)
    numbers = np.repeat(np.array([stream.number for stream in streams], dtype=np.int32), lengths)
    rows = pa.table([pa.array(numbers), times, values, text, code, quality, detail], schema=ROWS)
    ends = tuple(int(end) for end in np.cumsum(lengths, dtype=np.int64))
    return Page(rows, np.asarray(times.cast(pa.int64())), ends, {})


def _times(events: list[Event]) -> pa.Array | None:
    """The times, or None where one of them is no time that 64-bit nanoseconds hold."""
    texts = pa.array([event.timestamp for event in events], pa.string())
    if texts.null_count:
        return None
    try:
        return texts.cast(TIME_TYPE)
    except pa.ArrowInvalid:
        return None


def _without_bad(streams: Sequence[Given]) -> Page:
    """The page with the streams emptied whose times cannot be read. Slow, and rare."""
    bad, kept = {}, []
    for place, stream in enumerate(streams):
        if _times(stream.events) is None:
            bad[place] = f"unreadable time {_first_unreadable(stream.events)!r}: not ISO 8601 within 1677 to 2262"
            stream = stream._replace(events=[])  # noqa: PLW2901 (its place must stay)
        kept.append(stream)
    page = decode(kept)
    return Page(page.rows, page.times, page.ends, bad)


def _first_unreadable(events: list[Event]) -> str | None:
    return next((event.timestamp for event in events if _times([event]) is None), None)


def _values(
    events: list[Event], streams: Sequence[Given], lengths: list[int]
) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    """value, text, code, quality, detail."""
    rows = len(events)
    raw = [event.value for event in events]
    odd = _odd_rows(events, raw)
    values = _plain(raw) if not odd else None
    if values is not None:
        zeros = pa.array(np.zeros(rows, dtype=np.int32))
        return values, pa.nulls(rows, pa.string()), pa.nulls(rows, pa.int64()), _qualities(events), zeros
    # Arrow takes a list of numbers only when all are exact in a double, so what it refused is looked at one by one.
    unusual = set(odd)
    unusual.update(
        row
        for row, value in enumerate(raw)
        if value.__class__ is not float and (value.__class__ is not int or not -EXACT <= value <= EXACT)
    )
    texts: list[str | None] = [None] * rows
    codes: list[int | None] = [None] * rows
    quality = np.array(_qualities(events))
    detail = np.zeros(rows, dtype=np.int32)
    ends = np.cumsum(lengths, dtype=np.int64)
    order = sorted(unusual)
    owners = np.searchsorted(ends, np.array(order, dtype=np.int64), side="right")
    for row, owner in zip(order, owners.tolist(), strict=True):
        raw[row], texts[row], codes[row], quality[row], detail[row] = reading(events[row], streams[owner].point)
    return (
        pa.array(raw, pa.float64()),
        pa.array(texts, pa.string()),
        pa.array(codes, pa.int64()),
        pa.array(quality),
        pa.array(detail),
    )


def _odd_rows(events: list[Event], raw: list[Any]) -> list[int]:
    """Rows with errors of their own: the value beside them, number or not, does not count."""
    errors = [event.errors for event in events]
    if errors.count(None) == len(raw):
        return []
    return [row for row, each in enumerate(errors) if each]


def _plain(raw: list[Any]) -> pa.Array | None:
    """The values where all are numbers (or bool) that a double holds exactly, else None."""
    try:
        values = pa.array(raw, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
    return None if values.null_count else values


def _qualities(events: list[Event]) -> pa.Array:
    good = [event.good for event in events]
    questionable = [event.questionable for event in events]
    substituted = [event.substituted for event in events]
    rows = len(events)
    if good.count(True) == questionable.count(False) == substituted.count(False) == rows:
        return pa.array(np.full(rows, GOOD, dtype=np.int32))
    known: dict[tuple[bool | None, bool | None, bool | None], int] = {}
    found = []
    for flags in zip(good, questionable, substituted, strict=True):
        quality = known.get(flags)
        if quality is None:
            quality = known[flags] = quality_of(*flags)
        found.append(quality)
    return pa.array(found, pa.int32())
