"""Events as the bytes of a JSON list: a day of a point is rendered once, whole, and answered by slices.

All text is joined in Arrow's kernels, some 2 million events a second; a slice costs a copy. So a benchmark of a
client measures the client.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from simulators.pi_web_api.clock import iso
from simulators.pi_web_api.events import DAY_NS, SECOND_NS, TICK_NS, Events, Flag, Int64s, Shape
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.precision import texts_of

_FLAG_FIELDS = {
    "Questionable": Flag.QUESTIONABLE,
    "Substituted": Flag.SUBSTITUTED,
    "Annotated": Flag.ANNOTATED,
}
_EXPONENT_FROM = 1e15  # from here on every double is written with an exponent


@dataclass(frozen=True, slots=True)
class Page:
    """Rendered events: event i is text[offsets[i]:offsets[i + 1]], with the comma behind it."""

    times: Int64s
    offsets: npt.NDArray[np.int32]
    text: memoryview

    def part(self, low: int, high: int) -> memoryview:
        """JSON of the events low ≤ i < high, joined by commas; low < high."""
        return self.text[self.offsets[low] : self.offsets[high] - 1]

    def reversed_parts(self, low: int, high: int) -> list[memoryview]:
        """The same events one by one, the last first."""
        return [self.part(place, place + 1) for place in range(high - 1, low - 1, -1)]


class Press:
    """Rendered days by point, day and fields, the least recently asked for dropped beyond a bound."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._bytes = 0
        self._kept: OrderedDict[tuple[int, int, tuple[str, ...]], Page] = OrderedDict()
        self._shapes: set[tuple[str, ...]] = set()
        plant.changed.append(self._drop)

    def page(self, number: int, day: int, fields: tuple[str, ...]) -> Page:
        """A point's day, rendered with these fields."""
        key = (number, day, fields)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        page = rendered(self.plant.events(number, day), fields, self.plant.settings.nonfinite == "tokens")
        self._shapes.add(fields)
        self._kept[key] = page
        self._bytes += _size_bytes(page)
        while self._bytes > self.plant.settings.cache_bytes and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= _size_bytes(old)
        return page

    def _drop(self, number: int | None, day: int) -> None:
        if number is None:
            stale = [key for key in self._kept if key[1] == day]
        else:
            stale = [key for fields in self._shapes if (key := (number, day, fields)) in self._kept]
        for key in stale:
            self._bytes -= _size_bytes(self._kept.pop(key))


def rendered(events: Events, fields: tuple[str, ...], tokens: bool = False) -> Page:
    """Events, all of one UTC day, as JSON objects of these fields; `tokens` writes NaN bare, not as a string."""
    if not len(events):
        return Page(events.times, np.zeros(1, dtype=np.int32), memoryview(b""))
    pieces: list[pa.Array | str] = []
    if "Timestamp" in fields:
        day = int(events.times[0]) // DAY_NS
        seconds, rest = np.divmod(events.times - day * DAY_NS, SECOND_NS)
        high, low = np.divmod(rest // TICK_NS, 1_000)
        high += np.where(low == 0, 10_000, 0)  # the second half of the table: without trailing zeros
        pieces.append(f'{{"Timestamp":"{iso(day * DAY_NS)[:11]}')
        for table, places in zip(_time_tables(), (seconds, high, low), strict=True):
            pieces.append(table.take(pa.array(places)))
    else:
        pieces.append("{")
    pieces.append(_middles(fields).take(pa.array(events.flags)))
    if "Value" in fields:
        pieces.append(_values(events, tokens))
    joined = pc.binary_join_element_wise(*pieces, "},", "")
    _, offsets, text = joined.buffers()
    return Page(
        events.times,
        np.frombuffer(offsets, dtype=np.int32, count=len(joined) + 1),
        memoryview(text) if text is not None else memoryview(b""),
    )


def item_texts(events: Events, fields: tuple[str, ...], tokens: bool = False) -> list[bytes]:
    """JSON of single events of any days."""
    found = []
    for place in range(len(events)):
        page = rendered(events.take(slice(place, place + 1)), fields, tokens)
        found.append(bytes(page.part(0, 1)))
    return found


def _values(events: Events, tokens: bool) -> pa.Array:
    """The JSON text of each value."""
    kinds = np.flatnonzero(np.bincount(events.shapes, minlength=len(Shape)))
    if len(kinds) == 1 and kinds[0] == Shape.FLOAT:
        return _floats(events, tokens)
    parts, order = [], []
    for kind in kinds:
        places = np.flatnonzero(events.shapes == kind)
        some = events.take(places)
        order.append(places)
        if kind == Shape.FLOAT:
            parts.append(_floats(some, tokens))
        elif kind == Shape.INTEGER:
            parts.append(pa.array(some.codes).cast(pa.string()))
        elif kind == Shape.BOOL:
            parts.append(pa.array(["false", "true"]).take(pa.array(some.codes)))
        else:
            parts.append(_named(some, Shape(int(kind))))
    if len(parts) == 1:
        return parts[0]
    return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(order), kind="stable")))


def _floats(events: Events, tokens: bool) -> pa.Array:
    """Shortest text of each number, with a decimal point, as .NET's serialiser writes it."""
    numbers = events.numbers
    texts = texts_of(numbers, events.precision)
    whole = np.isfinite(numbers) & (np.abs(numbers) < _EXPONENT_FROM) & (numbers == np.trunc(numbers))
    wild = ~np.isfinite(numbers)
    if not whole.any() and not wild.any():
        return texts
    listed = texts.to_pylist()
    for place in np.flatnonzero(whole):
        listed[place] += "" if "e" in listed[place] or "." in listed[place] else ".0"
    for place in np.flatnonzero(wild):
        word = "NaN" if np.isnan(numbers[place]) else "Infinity" if numbers[place] > 0 else "-Infinity"
        listed[place] = word if tokens else f'"{word}"'
    return pa.array(listed, pa.string())


def _named(events: Events, kind: Shape) -> pa.Array:
    """Values with a text: each different (text, code) pair is written once and looked up."""
    pairs, places = np.unique(np.stack([events.texts, events.codes]), axis=1, return_inverse=True)
    listed = []
    for text, code in pairs.T:
        name = events.names[text] if text >= 0 else ""
        # Both ways to write what is not ASCII are legal JSON; a client must read both.
        written = json.dumps(name, ensure_ascii=bool(text % 2))
        if kind == Shape.TEXT:
            listed.append(written)
        else:
            system = "true" if kind == Shape.SYSTEM else "false"
            listed.append(f'{{"Name":{written},"Value":{code},"IsSystem":{system}}}')
    return pa.array(listed, pa.string()).take(pa.array(places.reshape(-1)))


@lru_cache(maxsize=1)
def _time_tables() -> tuple[pa.Array, pa.Array, pa.Array]:
    """Texts of the second of a day, of the first four digits of its fraction, and of the last three."""
    seconds = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
    full = [f".{high:04d}" for high in range(10_000)]
    short = [("." + f"{high:04d}".rstrip("0")) if high else "" for high in range(10_000)]
    last = [f"{low:03d}".rstrip("0") for low in range(1_000)]
    return pa.array(seconds), pa.array(full + short), pa.array(last)


@lru_cache(maxsize=64)
def _middles(fields: tuple[str, ...]) -> pa.Array:
    """What stands between the time and the value, by flags."""
    texts = []
    for flags in range(16):
        parts = ['"UnitsAbbreviation":""'] if "UnitsAbbreviation" in fields else []
        if "Good" in fields:
            parts.append(f'"Good":{_bool(not flags & Flag.BAD)}')
        parts += [f'"{name}":{_bool(flags & flag)}' for name, flag in _FLAG_FIELDS.items() if name in fields]
        if "Value" in fields:
            parts.append('"Value":')
        start = 'Z"' + ("," if parts else "") if "Timestamp" in fields else ""
        texts.append(start + ",".join(parts))
    return pa.array(texts)


def _bool(value: object) -> str:
    return "true" if value else "false"


def _size_bytes(page: Page) -> int:
    return int(page.text.nbytes + page.offsets.nbytes + page.times.nbytes) + 200
