"""The tables that the store has in IoTDB (design.md, "Store layout")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipelines.ports import Stop

ColumnType = Literal["STRING", "DOUBLE", "INT32", "INT64", "BOOLEAN"]
Category = Literal["TAG", "FIELD"]

_DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_INTERVAL = re.compile(r"[a-z0-9]{1,16}")
TAG_TYPE = pa.dictionary(pa.int32(), pa.string())
_AGGREGATE_TYPES: dict[pa.DataType, ColumnType] = {pa.float64(): "DOUBLE", pa.int64(): "INT64"}
_ARROW: dict[ColumnType, pa.DataType] = {
    "STRING": pa.string(),
    "DOUBLE": pa.float64(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "BOOLEAN": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column beside the time."""

    name: str
    type: ColumnType
    category: Category


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the store: TAG columns first, then FIELDs."""

    name: str
    columns: tuple[Column, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.category == "TAG")

    @property
    def schema(self) -> pa.Schema:
        """How its rows stand in memory: time (int64, the server's clock), then the columns; nothing is null.

        TAGs are dictionaries: a slice has thousands of rows a point.
        """
        fields = [pa.field("time", pa.int64(), nullable=False)]
        for column in self.columns:
            kind = TAG_TYPE if column.category == "TAG" else _ARROW[column.type]
            fields.append(pa.field(column.name, kind, nullable=False))
        return pa.schema(fields)

    def complaint(self, found: Iterable[tuple[str, str, str]]) -> str:
        """How the (name, type, category) found in the server differ from this table; '' if they don't."""
        wanted = {("time", "TIMESTAMP", "TIME")} | {(c.name, c.type, c.category) for c in self.columns}
        there = set(found)
        lacking, beyond = sorted(wanted - there), sorted(there - wanted)
        parts = [f"lacks {' '.join(column)}" for column in lacking] + [f"has {' '.join(column)}" for column in beyond]
        return "; ".join(parts)


def _table(name: str, tags: str, /, **fields: ColumnType) -> Table:
    columns = [Column(tag, "STRING", "TAG") for tag in tags.split()]
    return Table(name, (*columns, *(Column(field, kind, "FIELD") for field, kind in fields.items())))


SAMPLES = _table("samples", "source point tie", value="DOUBLE", quality="INT32", detail="INT32")
STATES = _table("states", "source point tie", text="STRING", code="INT64", quality="INT32", detail="INT32")
POINTS = _table(
    "points",
    "source point",
    name="STRING",
    kind="STRING",
    type="STRING",
    unit="STRING",
    description="STRING",
    step="BOOLEAN",
    future="BOOLEAN",
    digital_set="STRING",
    zero="DOUBLE",
    span="DOUBLE",
    source_key="STRING",
)
IDENTITY = _table("ferry_store", "about", ledger="STRING", token="STRING", plant="STRING")  # noqa: S106 - no password
"""One row, at time 0: by it the store is known again (resources/iotdb/identity.py)."""
PROBE = _table("ferry_probe", "source point tie", value="DOUBLE")
"""Where the writers are tried out at start; holds no rows in between."""


def aggregate_table(interval: str, rows: pa.Schema) -> Table:
    """`agg_<interval>` for rows that have, beside point and time, columns of double and int64.

    Raises Stop for another type, or a name that is no plain lower-case word.
    """
    if not _INTERVAL.fullmatch(interval):
        raise Stop(f"{interval!r} cannot name an aggregate: expected letters and digits such as 1h")
    fields: dict[str, ColumnType] = {}
    for field in rows:
        if field.name in ("point", "time"):
            continue
        if field.type not in _AGGREGATE_TYPES or not _NAME.fullmatch(field.name):
            raise Stop(f"the aggregate column {field.name!r} of type {field.type} does not fit into IoTDB")
        fields[field.name] = _AGGREGATE_TYPES[field.type]
    return _table(f"agg_{interval}", "source point", **fields)


def database_name(name: str) -> str:
    """The name, if it can be a database's. Raises Stop."""
    if not _DATABASE.fullmatch(name) or name == "information_schema":
        raise Stop(f"{name!r} cannot name an IoTDB database: expected lower-case letters, digits and _, at most 64")
    return name


def tag(text: str, what: str) -> str:
    """The text, if every writer keeps it as a TAG: ASCII and not empty (facts/iotdb.md, trap 1). Raises Stop."""
    if not text or not text.isascii():
        raise Stop(f"{what} {text!r} cannot be stored: it must be ASCII and not empty (names are percent-encoded)")
    return text
