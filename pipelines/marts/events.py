"""The events of a window in DuckDB: landed files → the tables that every mart reads.

One in-memory database a call, bounded by a setting: what does not fit spills into a scratch folder. Loading uses
THREADS threads; from `neighbours` on each statement runs on one: sums of doubles depend on the order of rows, which two
threads do not keep, and the same call must give the same bytes. Statements of one call may run beside each other.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.landing import DamagedLanding, Piece, checked
from pipelines.points import NUMERIC_KINDS, Point
from pipelines.ports import NoRoom
from pipelines.timeline import Interval
from sql import statements, text

THREADS = 2
_STATEMENTS = "marts/events.sql"
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1
_WILD = str.maketrans({character: f"[{character}]" for character in "*?["})


@contextlib.contextmanager
def opened(memory_bytes: int, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty in-memory DuckDB in UTC that never takes more than `memory_bytes` and spills below `scratch`.

    It never loads an extension from the network. Raises NoRoom when neither memory nor the scratch folder suffices.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    spill = Path(tempfile.mkdtemp(prefix=".spill-", dir=scratch))
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS,
        "memory_limit": f"{memory_bytes // 1024}KiB",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
    }
    try:
        with contextlib.closing(duckdb.connect(config=settings)) as database:
            database.execute("SET TimeZone = 'UTC'")
            yield database
    except duckdb.OutOfMemoryException as error:
        raise NoRoom(
            f"the marts need more than {memory_bytes / 1e6:.0f} MB of memory and what is free in {scratch}: "
            f"raise the memory setting or free some disk"
        ) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Landed:
    """What is landed of the points of one group: `pieces` inside a window, and `before` and `after` what may hold each
    point's nearest event outside it. Events of other points are left out; points may have no event."""

    points: Sequence[Point]
    pieces: Sequence[Piece]
    before: Sequence[Piece] = ()
    after: Sequence[Piece] = ()


def load(database: duckdb.DuckDBPyConnection, groups: Sequence[Landed], window: Interval) -> None:
    """Makes the tables `points` and `events`: the events inside `window`.

    Points are numbered group by group, in the order of ids, so what is ordered by point is ordered by group too.
    Raises DamagedLanding when a file is missing or not what its manifest says.
    """
    named = statements(_STATEMENTS)
    database.execute(named["points"])
    database.execute(named["events"])
    catalogue = _catalogue([(place, point) for place, each in enumerate(groups) for point in _ranked(each.points)])
    database.register("catalogue", catalogue)
    database.execute("INSERT INTO points BY NAME SELECT * FROM catalogue")
    database.unregister("catalogue")
    for part, files in _by_part(groups, "pieces", window).items():
        _read(database, named["landed"], [path for _, path in files], part, {})


def find_neighbours(database: duckdb.DuckDBPyConnection, groups: Sequence[Landed], window: Interval) -> None:
    """Makes the tables `neighbours` and `states` from `events`.

    From here on the database works on one thread (see above). Raises DamagedLanding.
    """
    load_nearest(database, groups, window)
    named = statements(_STATEMENTS)
    database.execute("SET threads = 1")
    database.execute(named["neighbours"])
    database.execute(named["states"])


def load_nearest(database: duckdb.DuckDBPyConnection, groups: Sequence[Landed], window: Interval) -> None:
    """Adds to `events`, from each file beside the window, each point's event that is nearest to it.

    Files are read from the window outwards, until every point of their group has its event. Raises DamagedLanding.
    """
    named = statements(_STATEMENTS)
    before = _by_part(groups, "before", Interval(_EARLIEST_NS, window.start_ns))
    after = _by_part(groups, "after", Interval(window.end_ns, _LATEST_NS))
    sides = [
        (sorted(before.items(), key=lambda each: -each[0].end_ns), -1),
        (sorted(after.items(), key=lambda each: each[0].start_ns), 1),
    ]
    for outwards, direction in sides:
        values: dict[str, object] = {"direction": direction, "edge_ns": window.start_ns}
        for part, files in outwards:
            lacking = {place for (place,) in database.execute(named["lacking"], values).fetchall()}
            if not lacking:
                break
            if paths := [path for place, path in files if place in lacking]:
                _read(database, named["nearest"], paths, part, values)


def batches(
    database: duckdb.DuckDBPyConnection, name: str, parameters: dict[str, object], rows: int = 131_072
) -> Iterator[pa.RecordBatch]:
    """The result of the statement in file `name`, `rows` at a time; on a cursor of its own, so threads may share."""
    cursor = database.cursor()
    try:
        yield from cursor.sql(text(name).rstrip().rstrip(";"), params=parameters).to_arrow_reader(rows)
    finally:
        cursor.close()


def cut(rows: Iterable[pa.RecordBatch], *columns: str) -> Iterator[tuple[tuple[int, ...], pa.RecordBatch]]:
    """Batches ordered by integer columns → the same rows, each batch of one value of each column, with those values."""
    for batch in rows:
        keys = np.stack([np.asarray(batch.column(name)) for name in columns])
        edges = [0, *(np.flatnonzero((np.diff(keys) != 0).any(axis=0)) + 1).tolist(), len(batch)]
        for start, end in itertools.pairwise(edges):
            if end > start:
                yield tuple(keys[:, start].tolist()), batch.slice(start, end - start)


def literal(path: Path) -> str:
    """The path as read_parquet takes it, which would take `*`, `?` and `[` in a folder's name for wildcards."""
    return str(path).translate(_WILD)


def files_by_part(groups: Sequence[Landed], window: Interval) -> dict[Interval, list[Path]]:
    """The files that count in the window, by the part of it in which they do."""
    return {part: [path for _, path in files] for part, files in _by_part(groups, "pieces", window).items()}


def _by_part(
    groups: Sequence[Landed], side: Literal["pieces", "before", "after"], bounds: Interval
) -> dict[Interval, list[tuple[int, Path]]]:
    """The part of its span inside the bounds in which a file counts → those files, each with its group's place."""
    found: dict[Interval, list[tuple[int, Path]]] = {}
    for place, group in enumerate(groups):
        for piece in getattr(group, side):
            if (part := piece.span.intersect(bounds)) is not None:
                found.setdefault(part, []).append((place, piece.path))
    return found


def _read(
    database: duckdb.DuckDBPyConnection, statement: str, paths: Sequence[Path], part: Interval, more: dict[str, object]
) -> None:
    for path in paths:
        checked(path)
    values = {"paths": [literal(path) for path in paths], "start_ns": part.start_ns, "end_ns": part.end_ns, **more}
    try:
        database.execute(statement, values)
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise DamagedLanding(f"{', '.join(map(str, paths))}: cannot be read as Parquet: {error}") from error


def _ranked(points: Sequence[Point]) -> list[Point]:
    return sorted(points, key=lambda point: point.id)


def _catalogue(points: Sequence[tuple[int, Point]]) -> pa.Table:
    """Points with the places of their groups → rows of the table `points`."""
    ranked = [point for _, point in points]
    ranges = [limits(point) for point in ranked]
    return pa.table(
        {
            "pt": pa.array(range(len(ranked)), pa.int32()),
            "grp": pa.array([place for place, _ in points], pa.int32()),
            "point": pa.array([point.id for point in ranked], pa.string()),
            "name": pa.array([point.name for point in ranked], pa.string()),
            "unit": pa.array([point.unit for point in ranked], pa.string()),
            "linear": pa.array([is_linear(point) for point in ranked], pa.bool_()),
            "numeric": pa.array([point.kind in NUMERIC_KINDS for point in ranked], pa.bool_()),
            "low": pa.array([low for low, _ in ranges], pa.float64()),
            "high": pa.array([high for _, high in ranges], pa.float64()),
        }
    )


def is_linear(point: Point) -> bool:
    """Whether the point is a straight line between its events. PI: Step 0; a switch or a state is never a line."""
    return not point.step and point.kind in ("number", "integer")


def limits(point: Point) -> tuple[float | None, float | None]:
    """Zero and zero + span, the range that the point was configured for; PI allows a negative span."""
    if point.zero is None or point.span is None:
        return None, None
    return min(point.zero, point.zero + point.span), max(point.zero, point.zero + point.span)
