"""Rows of History and Live as Arrow tables, for many tags at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from simulators.wonderware.configuration import ARROW_TYPES
from simulators.wonderware.events import BAD, Events, Int64s, Version, joined
from simulators.wonderware.plant import Plant
from simulators.wonderware.retrieval import Options, Span, has_initial_row, initial_row, kept_rows
from simulators.wonderware.tables import HISTORY
from simulators.wonderware.zones import to_wall


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one tag, one behind the other."""

    number: int
    events: Events


@dataclass(frozen=True, slots=True)
class _Rows:
    """All stretches as one."""

    plant: Plant
    stretches: Sequence[Stretch]
    events: Events
    owners: Int64s  # of each row, the place of its stretch
    options: Options


def day_of_rows(plant: Plant, number: int, day: int, options: Options) -> Events:
    """The rows of a tag and UTC day in the version and mode asked for."""
    events = plant.events(number, day).version(options.version)
    if options.mode == "Full" or not len(events):
        return events
    return kept_rows(events, plant.before(number, int(events.times[0]), options.version), options.mode)


def stretches_of(plant: Plant, numbers: Sequence[int], span: Span, options: Options) -> Iterator[Stretch]:
    """The rows of the span, tag by tag in the order given, each by time; initial rows first (facts 2.4)."""
    last_ns = min(span.last_ns, plant.last_visible_ns())
    for number in numbers:
        if has_initial_row(plant, number, span, options.version):
            yield Stretch(number, initial_row(plant, number, span, options.version, plant.clock.now_ns()))
        for day in plant.days(number, span.first_ns, last_ns):
            yield Stretch(number, day_of_rows(plant, number, day, options).between(span.first_ns, last_ns + 1))


def history_rows(plant: Plant, stretches: Sequence[Stretch], options: Options, wanted: Sequence[str]) -> pa.Table:
    """The columns `wanted` (true names of History's) of the rows, in order; DateTime is the wall clock of the zone."""
    events = joined([stretch.events for stretch in stretches])
    owners = np.repeat(np.arange(len(stretches)), [len(stretch.events) for stretch in stretches])
    rows = _Rows(plant, stretches, events, owners, options)
    arrays = [_COLUMNS.get(name, _echo_of(name))(rows) for name in wanted]
    return pa.table(arrays, names=list(wanted))


def _wall(rows: _Rows) -> pa.Array:
    return pa.array(to_wall(rows.events.times, rows.options.zone)).cast(pa.timestamp("ns"))


def _names(rows: _Rows) -> pa.Array:
    names = pa.array([rows.plant.catalogue.spec(each.number).name for each in rows.stretches], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(rows.owners, pa.int32()), names)


def _keys(rows: _Rows) -> pa.Array:
    return pa.array(np.asarray([each.number for each in rows.stretches], dtype=np.int32)[rows.owners])


def _is_text(rows: _Rows) -> np.ndarray:
    texts = [rows.plant.birth(each.number).kind == "string" for each in rows.stretches]
    return np.asarray(texts, dtype=np.bool_)[rows.owners]


def _value(rows: _Rows) -> pa.Array:
    """Value is always NULL for string tags (facts 2.2)."""
    return pa.array(rows.events.numbers, mask=~rows.events.valid | _is_text(rows))


def _text(rows: _Rows) -> pa.Array:
    """vValue works for every kind of tag: numbers as the shortest text that reads back equal."""
    events, texts = rows.events, _is_text(rows)
    numbers = pa.array(events.numbers, mask=~events.valid | texts).cast(pa.string())
    if not texts.any():
        return numbers
    words = pa.array(events.names, pa.string()).take(pa.array(events.texts, mask=~events.valid | ~texts))
    return pa.compute.coalesce(numbers, words)


def _quality(rows: _Rows) -> pa.Array:
    return pa.array(rows.events.quality)


def _detail(rows: _Rows) -> pa.Array:
    return pa.array(rows.events.detail)


def _opc(rows: _Rows) -> pa.Array:
    return pa.array(rows.events.opc, mask=rows.events.opc < 0)


def _good_share(rows: _Rows) -> pa.Array:
    return pa.array(np.where(rows.events.quality == BAD, 0.0, 100.0))


def _version(rows: _Rows) -> pa.Array:
    """With 'Latest' the column reads LATEST for all rows (facts 2.9, HIST/72198)."""
    return _same(rows, "LATEST" if rows.options.version is Version.LATEST else "ORIGINAL", pa.string())


def _mode(rows: _Rows) -> pa.Array:
    return _same(rows, rows.options.mode.upper(), pa.string())


def _same(rows: _Rows, value: Any, kind: pa.DataType) -> pa.Array:
    count = len(rows.events)
    if pa.types.is_string(kind) and value is not None:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([str(value)]))
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)


def _echo_of(name: str) -> Callable[[_Rows], pa.Array]:
    """A column without a meaning of its own: what was given as input, or NULL."""
    column = HISTORY.column(name)
    assert column is not None
    kind = ARROW_TYPES[column.kind]
    return lambda rows: _same(rows, dict(rows.options.echoes).get(name.lower()), kind)


_COLUMNS: dict[str, Callable[[_Rows], pa.Array]] = {
    "DateTime": _wall,
    "StartDateTime": _wall,
    "TagName": _names,
    "SourceTag": _names,
    "Value": _value,
    "vValue": _text,
    "Quality": _quality,
    "QualityDetail": _detail,
    "OPCQuality": _opc,
    "wwTagKey": _keys,
    "PercentGood": _good_share,
    "wwVersion": _version,
    "wwRetrievalMode": _mode,
}
