"""The event schema and its normalising rules, all on whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NO_CODE = -1
"""`code` of a text that has no number. Not null: IoTDB keeps an old field under a null (facts/iotdb.md, trap 4)."""

TIME_TYPE = pa.timestamp("ns", tz="UTC")
POINT_TYPE = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("point", POINT_TYPE, nullable=False),
        pa.field("time", TIME_TYPE, nullable=False),
        pa.field("tie", pa.int32(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("code", pa.int64()),
        pa.field("quality", pa.int32(), nullable=False),
        pa.field("detail", pa.int32(), nullable=False),
        pa.field("annotated", pa.bool_()),
    ]
)
"""`annotated` is null in what was landed before it was asked for, and in what a store gives back."""

# Fewer rows in a stretch than this, and moving stretches costs more than sorting rows.
_ROWS_PER_RUN = 100
_RUNS_MIN = 1_000

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def empty() -> pa.Table:
    """A table of no events."""
    return SCHEMA.empty_table()


def samples_table(columns: dict[str, pa.Array]) -> pa.Table:
    """A table in SCHEMA from columns given by name; columns left out are all null.

    Raises pyarrow.ArrowInvalid where a type does not fit.
    """
    rows = len(next(iter(columns.values())))
    arrays = []
    for wanted in SCHEMA:
        column = columns.get(wanted.name)
        if column is None:
            column = pa.nulls(rows, wanted.type)
        elif column.type != wanted.type:
            column = column.cast(wanted.type)
        arrays.append(column)
    return pa.table(arrays, schema=SCHEMA)


def times_ns(table: pa.Table) -> Int64s:
    """The times, int64 nanoseconds, one array."""
    return np.asarray(table["time"].combine_chunks().cast(pa.int64()))


def is_number(table: pa.Table) -> Bools:
    """True where the event has a number (goes to IoTDB's `samples`), False where it is a state (`states`)."""
    return np.asarray(pc.is_valid(table["value"].combine_chunks()))


def flagged(table: pa.Table) -> pa.Table:
    """The events that carry an annotation at the source."""
    column = table["annotated"]
    return table.slice(0, 0) if column.null_count == len(column) else table.filter(column.fill_null(False))


def codes_of(table: pa.Table) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Dictionary codes of the point column and the ids that they stand for, each id once."""
    column = table["point"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return np.asarray(column.indices), column.dictionary.to_pylist()


def number_ties(group: npt.NDArray[np.integer], times: Int64s) -> npt.NDArray[np.int32]:
    """Ties of events in the source's order: 0 for the first of a point at a stamp, then 1, 2, ….

    `group` holds any integer per point. Events need not be sorted; the order among equal (point, time) counts.
    """
    rows = len(times)
    ties = np.zeros(rows, dtype=np.int32)
    if rows < 2:
        return ties
    if bool(((times[1:] >= times[:-1]) | (group[1:] != group[:-1])).all()) and _grouped(group):
        return _ties_of(group, times)
    order = np.lexsort((np.arange(rows), times, group))
    ties[order] = _ties_of(group[order], times[order])
    return ties


def _ties_of(group: npt.NDArray[np.integer], times: Int64s) -> npt.NDArray[np.int32]:
    """Ties of events that are in order."""
    same = (times[1:] == times[:-1]) & (group[1:] == group[:-1])
    if not same.any():
        return np.zeros(len(times), dtype=np.int32)
    place = np.arange(len(times), dtype=np.int32)
    return place - np.maximum.accumulate(np.where(np.concatenate(([True], ~same)), place, 0)).astype(np.int32)


def ordered(table: pa.Table) -> pa.Table:
    """The events sorted by point id, time and tie; the point dictionary is sorted and holds only used ids."""
    codes, ids = codes_of(table)
    used = np.flatnonzero(np.bincount(codes, minlength=len(ids)))
    names = sorted(ids[code] for code in used)
    position = {name: index for index, name in enumerate(names)}
    remap = np.full(max(len(ids), 1), -1, dtype=np.int32)
    for code in used:
        remap[code] = position[ids[code]]
    ranks = remap[codes] if len(codes) else codes.astype(np.int32)
    point = pa.DictionaryArray.from_arrays(pa.array(ranks, pa.int32()), pa.array(names, pa.string()))
    table = table.set_column(0, SCHEMA.field("point"), point)
    times, ties = times_ns(table), np.asarray(table["tie"].combine_chunks())
    runs = _runs(ranks, times, ties)
    if runs is None:
        return table.take(pa.array(_sorted(ranks, times, ties))).combine_chunks()
    if runs:
        table = pa.concat_tables([table.slice(start, rows) for start, rows in runs])
    return table.combine_chunks()


def _runs(ranks: npt.NDArray[np.int32], times: Int64s, ties: npt.NDArray[np.int32]) -> list[tuple[int, int]] | None:
    """Stretches (start, rows) of one point each that are in order when put one after another; [] when they already
    are; None when rows have to be sorted.

    Sources give whole points, each in order of time: to move some hundred stretches is much cheaper than to sort.
    """
    if not len(ranks):
        return []
    changes = ranks[1:] != ranks[:-1]
    rising = (times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (ties[1:] > ties[:-1]))
    if not (changes | rising).all():
        return None
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    if len(starts) > _RUNS_MIN and len(starts) * _ROWS_PER_RUN > len(ranks):
        return None
    heads = ranks[starts]
    order = np.argsort(heads, kind="stable")
    rows = np.diff(np.append(starts, len(ranks)))[order]
    starts, heads = starts[order], heads[order]
    first, last = starts[1:], (starts + rows - 1)[:-1]
    after = (times[first] > times[last]) | ((times[first] == times[last]) & (ties[first] > ties[last]))
    if not (after | (heads[1:] != heads[:-1])).all():
        return None
    if bool((order[1:] > order[:-1]).all()):
        return []
    return list(zip(starts.tolist(), rows.tolist(), strict=True))


def _sorted(ranks: npt.NDArray[np.int32], times: Int64s, ties: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """The order of the rows by rank, time and tie; there is at least one row."""
    first = int(times.min())
    time_bits, tie_bits = (int(times.max()) - first).bit_length(), int(ties.max()).bit_length()
    if int(ties.min()) < 0 or time_bits + tie_bits + int(ranks.max()).bit_length() > 63:
        return np.lexsort((ties, times, ranks))
    # All three in one number. Rows come in few rising stretches, which the stable sort merges at the cost of reading.
    keys = (times - first) << tie_bits
    keys |= ranks.astype(np.int64) << (time_bits + tie_bits)
    keys |= ties
    return np.argsort(keys, kind="stable")


def coarsen(table: pa.Table, clock_ns: int) -> tuple[pa.Table, int]:
    """The events as a store with a coarser clock keeps them, and how many times were rounded (down).

    Events that fall on one stamp stay, as ties in their old order. `table` must be `ordered`.
    """
    if clock_ns == 1 or not len(table):
        return table, 0
    times = times_ns(table)
    rounded = times // clock_ns * clock_ns
    changed = int(np.count_nonzero(rounded != times))
    codes, _ = codes_of(table)
    ties = number_ties(codes, rounded)
    table = table.set_column(1, SCHEMA.field("time"), pa.array(rounded, pa.int64()).cast(TIME_TYPE))
    return table.set_column(2, SCHEMA.field("tie"), pa.array(ties, pa.int32())), changed


def _grouped(group: npt.NDArray[np.integer]) -> bool:
    heads = group[np.concatenate(([0], np.flatnonzero(group[1:] != group[:-1]) + 1))]
    return len(heads) == len(np.unique(heads))
