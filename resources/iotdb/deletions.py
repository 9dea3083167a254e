"""Deleting exactly the rows that are named, and no ghosts left of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.ports import Retry
from pipelines.timeline import Interval, iso
from resources.iotdb.extents import planned
from resources.iotdb.layout import TAG_TYPE, Table
from resources.iotdb.rows import whole
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import chunks, delete, flush, run_of, select, within

_RUNS_PER_STATEMENT = 200
_TRIES = 3
_NONE = np.zeros(0, np.int64)
_Device = tuple[str, ...]
_Times = npt.NDArray[np.int64]


def delete_rows(sessions: Sessions, table: Table, rows: pa.Table, clock_ns: int) -> None:
    """Deletes the rows whose TAGs and time are in `rows` (the table's TAGs and `time`, one source).

    IoTDB's DELETE takes a device and a range of time, and brings ghosts back when rows are still in memory
    (facts/iotdb.md, trap 5): so FLUSH first, delete runs of rows that have no kept row between them, FLUSH, look again.
    Nobody else may write these points meanwhile. Raises Retry when rows are still there, or others are gone.
    """
    if not len(rows):
        return
    doomed = _by_device(table, rows)
    before = stored = _stored(sessions, table, doomed, clock_ns)
    for _ in range(_TRIES):
        runs = list(_conditions(table, stored, doomed))
        if not runs:
            break
        sessions.run(flush(sessions.database), "flushing before a delete")
        for start in range(0, len(runs), _RUNS_PER_STATEMENT):
            statement = delete(sessions.database, table, runs[start : start + _RUNS_PER_STATEMENT])
            sessions.run(statement, f"deleting from {table.name}")
        sessions.run(flush(sessions.database), "flushing after a delete")
        stored = _stored(sessions, table, doomed, clock_ns)
    _check(sessions, table, doomed, before, stored, clock_ns)


def _conditions(table: Table, stored: dict[_Device, _Times], doomed: dict[_Device, _Times]) -> Iterator[str]:
    """SQL of each run of stored rows that are all doomed."""
    for device, times in doomed.items():
        for first, last in _runs(stored.get(device, _NONE), times):
            yield run_of(dict(zip(table.tags, device, strict=True)), first, last)


def _by_device(table: Table, rows: pa.Table) -> dict[_Device, _Times]:
    """The times of each device, sorted."""
    if not len(rows):
        return {}
    columns = [whole(rows[name].cast(TAG_TYPE)) for name in table.tags]
    times = np.asarray(rows["time"].combine_chunks())
    codes = [np.asarray(column.indices) for column in columns]
    order = np.lexsort((times, *reversed(codes)))
    times, codes = times[order], [each[order] for each in codes]
    changes = np.any([np.diff(each) != 0 for each in codes], axis=0)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    names = [column.dictionary.to_pylist() for column in columns]
    devices = [tuple(values[each[start]] for values, each in zip(names, codes, strict=True)) for start in starts]
    return dict(zip(devices, np.split(times, starts[1:]), strict=True))


def _stored(sessions: Sessions, table: Table, doomed: dict[_Device, _Times], clock_ns: int) -> dict[_Device, _Times]:
    """The times that the points of `doomed` have now, between the first and the last of them."""
    first = min(int(times[0]) for times in doomed.values())
    last = max(int(times[-1]) for times in doomed.values())
    span = Interval(first * clock_ns, last * clock_ns + 1)
    source, point = next(iter(doomed))[0], table.tags.index("point")
    stored: dict[_Device, _Times] = {}
    for some in chunks(device[point] for device in doomed):
        columns = ", ".join([*table.tags, "time"])
        found = [
            sessions.query(select(sessions.database, table, columns, condition), "looking for rows to delete")
            for part in planned(sessions, table, source, some, span, clock_ns)
            for condition in [within(source, some, part, clock_ns)]
        ]
        if found:
            stored |= _by_device(table, pa.concat_tables(found))
    return stored


def _runs(stored: _Times, doomed: _Times) -> Iterator[tuple[int, int]]:
    """First and last time of each run of stored rows that are all doomed."""
    marked = np.isin(stored, doomed, assume_unique=True)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0]))))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(stored[start]), int(stored[stop - 1])


def _check(
    sessions: Sessions,
    table: Table,
    doomed: dict[_Device, _Times],
    before: dict[_Device, _Times],
    now: dict[_Device, _Times],
    clock_ns: int,
) -> None:
    """Raises Retry unless just the doomed rows of `before` are gone."""
    for device, held in before.items():
        there, wanted = now.get(device, _NONE), doomed.get(device, _NONE)
        left = np.intersect1d(there, wanted)
        lost = np.setdiff1d(np.setdiff1d(held, wanted), there)
        for times, what in ((left, "still there"), (lost, "gone that should have stayed")):
            if len(times):
                raise Retry(
                    f"{sessions.where}: after deleting in {table.name}, {len(times)} rows of point {device[1]} are "
                    f"{what}, such as the one at {iso(int(times[0]) * clock_ns)}. The window must be replaced"
                )
