"""Exports for people who analyse: Parquet, a folder a data set, with true names and units.

    <destination>/samples/date=2026-01-01/S-g001.parquet        events, ordered by point, time, tie
    <destination>/aggregates_1h/date=2026-01-01/S-g001.parquet  aggregates, where they are made (1m, 1h, 1d)
    <destination>/points/S.parquet                              the catalogue

The source is a column, so that every reader sees it, also in one file alone. A destination holds one choice of points
and of the unit of time per source: files of another choice beside these would read as one data set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.landing import Piece
from pipelines.marts.aggregates import AGGREGATE_SCHEMA, INTERVALS
from pipelines.marts.destination import choose, claim
from pipelines.marts.events import batches, literal, load, opened
from pipelines.marts.files import mart_path, write_whole
from pipelines.marts.stamps import MICROSECOND, NANOSECOND
from pipelines.points import Point, selected
from pipelines.timeline import DAY_NS, Interval, days, to_datetime

EXPORT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("point", pa.string()),
        pa.field("name", pa.string()),
        pa.field("time", MICROSECOND),  # rounded down
        pa.field("time_ns", pa.int64()),  # exact
        pa.field("tie", pa.int32()),
        pa.field("value", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("code", pa.int64()),
        pa.field("quality", pa.int32()),
        pa.field("detail", pa.int32()),
        pa.field("unit", pa.string()),
    ]
)
POINTS_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("point", pa.string()),
        pa.field("name", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("source_type", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("description", pa.string()),
        pa.field("step", pa.bool_()),
        pa.field("future", pa.bool_()),
        pa.field("digital_set", pa.string()),
        pa.field("zero", pa.float64()),
        pa.field("span", pa.float64()),
    ]
)
AGGREGATE_EXPORT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("point", pa.string()),
        pa.field("name", pa.string()),
        pa.field("time", MICROSECOND),  # start of the bucket
        *(each for each in AGGREGATE_SCHEMA if each.name not in ("point", "time")),
        pa.field("unit", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Every file of events that was written, sorted, and how many events they hold together.

    `aggregate_rows` by interval, of the whole days; `unaggregated` are the groups and windows without aggregates.
    """

    paths: tuple[Path, ...]
    rows: int
    aggregate_rows: Mapping[str, int] = field(default_factory=dict)
    unaggregated: tuple[tuple[str, Interval], ...] = ()


@dataclass(frozen=True, slots=True)
class ExportInput:
    """What is exported of one source, and where to.

    `pieces` has what is current of the landing for each point group, also for a group without any: files of a day and
    group that hold nothing any more are removed. `windows` are those that touch `span`, whose aggregates lie below
    `marts`. `select` are globs of names; `nanoseconds` is for `time`.
    """

    points: Sequence[Point]
    pieces: Mapping[str, Sequence[Piece]]
    span: Interval
    destination: Path
    source: str
    memory_bytes: int
    select: Sequence[str] = ("*",)
    marts: Path | None = None
    windows: Sequence[Interval] = ()
    nanoseconds: bool = False


def export(given: ExportInput) -> ExportResult:
    """Writes the landed events of the span, and its aggregates, of the points whose name matches.

    The same call gives the same bytes. Raises ValueError unless the span is whole UTC days, Stop when the destination
    is not ours, DamagedLanding, NoRoom.
    """
    if given.span.start_ns % DAY_NS or given.span.end_ns % DAY_NS:
        raise ValueError(f"{given.span} is not whole UTC days: export files hold a day each")
    record = claim(given.destination)
    choice = {"source": given.source, "points": sorted(set(given.select)), "time": "ns" if given.nanoseconds else "us"}
    choose(record, f"source={given.source}", choice, "name another folder, or remove this one first")
    chosen = sorted(selected(given.points, given.select), key=lambda point: point.id)
    _write_points(given, chosen, record)
    paths: list[Path] = []
    rows = 0
    aggregated = dict.fromkeys(INTERVALS, 0)
    bare = []
    for group, pieces in sorted(given.pieces.items()):
        with opened(given.memory_bytes, record) as database:
            load(database, chosen, pieces, given.span)
            written = _write_events(database, given, group, record)
            paths += written
            rows += sum(written.values())
            bare += _write_aggregates(database, given, group, record, aggregated)
    return ExportResult(tuple(sorted(paths)), rows, aggregated if given.marts else {}, tuple(bare))


def _write_events(database: duckdb.DuckDBPyConnection, given: ExportInput, group: str, record: Path) -> dict[Path, int]:
    schema, values = EXPORT_SCHEMA, {"source": given.source, "unit_ns": 1000}
    if given.nanoseconds:
        schema = schema.set(schema.get_field_index("time"), pa.field("time", NANOSECOND))
        values["unit_ns"] = 1
    return _write_days(batches(database, "marts/export.sql", values), given, "samples", group, schema, record)


def _write_aggregates(
    database: duckdb.DuckDBPyConnection, given: ExportInput, group: str, record: Path, rows: dict[str, int]
) -> list[tuple[str, Interval]]:
    """Adds to `rows`, by interval; → the group and window of aggregates that are not made."""
    if given.marts is None:
        return []
    bare = set()
    for interval in INTERVALS:
        made = {
            window: mart_path(given.marts, f"aggregates/interval={interval}", given.source, window, group)
            for window in given.windows
        }
        bare |= {(group, window) for window, path in made.items() if not path.exists()}
        found = [literal(path) for path in made.values() if path.exists()]
        values = {
            "source": given.source, "paths": found, "start_ns": given.span.start_ns, "end_ns": given.span.end_ns,
        }  # fmt: skip
        rowed = batches(database, "marts/export_aggregates.sql", values) if found else iter(())
        schema = AGGREGATE_EXPORT_SCHEMA
        rows[interval] += sum(_write_days(rowed, given, f"aggregates_{interval}", group, schema, record).values())
    return sorted(bare)


def _write_days(
    rows: Iterator[pa.RecordBatch], given: ExportInput, dataset: str, group: str, schema: pa.Schema, record: Path
) -> dict[Path, int]:
    """Rows ordered by `day_ns` → a file a day, in the place of all that the data set had of the span and group."""
    written: dict[Path, int] = {}
    for day_ns, parts in itertools.groupby(_by_day(rows), key=lambda part: part[0]):
        path = _day_path(given, dataset, day_ns, group)
        written[path] = write_whole(path, schema, (batch for _, batch in parts), scratch=record).rows
    for day in days(given.span):
        path = _day_path(given, dataset, day.start_ns, group)
        if path not in written:
            path.unlink(missing_ok=True)
    return written


def _by_day(events: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches ordered by day → the same rows, each batch of one day only."""
    for batch in events:
        stamps = np.asarray(batch.column("day_ns"))
        edges = [0, *(np.flatnonzero(np.diff(stamps)) + 1).tolist(), len(stamps)]
        for start, end in itertools.pairwise(edges):
            if end > start:
                yield int(stamps[start]), batch.slice(start, end - start)


def _day_path(given: ExportInput, dataset: str, day_ns: int, group: str) -> Path:
    date = to_datetime(day_ns).strftime("%Y-%m-%d")
    return given.destination / dataset / f"date={date}" / f"{given.source}-{group}.parquet"


def _write_points(given: ExportInput, points: Sequence[Point], record: Path) -> None:
    columns = {
        "source": [given.source] * len(points),
        "point": [point.id for point in points],
        **{name: [getattr(point, name) for point in points] for name in POINTS_SCHEMA.names[2:]},
    }
    path = given.destination / "points" / f"{given.source}.parquet"
    write_whole(path, POINTS_SCHEMA, pa.table(columns, schema=POINTS_SCHEMA).to_batches(), scratch=record)
