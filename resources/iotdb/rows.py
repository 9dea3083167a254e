"""Events as rows of the store's two tables, and back; and rows cut into portions that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ports import Stop
from pipelines.samples import SCHEMA, cut_by_bytes, is_number, ordered, times_ns
from pipelines.timeline import DAY_NS, iso
from resources.iotdb.layout import SAMPLES, STATES, TAG_TYPE, Table, tag

_EDGE_NS = 2**63 - 15 * DAY_NS
"""Measured: the time partitions at the ends of int64 overflow; LOAD fails there, and a tablet's row is nowhere."""
_Int64s = npt.NDArray[np.int64]


def rows_of(source: str, events: pa.Table, clock_ns: int) -> list[tuple[Table, pa.Table]]:
    """Events in SCHEMA → the rows of `samples` and of `states`, each in its table's schema and sorted by device
    (source, point, tie), then time. A table without rows is left out.

    Raises Stop for a TAG that IoTDB would lose, ValueError for events that break SCHEMA's rules: a time finer than
    the clock, a state without text or code, two events under one point, time and tie.
    """
    tag(source, "the source's name")
    events = events.combine_chunks()
    number = is_number(events)
    split = [(SAMPLES, number), (STATES, ~number)]
    return [
        (table, _table_rows(table, source, _picked(table, events, mask), clock_ns))
        for table, mask in split
        if mask.any()
    ]


def events_of(table: Table, rows: pa.Table, clock_ns: int) -> pa.Table:
    """Rows as IoTDB gives them (point, tie, the fields, `time` in its clock) → events in SCHEMA, unordered."""
    count = len(rows)
    columns = {
        "point": whole(rows["point"]),
        "time": pc.multiply(whole(rows["time"]), clock_ns).cast(SCHEMA.field("time").type),
        "tie": whole(rows["tie"]).cast(pa.string()).cast(pa.int32()),
        "quality": whole(rows["quality"]),
        "detail": whole(rows["detail"]),
    }
    if table is SAMPLES:
        columns["value"] = whole(rows["value"])
    else:
        columns["text"] = whole(rows["text"]).cast(pa.string())
        columns["code"] = whole(rows["code"])
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def merged(parts: list[pa.Table]) -> pa.Table:
    """Events of both tables as one, in order."""
    return ordered(pa.concat_tables(parts).unify_dictionaries().combine_chunks())


def portions(rows: pa.Table, max_rows: int, max_bytes: int) -> Iterator[pa.Table]:
    """The rows in their order, in parts of at most `max_rows` rows and about `max_bytes`, at least a row each."""
    if 0 < len(rows) <= max_rows and _at_most_bytes(rows) <= max_bytes:
        yield rows
        return
    for start, stop in cut_by_bytes(_weights(rows), max_rows, max_bytes):
        yield rows.slice(start, stop - start)


def constant(text: str, rows: int) -> pa.DictionaryArray:
    """A TAG column that holds one text in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        return joined.chunk(0) if joined.num_chunks else pa.array([], column.type)
    return joined


def _picked(table: Table, events: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """The marked events, with just the columns that the table has."""
    mine = events.select([name for name in events.column_names if name in table.schema.names])
    return mine if mask.all() else mine.filter(pa.array(mask))


def _table_rows(table: Table, source: str, events: pa.Table, clock_ns: int) -> pa.Table:
    events = _by_device(events)
    columns: dict[str, pa.Array] = {
        "time": pa.array(_clock_times(events, clock_ns)),
        "source": constant(source, len(events)),
        "point": whole(events["point"]),
        "tie": _tie_tags(whole(events["tie"])),
    }
    for name in table.schema.names:
        if name not in columns:
            columns[name] = whole(events[name])
    for name, column in columns.items():
        if column.null_count:
            # IoTDB keeps the old field under a null (facts/iotdb.md, trap 4), so none may reach it.
            raise ValueError(f"{column.null_count} events have no {name}; the source must fill it")
    _check_tags(columns["point"])
    return pa.table([columns[name] for name in table.schema.names], schema=table.schema)


def _tie_tags(ties: pa.Array) -> pa.DictionaryArray:
    """The ties as TAGs; only the few different ones become texts."""
    coded = ties.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.string()))


def _by_device(events: pa.Table) -> pa.Table:
    """Sorted by point, tie and time. Raises ValueError for two events under one key."""
    point = whole(events["point"])
    names = point.dictionary.to_pylist()
    rank_of = np.argsort(np.argsort(np.array(names, dtype=object))) if names else np.zeros(0, np.int64)
    rank_of = rank_of.astype(np.int32)
    ranks = rank_of[np.asarray(point.indices)]
    ties, times = np.asarray(whole(events["tie"])), times_ns(events)
    rising = _rising(ranks, ties, times)
    order = None
    if not rising.all():
        # Events come ordered by point and time as a rule: then a stable sort by device, nearly in order already, does.
        device = ranks.astype(np.int64) * (int(ties.max()) + 1) + ties
        order = np.argsort(device, kind="stable")
        if not _rising(ranks[order], ties[order], times[order]).all():
            order = np.lexsort((times, ties, ranks))
        ranks, ties, times = ranks[order], ties[order], times[order]
        rising = _rising(ranks, ties, times)
    if not rising.all():
        at = int(np.argmin(rising))
        name = sorted(names)[ranks[at]]
        raise ValueError(f"point {name} has two events at {iso(int(times[at]))} with tie {ties[at]}")
    return events if order is None else events.take(pa.array(order)).combine_chunks()


def _rising(ranks: npt.NDArray[np.int32], ties: npt.NDArray[np.int32], times: _Int64s) -> npt.NDArray[np.bool_]:
    """Whether each row's key is greater than the one before. Compared, not subtracted: centuries overflow int64."""
    rising: npt.NDArray[np.bool_] = times[1:] > times[:-1]
    for outer in (ties, ranks):
        rising = (outer[1:] > outer[:-1]) | ((outer[1:] == outer[:-1]) & rising)
    return rising


def _clock_times(events: pa.Table, clock_ns: int) -> _Int64s:
    times = times_ns(events)
    if len(times) and (times.min() < -_EDGE_NS or times.max() > _EDGE_NS):
        raise Stop(f"IoTDB loses events before {iso(-_EDGE_NS)} and after {iso(_EDGE_NS)}, and there are some")
    if clock_ns == 1:
        return times
    if (times % clock_ns).any():
        raise ValueError(f"times are finer than the store's clock of {clock_ns} ns: coarsen the events first")
    return times // clock_ns


def _check_tags(point: pa.DictionaryArray) -> None:
    for identifier in point.dictionary.filter(pc.invert(pc.string_is_ascii(point.dictionary))).to_pylist():
        tag(identifier, "the point id")
    if len(point) and "" in point.dictionary.to_pylist():
        tag("", "the point id")


def _at_most_bytes(rows: pa.Table) -> int:
    """No fewer bytes than `_weights` adds up to, at a glance."""
    size = 8 * rows.num_columns * len(rows)
    for name in rows.schema.names:
        column = whole(rows[name])
        if column.type == TAG_TYPE:
            size += len(rows) * (pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
        elif pa.types.is_string(column.type):
            size += column.nbytes
    return int(size)


def _weights(rows: pa.Table) -> _Int64s:
    """About how many bytes each row is."""
    weights = np.full(len(rows), 8 * rows.num_columns, np.int64)
    for name in rows.schema.names:
        column = whole(rows[name])
        if column.type == TAG_TYPE:
            lengths = np.asarray(pc.binary_length(column.dictionary), np.int64)
            weights += lengths[np.asarray(column.indices)] if len(lengths) else 0
        elif pa.types.is_string(column.type):
            weights += np.asarray(pc.binary_length(column), np.int64)
    return weights
