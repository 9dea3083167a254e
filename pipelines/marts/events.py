"""The events of a window in DuckDB: landed files → the tables that every mart reads.

One in-memory database a call, bounded by a setting: what does not fit spills into a scratch folder. Loading uses
THREADS threads; from `neighbours` on each statement runs on one: sums of doubles depend on the order of rows, which two
threads do not keep, and the same call must give the same bytes. Statements of one call may run beside each other.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.landing import DamagedLanding, Piece
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


def load(
    database: duckdb.DuckDBPyConnection, points: Sequence[Point], pieces: Sequence[Piece], window: Interval
) -> None:
    """Makes the tables `points` and `events`: the events of `points` inside `window`; other points are left out.

    Raises DamagedLanding when a file is missing or is no Parquet.
    """
    named = statements(_STATEMENTS)
    database.execute(named["points"])
    database.execute(named["events"])
    catalogue = _catalogue(points)
    database.register("catalogue", catalogue)
    database.execute("INSERT INTO points BY NAME SELECT * FROM catalogue")
    database.unregister("catalogue")
    for piece in pieces:
        if (part := piece.span.intersect(window)) is not None:
            _read(database, named["landed"], piece, part, {})


def find_neighbours(
    database: duckdb.DuckDBPyConnection, before: Sequence[Piece], after: Sequence[Piece], window: Interval
) -> None:
    """Makes the tables `neighbours` and `states` from `events`.

    `before` and `after` are what may hold each point's nearest event on either side of the window. From here on the
    database works on one thread (see above). Raises DamagedLanding.
    """
    load_nearest(database, before, after, window)
    named = statements(_STATEMENTS)
    database.execute("SET threads = 1")
    database.execute(named["neighbours"])
    database.execute(named["states"])


def load_nearest(
    database: duckdb.DuckDBPyConnection, before: Sequence[Piece], after: Sequence[Piece], window: Interval
) -> None:
    """Adds to `events`, from each file beside the window, each point's event that is nearest to it.

    Raises DamagedLanding.
    """
    named = statements(_STATEMENTS)
    sides = [
        (sorted(before, key=lambda each: -each.span.end_ns), -1, Interval(_EARLIEST_NS, window.start_ns)),
        (sorted(after, key=lambda each: each.span.start_ns), 1, Interval(window.end_ns, _LATEST_NS)),
    ]
    for pieces, direction, beside in sides:
        values: dict[str, object] = {"direction": direction, "edge_ns": window.start_ns}
        for piece in pieces:  # from the window outwards, until every point has its event
            if (part := piece.span.intersect(beside)) is None:
                continue
            if not database.execute(named["lacking"], values).fetchone():
                break
            _read(database, named["nearest"], piece, part, values)


def batches(
    database: duckdb.DuckDBPyConnection, name: str, parameters: dict[str, object], rows: int = 131_072
) -> Iterator[pa.RecordBatch]:
    """The result of the statement in file `name`, `rows` at a time; on a cursor of its own, so threads may share."""
    cursor = database.cursor()
    try:
        yield from cursor.sql(text(name).rstrip().rstrip(";"), params=parameters).to_arrow_reader(rows)
    finally:
        cursor.close()


def literal(path: Path) -> str:
    """The path as read_parquet takes it, which would take `*`, `?` and `[` in a folder's name for wildcards."""
    return str(path).translate(_WILD)


def _read(
    database: duckdb.DuckDBPyConnection, statement: str, piece: Piece, part: Interval, more: dict[str, object]
) -> None:
    if not piece.path.is_file():
        raise DamagedLanding(f"{piece.path}: the landed file is gone; the slice must be pulled again")
    values = {"path": literal(piece.path), "start_ns": part.start_ns, "end_ns": part.end_ns, **more}
    try:
        database.execute(statement, values)
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise DamagedLanding(f"{piece.path}: cannot be read as Parquet: {error}") from error


def _catalogue(points: Sequence[Point]) -> pa.Table:
    ranked = sorted(points, key=lambda point: point.id)
    ranges = [limits(point) for point in ranked]
    return pa.table(
        {
            "pt": pa.array(range(len(ranked)), pa.int32()),
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
