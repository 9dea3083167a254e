"""Exports for people who analyse: Parquet, Hive-style, with true names and units.

    <destination>/samples/source=S/date=2026-01-01/group=g001.parquet   events, ordered by point, time, tie
    <destination>/points/source=S.parquet                              the catalogue
    <destination>/points/source=S.json                                 which points were chosen

A destination holds exports and nothing else, and one choice of points per source: files of another choice beside
these would read as one data set.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.landing import Piece
from pipelines.marts.events import batches, load, opened
from pipelines.marts.files import appearing, write_whole
from pipelines.marts.journal import FOLDERS
from pipelines.points import Point, selected
from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, Interval, days, to_datetime

EXPORT_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string()),
        pa.field("name", pa.string()),
        pa.field("time", pa.timestamp("ns", tz="UTC")),
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


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Every file of events that was written, sorted, and how many events they hold together."""

    paths: tuple[Path, ...]
    rows: int


def export(
    points: Sequence[Point],
    pieces: Mapping[str, Sequence[Piece]],
    window: Interval,
    destination: Path,
    source: str,
    memory_bytes: int,
    select: Sequence[str] = ("*",),
) -> ExportResult:
    """Writes the landed events of the window, of the points whose name matches a glob of `select`.

    `pieces` has what is current of the landing for each point group, also for a group without any: files of a day
    and group that hold nothing any more are removed. The same call gives the same bytes. Raises ValueError unless
    the window is whole UTC days, Stop when the destination is not ours, DamagedLanding, NoRoom.
    """
    if window.start_ns % DAY_NS or window.end_ns % DAY_NS:
        raise ValueError(f"{window} is not whole UTC days: export files hold a day each")
    chosen = sorted(selected(points, select), key=lambda point: point.id)
    _claim(destination, source, select)
    _write_points(destination / "points" / f"source={source}.parquet", chosen)
    paths: list[Path] = []
    rows = 0
    for group, landed in sorted(pieces.items()):
        result = _export_group(chosen, landed, window, destination, source, group, memory_bytes)
        paths += result.paths
        rows += result.rows
    return ExportResult(tuple(sorted(paths)), rows)


def _export_group(
    points: Sequence[Point],
    pieces: Sequence[Piece],
    window: Interval,
    destination: Path,
    source: str,
    group: str,
    memory_bytes: int,
) -> ExportResult:
    written: dict[Path, int] = {}
    with opened(memory_bytes, destination / "samples") as database:
        load(database, points, pieces, window)
        events = _by_day(batches(database, "marts/export.sql", {}))
        for day_ns, parts in itertools.groupby(events, key=lambda part: part[0]):
            path = _day_path(destination, source, day_ns, group)
            written[path] = write_whole(path, EXPORT_SCHEMA, (batch for _, batch in parts)).rows
    for day in days(window):
        path = _day_path(destination, source, day.start_ns, group)
        if path not in written:
            path.unlink(missing_ok=True)
    return ExportResult(tuple(written), sum(written.values()))


def _by_day(events: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches ordered by day → the same rows, each batch of one day only."""
    for batch in events:
        stamps = np.asarray(batch.column("day_ns"))
        edges = [0, *(np.flatnonzero(np.diff(stamps)) + 1).tolist(), len(stamps)]
        for start, end in itertools.pairwise(edges):
            if end > start:
                yield int(stamps[start]), batch.slice(start, end - start)


def _day_path(destination: Path, source: str, day_ns: int, group: str) -> Path:
    date = to_datetime(day_ns).strftime("%Y-%m-%d")
    return destination / "samples" / f"source={source}" / f"date={date}" / f"group={group}.parquet"


def _claim(destination: Path, source: str, select: Sequence[str]) -> None:
    """Checks that the destination is ours, for this choice of points, and marks it so."""
    if destination.exists() and not destination.is_dir():
        raise Stop(f"{destination} is a file: name a folder to export into")
    for entry in _entries(destination):
        if entry.name not in ("samples", "points", *FOLDERS):
            raise Stop(f"{destination} holds {entry.name!r}, which no export wrote: name a folder of its own")
    for entry in (*_entries(destination / "samples"), *_entries(destination / "points")):
        if not entry.name.startswith("source="):
            raise Stop(f"{destination} holds {entry.name!r}, which no export wrote: name a folder of its own")
    marker = destination / "points" / f"source={source}.json"
    choice = json.dumps({"source": source, "points": sorted(set(select))}, ensure_ascii=False) + "\n"
    if marker.exists():
        if marker.read_text(encoding="utf-8") != choice:
            raise Stop(
                f"{destination} holds an export of {source!r} with another choice of points ({marker.name}): "
                f"name another folder, or remove this one first"
            )
        return
    with appearing(marker) as part:
        part.write_text(choice, encoding="utf-8")


def _entries(folder: Path) -> list[Path]:
    """What lies in the folder, apart from hidden files (parts of a running export, a file manager's notes)."""
    return sorted(entry for entry in folder.glob("*") if not entry.name.startswith("."))


def _write_points(path: Path, points: Sequence[Point]) -> None:
    columns = {
        "point": [point.id for point in points],
        **{name: [getattr(point, name) for point in points] for name in POINTS_SCHEMA.names[1:]},
    }
    write_whole(path, POINTS_SCHEMA, pa.table(columns, schema=POINTS_SCHEMA).to_batches())
