"""A wide table: a row an instant, a column a point, resampled by a rule that is said.

    <destination>/wide/S-1min-last/wide.parquet    or    <destination>/wide/S-1min-last.csv

Rows are at whole multiples of the step since 1970, UTC. The rules:

- `time-weighted`: the mean over [row, row + step), over the time in which the point is known.
- `last`: the last event at or before the row.
- `interpolated`: on the straight line between the events on either side; a step point holds its last value.

The same for all of them: an event that is not usable (bad, not finite) ends what was known, until the next usable one;
an event counts for `tolerance` at most, and no line is drawn between events that are farther apart; nothing is known
where nothing was moved. What is not known is null. Columns of states are what held at the row, whatever the rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipelines.landing import Piece
from pipelines.marts.destination import choose, claim
from pipelines.marts.events import Landed, load, load_nearest, opened
from pipelines.marts.files import appearing
from pipelines.marts.stamps import MICROSECOND
from pipelines.points import NUMERIC_KINDS, Point
from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, HOUR_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS, Interval
from sql import statements

Rule = Literal["time-weighted", "last", "interpolated"]
RULES: tuple[Rule, ...] = ("time-weighted", "last", "interpolated")
_UNITS = {"d": DAY_NS, "h": HOUR_NS, "min": MINUTE_NS, "s": SECOND_NS, "ms": MILLISECOND_NS}
_CHUNK_BYTES = 32 << 20
_CHUNK_ROWS = 65_536
_FOR_EVER_NS = 1 << 61


@dataclass(frozen=True, slots=True)
class WideInput:
    """What is resampled, how, and where it goes.

    `pieces` is what is current of the landing inside the span, `before` and `after` what may hold each point's nearest
    event outside it; `covered` has, by point id, where what is landed counts. No `tolerance_ns` is no limit.
    """

    points: Sequence[Point]
    pieces: Sequence[Piece]
    before: Sequence[Piece]
    after: Sequence[Piece]
    covered: Mapping[str, Sequence[Interval]]
    span: Interval
    destination: Path
    source: str
    select: Sequence[str]
    memory_bytes: int
    every_ns: int
    rule: Rule
    tolerance_ns: int | None = None
    csv: bool = False

    @property
    def name(self) -> str:
        """Of the table: source, step and rule."""
        return f"{self.source}-{duration(self.every_ns)}-{self.rule}"

    @property
    def rows(self) -> Interval | None:
        """From the first row to one step after the last; None when the span has no row."""
        start = -(-self.span.start_ns // self.every_ns) * self.every_ns
        left_ns = self.span.end_ns - start
        count = left_ns // self.every_ns if self.rule == "time-weighted" else -(-left_ns // self.every_ns)
        return Interval(start, start + count * self.every_ns) if count > 0 else None


@dataclass(frozen=True, slots=True)
class WideResult:
    """The table that was written, and how many of its cells are known."""

    path: Path
    rows: int
    points: int
    known: int


def write_wide(given: WideInput) -> WideResult:
    """Writes the table in the place of the one of the same name. The same call gives the same bytes.

    Raises Stop for a step without a row in the span, and for a destination that is not ours or has another choice of
    points or tolerance under this name; DamagedLanding, NoRoom.
    """
    if given.every_ns <= 0 or given.every_ns % MILLISECOND_NS:
        raise Stop(f"a step of {duration(given.every_ns)} is not whole milliseconds: choose another --every")
    rows = given.rows
    if rows is None:
        raise Stop(f"{given.span} has no row: a step of {duration(given.every_ns)} is longer; choose a shorter --every")
    record = claim(given.destination)
    choice = {
        "points": sorted(set(given.select)),
        "tolerance": None if given.tolerance_ns is None else duration(given.tolerance_ns),
    }
    choose(record, f"wide-{given.name}", choice, "name another folder")
    points = sorted(given.points, key=lambda point: point.id)
    path = given.destination / "wide" / (f"{given.name}.csv" if given.csv else f"{given.name}/wide.parquet")
    known = 0
    with opened(given.memory_bytes, record) as database, appearing(path, record) as part:
        chunk_ns = _find_parts(database, given, points, rows)
        schema, order = _schema(given, points)
        with _writer(given, part, schema) as write:
            for chunk in range(-(-rows.length_ns // chunk_ns)):
                start_ns = rows.start_ns + chunk * chunk_ns
                place = Interval(start_ns, min(start_ns + chunk_ns, rows.end_ns))
                columns = _columns(database, given, points, rows, chunk, place)
                known += sum(len(column) - column.null_count for column in columns)
                stamps = pa.array(np.arange(place.start_ns, place.end_ns, given.every_ns) // 1000).cast(MICROSECOND)
                write(pa.table([stamps, *(columns[each] for each in order)], schema=schema))
    return WideResult(path, rows.length_ns // given.every_ns, len(points), known)


def duration(ns: int) -> str:
    """90 s in nanoseconds → '90s'."""
    unit = next((unit for unit, length in _UNITS.items() if ns % length == 0), None)
    return f"{ns // _UNITS[unit]}{unit}" if unit else f"{ns}ns"


def _find_parts(database: duckdb.DuckDBPyConnection, given: WideInput, points: Sequence[Point], rows: Interval) -> int:
    """Makes the table `parts` and returns the length of a chunk, nanoseconds."""
    chunk_rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // (8 * len(points))))
    named = statements("marts/wide.sql")
    landed = [Landed(points, given.pieces, given.before, given.after)]
    load(database, landed, given.span)
    load_nearest(database, landed, given.span)
    database.execute(named["covered"])
    spans = [(pt, each) for pt, point in enumerate(points) for each in given.covered.get(point.id, ())]
    covered = pa.table(
        {
            "pt": pa.array([pt for pt, _ in spans], pa.int32()),
            "start_ns": pa.array([each.start_ns for _, each in spans], pa.int64()),
            "end_ns": pa.array([each.end_ns for _, each in spans], pa.int64()),
        }
    )
    database.register("spans", covered)
    database.execute("INSERT INTO covered SELECT * FROM spans")
    database.unregister("spans")
    database.execute("SET threads = 1")
    values = {
        "lines": given.rule != "last", "start_ns": rows.start_ns, "end_ns": rows.end_ns, "hold_ns": _hold_ns(given),
        "tolerance_ns": _FOR_EVER_NS if given.tolerance_ns is None else given.tolerance_ns,
        "chunk_ns": chunk_rows * given.every_ns,
    }  # fmt: skip
    database.execute(named["parts"], values)
    return chunk_rows * given.every_ns


def _hold_ns(given: WideInput) -> int:
    return _FOR_EVER_NS if given.tolerance_ns is None else min(given.tolerance_ns, _FOR_EVER_NS)


def _columns(
    database: duckdb.DuckDBPyConnection, given: WideInput, points: Sequence[Point], rows: Interval, chunk: int,
    place: Interval,
) -> list[pa.Array]:  # fmt: skip
    """A chunk's column of each point."""
    named = statements("marts/wide.sql")
    first, count = (place.start_ns - rows.start_ns) // given.every_ns, -(-place.length_ns // given.every_ns)
    numbers = np.full((len(points), count), np.nan)
    states: dict[int, np.ndarray] = {
        pt: np.full(count, None, object) for pt, point in enumerate(points) if point.kind not in NUMERIC_KINDS
    }
    values: dict[str, object] = {"chunk": chunk, "start_ns": rows.start_ns, "every_ns": given.every_ns}
    means = given.rule == "time-weighted"
    if means:
        found = database.sql(named["means"].rstrip(";"), params={**values, "hold_ns": _hold_ns(given)})
        _place(found.to_arrow_table(), first, numbers)
    if states or not means:
        found = database.sql(named["instants"].rstrip(";"), params={**values, "only_states": means})
        told = found.to_arrow_table()
        if not means:
            _place(told, first, numbers)
        told = told.filter(told["state"].is_valid())
        pts, places = told["pt"].to_numpy(), told["place"].to_numpy() - first
        texts = told["state"].to_numpy()
        for pt, column in states.items():
            mine = pts == pt
            column[places[mine]] = texts[mine]
    return [
        pa.array(states[pt], pa.string()) if pt in states else pa.array(numbers[pt], mask=np.isnan(numbers[pt]))
        for pt in range(len(points))
    ]


def _place(found: pa.Table, first: int, numbers: np.ndarray) -> None:
    """Numbers of (pt, place) into a chunk whose first row has place `first`."""
    numbers[found["pt"].to_numpy(), found["place"].to_numpy() - first] = found["number"].to_numpy()


def _schema(given: WideInput, points: Sequence[Point]) -> tuple[pa.Schema, list[int]]:
    """Of the table, and the place of each column's point in `points`: by name. Units and ids are in the metadata."""
    order = sorted(range(len(points)), key=lambda place: (points[place].name, points[place].id))
    fields, taken = [pa.field("time", MICROSECOND)], {"time"}
    for place in order:
        point = points[place]
        # Readers take upper and lower case for the same.
        names = [point.name, point.id, *(f"{point.id}~{number}" for number in range(2, len(points) + 3))]
        name = next(each for each in names if each.casefold() not in taken)
        taken.add(name.casefold())
        kind = pa.float64() if point.kind in NUMERIC_KINDS else pa.string()
        said = {"point": point.id, "name": point.name, "unit": point.unit, "description": point.description}
        fields.append(pa.field(name, kind, metadata=said))
    about = {"source": given.source, "every": duration(given.every_ns), "rule": given.rule}
    if given.tolerance_ns is not None:
        about["tolerance"] = duration(given.tolerance_ns)
    return pa.schema(fields, metadata=about), order


@contextlib.contextmanager
def _writer(given: WideInput, path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    if not given.csv:
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=texts) as parquet:
            yield parquet.write_table
        return
    with pa_csv.CSVWriter(path, schema.set(0, pa.field("time", pa.string()))) as lines:
        yield lambda table: lines.write_table(table.set_column(0, "time", _iso(table["time"], given.every_ns)))


def _iso(stamps: pa.ChunkedArray, every_ns: int) -> pa.Array:
    """2026-01-01T00:00:00Z, with milliseconds only where a step has some."""
    unit: Literal["ms", "s"] = "ms" if every_ns % SECOND_NS else "s"
    times: np.ndarray = stamps.cast(pa.int64()).to_numpy().astype("datetime64[us]")
    return pa.array([f"{text}Z" for text in np.datetime_as_string(times, unit=unit)])
