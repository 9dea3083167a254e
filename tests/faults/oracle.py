"""The truth outside of the product: what the stand-in holds, what IoTDB and an export hold, what the ledger claims.

Nothing here goes through the product: the stand-in is asked for its own columns (`/_plant/truth`), IoTDB by the client
that Apache ships, exports and landed files are read by pyarrow, and the ledger by SQL.
"""

from __future__ import annotations

import hashlib
import json
import struct
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from iotdb.table_session import TableSession, TableSessionConfig
from iotdb.utils.exception import StatementExecutionException

from pipelines.points import group_of  # which points a group's label speaks of: the ledger says it nowhere
from pipelines.timeline import Interval, clip, iso, merge, subtract

Event = tuple[int, bytes | None, str | None, int | None, int, int]
"""time (ns), bits of the value, text, code, quality, detail."""
Held = dict[str, Counter[Event]]
"""A multiset of events by point id."""
_NAN = struct.pack(">d", float("nan"))


def bits(value: float | None) -> bytes | None:
    """A number's bits; every NaN is one, and 0.0 is not -0.0."""
    if value is None:
        return None
    return _NAN if value != value else struct.pack(">d", value)


def inside(held: Mapping[str, Counter[Event]], point: str, spans: Iterable[Interval]) -> Counter[Event]:
    """The point's events in the spans."""
    wanted = list(spans)
    events = held.get(point, Counter())
    return Counter({e: n for e, n in events.items() if any(s.start_ns <= e[0] < s.end_ns for s in wanted)})


def shown(events: Counter[Event], most: int = 3) -> str:
    """Some events, for a person."""
    some = [
        f"{time_ns} {struct.unpack('>d', value)[0]!r}" if value is not None else f"{time_ns} {text!r}/{code}"
        for time_ns, value, text, code, *_ in sorted(events.elements(), key=str)[:most]
    ]
    return f"{events.total()} ({', '.join(some)}{' …' if events.total() > most else ''})"


@dataclass(frozen=True)
class Version:
    """What the source held from an instant on, by this machine's clock."""

    since_ns: int
    held: Held


@dataclass
class Truth:
    """Every state in which the stand-in was, over some spans; a point that it deleted keeps its last."""

    url: str
    spans: tuple[Interval, ...]
    versions: list[Version] = field(default_factory=list)
    told: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    """What is told in the place of a number, by its bits: a state's name and code."""

    @property
    def now(self) -> Held:
        return self.versions[-1].held

    def look(self, now_ns: int) -> None:
        """Takes down what the stand-in shows; to be called after whatever changes it."""
        found = self._asked()
        if self.versions:
            found = {**self.now, **found}
            if found == self.now:
                return
        self.versions.append(Version(now_ns, found))

    def between(self, start_ns: int, end_ns: int) -> list[Held]:
        """The states that held at some instant of [start, end]."""
        ends = [each.since_ns for each in self.versions[1:]] + [1 << 63]
        return [
            version.held
            for version, until_ns in zip(self.versions, ends, strict=True)
            if version.since_ns <= end_ns and start_ns < until_ns
        ]

    def _asked(self) -> Held:
        held: Held = {}
        for span in self.spans:
            query = urllib.parse.urlencode({"start": iso(span.start_ns), "end": iso(span.end_ns)})
            with urllib.request.urlopen(f"{self.url}/_plant/truth?{query}", timeout=60) as answer:
                table = pa.ipc.open_stream(answer.read()).read_all()
            for point in table["point"].unify_dictionaries().combine_chunks().dictionary.to_pylist():
                held.setdefault(point, Counter())
            for point, events in held_of(table).items():
                held[point] += Counter({self._as_told(event): times for event, times in events.items()})
        return held

    def _as_told(self, event: Event) -> Event:
        at_ns, value, _, _, quality, detail = event
        state = self.told.get(value) if value is not None else None
        return event if state is None else (at_ns, None, *state, quality, detail)


def held_of(table: pa.Table, time: str = "time") -> Held:
    """Events by point, of a table with the columns of samples.SCHEMA (the time may be another column)."""
    names = ["point", time, "value", "text", "code", "quality", "detail"]
    columns = table.select(names)
    columns = columns.set_column(1, time, columns[time].cast(pa.int64()))
    columns = columns.set_column(0, "point", columns["point"].cast(pa.string()))
    held: Held = {}
    for point, at_ns, value, text, code, quality, detail in zip(
        *(columns[name].to_pylist() for name in names), strict=True
    ):
        event = (at_ns, None, text, code, quality, detail) if value is None else (
            at_ns, bits(value), None, None, quality, detail)  # fmt: skip
        held.setdefault(point, Counter())[event] += 1
    return held


@dataclass(frozen=True)
class Iotdb:
    """A session of the test's own with the database of one plant."""

    where: str
    user: str
    password: str
    database: str

    def held(self, span: Interval, source: str) -> Held:
        """All that the source has in `samples` and `states`, known points or not."""
        where = f"source = '{source}' AND time >= {span.start_ns} AND time < {span.end_ns}"
        held: Held = {}
        for point, at, value, quality, detail in self.rows(
            f"SELECT point, time, value, quality, detail FROM {self.table('samples')} WHERE {where}"
        ):
            held.setdefault(point, Counter())[at, bits(value), None, None, quality, detail] += 1
        for point, at, text, code, quality, detail in self.rows(
            f"SELECT point, time, text, code, quality, detail FROM {self.table('states')} WHERE {where}"
        ):
            held.setdefault(point, Counter())[at, None, text, code, quality, detail] += 1
        return held

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query; times are integers. Nothing where the database or a table is gone."""
        found = []
        session = self._session()
        try:
            with session.execute_query_statement(sql) as answer:
                while answer.has_next():
                    found.append(tuple(_plain(each) for each in answer.next().get_fields()))
        except StatementExecutionException as error:
            if "does not exist" not in str(error) and "Unknown database" not in str(error):
                raise
        finally:
            session.close()
        return found

    def run(self, *statements: str) -> None:
        """Statements one after another."""
        session = self._session()
        try:
            for statement in statements:
                session.execute_non_query_statement(statement)
        finally:
            session.close()

    def table(self, name: str) -> str:
        return f'"{self.database}".{name}'

    def _session(self) -> TableSession:
        return TableSession(
            TableSessionConfig(node_urls=[self.where], username=self.user, password=self.password, time_zone="UTC")
        )


def _plain(given: Any) -> Any:
    kind = given.get_data_type()
    if kind is None:
        return None
    name = kind.name
    if name in ("TIMESTAMP", "INT64"):
        return int(given.get_long_value())
    if name == "DOUBLE":
        return float(given.get_double_value())
    if name == "INT32":
        return int(given.get_int_value())
    return str(given.get_string_value())


@dataclass(frozen=True)
class Piece:
    """A generation that counts somewhere in a group: its parts, when it was proved, and its file's events."""

    group: str
    generation: str
    recorded_ns: int
    spans: tuple[Interval, ...]


@dataclass(frozen=True)
class Claims:
    """What the ledger calls proved: coverage of groups, exceptions of points, and the generations that count.

    `known` are the points of its catalogue, without those that it was told to leave out: of others it claims nothing.
    """

    known: Collection[str]
    covered: Mapping[str, list[Interval]]
    excepted: Mapping[tuple[str, str], list[Interval]]
    pieces: tuple[Piece, ...]

    def proved(self, point: str, groups: int, span: Interval) -> list[tuple[str, Interval]]:
        """Where the point is called proved, and in which group."""
        found = []
        for group, spans in self.covered.items() if point in self.known else ():
            if _is_in(point, group, groups):
                holes = merge(self.excepted.get((group, point), []))
                found += [(group, part) for each in clip(spans, span) for part in subtract([each], holes)]
        return found


def claims(dsn: str, source: str, span: Interval) -> Claims:
    """By plain SQL over the ledger's tables and views."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT g, lower(s), upper(s) FROM "
            "(SELECT DISTINCT point_group AS g FROM coverage WHERE source = %s) AS t, unnest(covered(%s, g)) AS s",
            (source, source),
        ).fetchall()
        known = connection.execute(
            "SELECT point FROM points_now WHERE source = %s AND absent IS DISTINCT FROM 'unselected'", (source,)
        ).fetchall()
        opened = connection.execute(
            "SELECT point_group, point, start_ns, end_ns FROM exclusions_now WHERE source = %s", (source,)
        ).fetchall()
        slices = connection.execute(
            "SELECT point_group, generation, start_ns, end_ns, (extract(epoch FROM recorded_at) * 1e9)::bigint "
            "FROM slices WHERE source = %s AND state IN ('verified', 'settled') AND generation <> '' ORDER BY seq DESC",
            (source,),
        ).fetchall()
    covered: dict[str, list[Interval]] = {}
    for group, start_ns, end_ns in rows:
        covered.setdefault(group, []).append(Interval(start_ns, end_ns))
    excepted: dict[tuple[str, str], list[Interval]] = {}
    for group, point, start_ns, end_ns in opened:
        excepted.setdefault((group, point), []).append(Interval(start_ns, end_ns))
    pieces, taken = [], {group: [] for group in covered}
    for group, generation, start_ns, end_ns, recorded_ns in slices:
        own = Interval(start_ns, end_ns)
        left = subtract(clip([own], span), taken.get(group, []))
        taken[group] = merge([*taken.get(group, []), own])
        if left:
            pieces.append(Piece(group, generation, recorded_ns, tuple(left)))
    return Claims({point for (point,) in known}, covered, excepted, tuple(pieces))


def landed(folder: Path, piece: Piece) -> Held | None:
    """The events of the generation's file in the parts where it counts; None where it cannot be read."""
    found = list(folder.rglob(f"*.{piece.generation}.parquet"))
    try:
        held = held_of(pq.read_table(found[0], partitioning=None)) if found else None
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return None
    return None if held is None else {point: inside(held, point, piece.spans) for point in held}


def is_whole(folder: Path, piece: Piece) -> bool:
    """Whether the generation's file is there and is what its manifest says."""
    files = list(folder.rglob(f"*.{piece.generation}.parquet"))
    try:
        said = json.loads(files[0].with_suffix(".json").read_text(encoding="utf-8"))["sha256"] if files else ""
        return bool(files) and hashlib.sha256(files[0].read_bytes()).hexdigest() == said
    except (OSError, ValueError, LookupError):
        return False


def exported(folder: Path) -> tuple[Held, list[tuple[str, int, int]]]:
    """What an export holds, and what is in it twice by (point, time, tie)."""
    if not (folder / "samples").exists():  # nothing had been moved
        return {}, []
    table = ds.dataset(folder / "samples", format="parquet", partitioning="hive").to_table()
    keys = Counter(zip(*(table[name].to_pylist() for name in ("point", "time_ns", "tie")), strict=True))
    return held_of(table, "time_ns"), [key for key, times in keys.items() if times > 1]


def _is_in(point: str, group: str, groups: int) -> bool:
    return group.startswith("g") and group[1:].isdigit() and group_of(point, groups) == int(group[1:])
