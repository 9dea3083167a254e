"""The SQL of the store. Identifiers and texts are quoted here and nowhere else: IoTDB's sessions bind no parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.timeline import Interval
from resources.iotdb.layout import Table, tag

NOW = "SHOW CURRENT_TIMESTAMP"
"""The server's clock."""
_POINTS_PER_QUERY = 2_000


def identifier(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted string."""
    return "'" + text.replace("'", "''") + "'"


def create_database(database: str) -> str:
    """Creates it unless it is there."""
    return f"CREATE DATABASE IF NOT EXISTS {identifier(database)}"


def show_databases() -> str:
    """Their names."""
    return "SHOW DATABASES"


def create_table(database: str, table: Table) -> str:
    """Creates it unless it is there."""
    columns = ", ".join(f"{identifier(c.name)} {c.type} {c.category}" for c in table.columns)
    return f"CREATE TABLE IF NOT EXISTS {_name(database, table)} ({columns})"


def describe(database: str, table: Table) -> str:
    """Name, type and category of its columns."""
    return f"DESC {_name(database, table)}"


def show_tables(database: str) -> str:
    """The tables and for how long each keeps its rows."""
    return f"SHOW TABLES FROM {identifier(database)}"


def keep_for(database: str, table: Table, milliseconds: str) -> str:
    """Sets the time to live; `milliseconds` may be INF."""
    ttl = milliseconds if milliseconds.isdigit() else literal(milliseconds)
    return f"ALTER TABLE {_name(database, table)} SET PROPERTIES TTL={ttl}"


def select(database: str, table: Table, columns: str, condition: str, group: str = "", order: str = "") -> str:
    """`columns`, `group` and `order` are SQL of ours; `condition` comes from the functions below."""
    sql = f"SELECT {columns} FROM {_name(database, table)} WHERE {condition}"  # noqa: S608
    sql = f"{sql} GROUP BY {group}" if group else sql
    return f"{sql} ORDER BY {order}" if order else sql


def delete(database: str, table: Table, conditions: Iterable[str]) -> str:
    """Deletes the rows of any of the conditions (on TAGs and time only: IoTDB's DELETE knows no more)."""
    return f"DELETE FROM {_name(database, table)} WHERE {' OR '.join(conditions)}"  # noqa: S608


def flush(database: str) -> str:
    """Puts what is in memory into files."""
    return f"FLUSH {identifier(database)}"


def load(path: str, database: str) -> str:
    """Takes a TsFile in, and leaves the file to us."""
    options = {
        "database-name": database,
        "model": "table",
        "on-success": "none",  # 'delete' would need rights on our folder
        "convert-on-type-mismatch": "false",  # the default turns 1.5 into 1 (facts/iotdb.md, trap 6)
    }
    return f"LOAD {literal(path)} WITH ({', '.join(f'{literal(k)}={literal(v)}' for k, v in options.items())})"


def within(source: str, points: Sequence[str] | None, span: Interval, clock_ns: int) -> str:
    """Rows of the points (None: of all of the source) in the half-open span, at the clock's resolution.

    The span must be one of `extents.planned`.
    """
    start, end = -(-span.start_ns // clock_ns), -(-span.end_ns // clock_ns)
    return f"{of_points(source, points)} AND time >= {start} AND time < {end}"


def of_points(source: str, points: Sequence[str] | None) -> str:
    """Rows of the points (None: of all of the source), whenever."""
    wanted = f"source = {literal(tag(source, 'the name of the source'))}"
    if points is None:
        return wanted
    return f"{wanted} AND point IN ({', '.join(literal(tag(point, 'the point id')) for point in points)})"


def run_of(tags: Mapping[str, str], first: int, last: int) -> str:
    """Rows of one device from `first` to `last`, both included, in the server's clock."""
    device = " AND ".join(f"{identifier(name)} = {literal(value)}" for name, value in tags.items())
    times = f"time = {first}" if first == last else f"time >= {first} AND time <= {last}"
    return f"({device} AND {times})"


def chunks(points: Iterable[str]) -> Iterator[list[str]]:
    """The points, each once, as many at a time as one query names."""
    unique = sorted(set(points))
    for start in range(0, len(unique), _POINTS_PER_QUERY):
        yield unique[start : start + _POINTS_PER_QUERY]


def _name(database: str, table: Table) -> str:
    return f"{identifier(database)}.{identifier(table.name)}"
