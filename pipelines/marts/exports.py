"""Exports for people who analyse: Parquet, a folder a data set, with true names and units.

    <destination>/samples/date=2026-01-01/S-g001.parquet        events, ordered by point, time, tie
    <destination>/aggregates_1h/date=2026-01-01/S-g001.parquet  aggregates, where they are made (1m, 1h, 1d)
    <destination>/annotations/date=2026-01-01/S-g001.parquet    what people wrote to events, where they did
    <destination>/points/S.parquet                              the catalogue

The source is a column, so that every reader sees it, also in one file alone. A destination holds one choice of points
and of the unit of time per source: files of another choice beside these would read as one data set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.marts.aggregates import AGGREGATE_SCHEMA, INTERVALS
from pipelines.marts.destination import choose, claim
from pipelines.marts.events import Landed, batches, cut, files_by_part, literal, load, opened
from pipelines.marts.files import mart_path, write_whole
from pipelines.marts.long_texts import filled
from pipelines.marts.stamps import MICROSECOND, NANOSECOND, dated
from pipelines.points import Point, selected
from pipelines.ports import ANNOTATION_SCHEMA
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
ANNOTATION_EXPORT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("point", pa.string()),
        pa.field("name", pa.string()),
        *(each for each in dated(ANNOTATION_SCHEMA.empty_table(), "").schema if each.name not in ("source", "point")),
    ]
)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Every file of events that was written, sorted, and the rows of each group by data set: samples, aggregates_1m, ….

    `unaggregated` are the groups and windows without aggregates.
    """

    paths: tuple[Path, ...]
    written: Mapping[str, Mapping[str, int]]
    unaggregated: tuple[tuple[str, Interval], ...] = ()

    def rows(self, dataset: str) -> int:
        """The rows of a data set, of all groups."""
        return sum(each.get(dataset, 0) for each in self.written.values())


@dataclass(frozen=True, slots=True)
class ExportInput:
    """What is exported of one source, and where to.

    `batches` has what is landed of each point group, also of a group without any: files of a day and group that hold
    nothing any more are removed. The groups of a batch are loaded together. `windows` are those that touch `span`,
    whose aggregates lie below `marts`. `points` is the catalogue, `select` are globs of names; `nanoseconds` is for
    `time`. `annotations` (ANNOTATION_SCHEMA) are those of the span.
    """

    points: Sequence[Point]
    batches: Sequence[Mapping[str, Landed]]
    span: Interval
    destination: Path
    source: str
    memory_bytes: int
    select: Sequence[str] = ("*",)
    marts: Path | None = None
    windows: Sequence[Interval] = ()
    nanoseconds: bool = False
    annotations: pa.Table = field(default_factory=ANNOTATION_SCHEMA.empty_table)


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
    _write_points(given, sorted(selected(given.points, given.select), key=lambda point: point.id), record)
    paths: list[Path] = []
    written: dict[str, dict[str, int]] = {}
    bare: list[tuple[str, Interval]] = []
    for groups in given.batches:
        chosen = {label: replace(each, points=selected(each.points, given.select)) for label, each in groups.items()}
        with opened(given.memory_bytes, record) as database:
            load(database, list(chosen.values()), given.span)
            datasets = {"samples": filled(_events(database, given), files_by_part(list(chosen.values()), given.span))}
            if given.marts is not None:
                bare += _bare(given, groups)
                datasets |= {f"aggregates_{each}": _aggregates(database, given, each, groups) for each in INTERVALS}
            datasets["annotations"] = _annotations(given, list(chosen.values()))
            for dataset, rows in datasets.items():
                found = _write_days(rows, given, dataset, list(groups), record)
                if dataset == "samples":
                    paths += [_day_path(given, dataset, *key) for key in found]
                for (_, group), count in found.items():
                    of_group = written.setdefault(group, {})
                    of_group[dataset] = of_group.get(dataset, 0) + count
    return ExportResult(tuple(sorted(paths)), written, tuple(sorted(bare)))


def _events(database: duckdb.DuckDBPyConnection, given: ExportInput) -> Iterator[pa.RecordBatch]:
    values: dict[str, object] = {"source": given.source, "unit_ns": 1 if given.nanoseconds else 1000}
    return batches(database, "marts/export.sql", values)


def _aggregates(
    database: duckdb.DuckDBPyConnection, given: ExportInput, interval: str, groups: Iterable[str]
) -> Iterator[pa.RecordBatch]:
    made = [path for path in _made(given, interval, groups).values() if path.exists()]
    values: dict[str, object] = {
        "source": given.source, "paths": [literal(path) for path in made], "start_ns": given.span.start_ns,
        "end_ns": given.span.end_ns,
    }  # fmt: skip
    return batches(database, "marts/export_aggregates.sql", values) if made else iter(())


def _annotations(given: ExportInput, groups: Sequence[Landed]) -> Iterator[pa.RecordBatch]:
    """The annotations of the groups' points, by day, group, point, time and tie."""
    places = {point.id: (place, point.name) for place, group in enumerate(groups) for point in group.points}
    known = pa.array(sorted(places), pa.string())
    mine = given.annotations.filter(pc.is_in(given.annotations["point"], value_set=known))
    if not len(mine):
        return iter(())
    owners = [places[point] for point in mine["point"].to_pylist()]
    table = dated(mine, given.source).append_column("name", pa.array([name for _, name in owners], pa.string()))
    day_ns = [time_ns // DAY_NS * DAY_NS for time_ns in mine["time_ns"].to_pylist()]
    table = table.append_column("day_ns", pa.array(day_ns, pa.int64()))
    table = table.append_column("grp", pa.array([place for place, _ in owners], pa.int32()))
    order = [(name, "ascending") for name in ("day_ns", "grp", "point", "time_ns", "tie", "place")]
    return iter(table.sort_by(order).select([*ANNOTATION_EXPORT_SCHEMA.names, "day_ns", "grp"]).to_batches())


def _bare(given: ExportInput, groups: Iterable[str]) -> set[tuple[str, Interval]]:
    """The groups and windows of which aggregates are not made."""
    return {
        pair for interval in INTERVALS for pair, path in _made(given, interval, groups).items() if not path.exists()
    }


def _made(given: ExportInput, interval: str, groups: Iterable[str]) -> dict[tuple[str, Interval], Path]:
    assert given.marts is not None
    mart = f"aggregates/interval={interval}"
    return {
        (group, window): mart_path(given.marts, mart, given.source, window, group)
        for group in groups
        for window in given.windows
    }


def _write_days(
    rows: Iterator[pa.RecordBatch], given: ExportInput, dataset: str, groups: Sequence[str], record: Path
) -> dict[tuple[int, str], int]:
    """Rows ordered by `day_ns` and `grp` → a file a day and group, in the place of all that was there; returns the rows
    of each."""
    schema = _schema(given, dataset)
    written: dict[tuple[int, str], int] = {}
    for (day_ns, place), parts in itertools.groupby(cut(rows, "day_ns", "grp"), key=lambda part: part[0]):
        path = _day_path(given, dataset, day_ns, groups[place])
        written[day_ns, groups[place]] = write_whole(path, schema, (part for _, part in parts), scratch=record).rows
    for day in days(given.span):
        for group in groups:
            if (day.start_ns, group) not in written:
                _day_path(given, dataset, day.start_ns, group).unlink(missing_ok=True)
    return written


def _schema(given: ExportInput, dataset: str) -> pa.Schema:
    if dataset == "annotations":
        return ANNOTATION_EXPORT_SCHEMA
    if dataset != "samples":
        return AGGREGATE_EXPORT_SCHEMA
    time = pa.field("time", NANOSECOND if given.nanoseconds else MICROSECOND)
    return EXPORT_SCHEMA.set(EXPORT_SCHEMA.get_field_index("time"), time)


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
