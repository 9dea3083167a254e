"""Readings → columns of the spool: scaled, deadbanded, each cycle beside them with how long it took or why it was
missed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.ports import SPOOL_SCHEMA, Reading, Tag, Told, told
from pipelines.samples import NO_CODE, UNCERTAIN, Quality, fields_of
from pipelines.timeline import SECOND_NS

_Value = bool | int | float | str
_Row = tuple[str, int, float | None, str | None, int | None, int, int, int, int | None, int | None]


@dataclass(slots=True)
class _Last:
    """What of a point was spooled last."""

    value: _Value | None
    quality: int
    reason: str


class Recorder:
    """Turns cycles into rows and gathers them until `take`. Safe for many threads, each with points of its own.

    `told` has the last usable event of each point that its source stamped: told again, it is nothing new. What is told
    for the first time, and had happened before `began_ns`, held when collecting began: that is when it is stored.
    """

    def __init__(self, told: Mapping[str, Told] | None = None, began_ns: int = 0) -> None:
        self._began_ns = began_ns
        self._rows: list[_Row] = []
        self._last: dict[str, _Last] = {}
        self._told = {(name, True): event for name, event in (told or {}).items()}
        self._bad: set[str] = set(told or {})
        self._guard = threading.Lock()

    def cycle(self, cycle: str, due_ns: int, received_ns: int, readings: Sequence[tuple[Tag, Reading]]) -> None:
        """One cycle of a scan: `cycle` is its own point, whose value is how late all was read, in seconds."""
        rows: list[_Row] = [_number(cycle, due_ns, (received_ns - due_ns) / SECOND_NS, received_ns)]
        for tag, reading in readings:
            came_ns = received_ns if reading.received_ns is None else reading.received_ns
            for place, name in enumerate(tag.names):
                value = reading.values[place] if place < len(reading.values) else None
                row = self._new(_row(name, tag, value, reading, came_ns), reading.source_ns)
                deadband = None if tag.deadband is None else tag.deadband / abs(tag.scale)
                if row and self._moved(name, value, reading, deadband):
                    rows.append(row)
        self._add(rows)

    def missed(self, cycle: str, due: Sequence[int], now_ns: int, tags: Sequence[Tag], reason: str) -> None:
        """Cycles that nobody did, each with the reason; the tags are bad from the first of them on."""
        if not due:
            return
        bad = Reading((), int(Quality.BAD_COMM), reason=reason)
        rows = [_bad(cycle, due_ns, bad, now_ns) for due_ns in due]
        for tag in tags:
            for name in tag.names:
                self._bad.add(name)
                if self._moved(name, None, bad, 0.0):
                    rows.append(_bad(name, due[0], bad, now_ns))
        self._add(rows)

    def take(self) -> pa.RecordBatch | None:
        """What has gathered, in SPOOL_SCHEMA; None where nothing has."""
        with self._guard:
            rows, self._rows = self._rows, []
        if not rows:
            return None
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SPOOL_SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=SPOOL_SCHEMA)

    def _add(self, rows: list[_Row]) -> None:
        with self._guard:
            self._rows += rows

    def _new(self, row: _Row, source_ns: int | None) -> _Row | None:
        """None for an event that its source told before. After cycles that were missed, or a reading of the other
        sort (bad, usable), that it is told again says that it holds again: now."""
        name, usable, received_ns = row[0], row[5] >= UNCERTAIN, row[7]
        turned = (name in self._bad) == usable
        (self._bad.discard if usable else self._bad.add)(name)
        if source_ns is None:
            return row
        event = told(row)
        before = self._told.get((name, usable))
        self._told[name, usable] = event
        if before == event:
            return (name, received_ns, *row[2:]) if turned else None
        return row if before or source_ns >= self._began_ns else (name, received_ns, *row[2:])

    def _moved(self, name: str, value: _Value | None, reading: Reading, deadband: float | None) -> bool:
        """Whether the reading is stored: always without a deadband, else when it moved by more."""
        last = self._last.get(name)
        small = (
            deadband is not None
            and last is not None
            and (last.quality, last.reason) == (reading.quality, reading.reason)
            and not _differs(last.value, value, deadband)
        )
        if not small:
            self._last[name] = _Last(value, reading.quality, reading.reason)
        return not small


def _differs(last: _Value | None, value: _Value | None, deadband: float) -> bool:
    """Compared with what was stored, not with the reading before: a slow drift is stored, too."""
    if isinstance(last, int | float) and isinstance(value, int | float) and not isinstance(last, bool):
        return not abs(value - last) <= deadband if value != last else False  # NaN has always moved
    return last != value


def _row(name: str, tag: Tag, value: _Value | None, reading: Reading, received_ns: int) -> _Row:
    time_ns = received_ns if reading.source_ns is None else reading.source_ns
    if tag.scaled and isinstance(value, int | float):
        value = value * tag.scale + tag.offset
    fields = fields_of(value, reading.reason)
    return (
        name, time_ns, *fields, reading.quality, reading.detail, received_ns, reading.source_ns, reading.server_ns,
    )  # fmt: skip


def _number(name: str, time_ns: int, value: float, received_ns: int) -> _Row:
    return (name, time_ns, value, None, None, int(Quality.GOOD), 0, received_ns, None, None)


def _bad(name: str, time_ns: int, reading: Reading, received_ns: int) -> _Row:
    return (name, time_ns, None, reading.reason, NO_CODE, reading.quality, reading.detail, received_ns, None, None)
