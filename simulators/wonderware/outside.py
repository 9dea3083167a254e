"""What SQL Server itself does around the remote rowsets: joins, grouping, ordering, functions. DuckDB does it here."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import ARROW, SPECIAL
from sqlglot import exp

from simulators.tds.columns import MAX_BYTES, Column, datetime2
from simulators.tds.database import SqlError
from simulators.tds.rows import utf16
from simulators.wonderware.configuration import configuration
from simulators.wonderware.dialect import MACROS, sql_of, transformed
from simulators.wonderware.plant import Plant
from simulators.wonderware.statements import (
    INVALID_COLUMN,
    INVALID_OBJECT,
    SYNTAX,
    UNKNOWN_FUNCTION,
    UNSUPPORTED,
    NotConstantError,
    Parameters,
    bound,
    constant,
    wall_ns,
)
from simulators.wonderware.zones import to_wall

VERSION = "Microsoft SQL Server 2019 (RTM) - 15.0.2000.5 (X64) \n\tStand-in of Historian Ferry"
_NVARCHAR_MOST = 4_000
_KINDS = (
    (pa.types.is_boolean, "bit", pa.bool_()),
    (pa.types.is_uint8, "tinyint", pa.uint8()),
    (pa.types.is_int8, "smallint", pa.int16()),
    (pa.types.is_int16, "smallint", pa.int16()),
    (pa.types.is_int32, "int", pa.int32()),
    (pa.types.is_integer, "bigint", pa.int64()),
    (pa.types.is_float32, "real", pa.float32()),
    (pa.types.is_floating, "float", pa.float64()),
    (pa.types.is_null, "int", pa.int32()),
)
# What DuckDB says, the number that SQL Server gives it, and its text.
_ERRORS = (
    (r'Referenced column "([^"]*)"', INVALID_COLUMN, "Invalid column name '{}'."),
    (r'does not have a column named "([^"]*)"', INVALID_COLUMN, "Invalid column name '{}'."),
    (r'Ambiguous reference to column name "([^"]*)"', 209, "Ambiguous column name '{}'."),
    (r'Referenced table "([^"]*)"', 4_104, 'The multi-part identifier "{}" could not be bound.'),
    (r"Table with name (\S+) does not exist", INVALID_OBJECT, "Invalid object name '{}'."),
    (r"Function with name (\S+) does not exist", UNKNOWN_FUNCTION, "'{}' is not a recognized built-in function name."),
    (r'column "([^"]*)" must appear in the GROUP BY', 8_120, "Column '{}' is invalid in the select list: not grouped."),
    (r"(out of range)", 8_115, "Arithmetic overflow error converting expression."),
    (r"(Could not convert|Conversion Error)", 245, "Conversion failed when converting a value."),
    (r"(Parser Error)", SYNTAX, "Incorrect syntax."),
)


class Outside:
    """One DuckDB with the configuration tables; every statement has a cursor of its own."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._database = duckdb.connect(config={"threads": 2})
        self._database.create_function("ferry_utf16", _utf16, ["VARCHAR"], "BLOB", type=ARROW, null_handling=SPECIAL)
        for macro in MACROS:
            self._database.execute(macro)
        self._version = -1
        self._lock = threading.Lock()

    def close(self) -> None:
        """Lets go of DuckDB."""
        self._database.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection that sees the configuration as it is now."""
        with self._lock:
            if self._version != self._plant.catalogue.version:
                self._version = self._plant.catalogue.version
                self._configure()
            return self._database.cursor()

    def rows(self, node: exp.Expr, mounts: Mapping[str, Any], parameters: Parameters) -> pa.Table:
        """The rows of a query over configuration tables and `mounts` (Arrow by name). Raises SqlError."""
        sql = self.sql(node, parameters)
        cursor = self.cursor()
        try:
            for name, mount in mounts.items():
                cursor.register(name, mount)
            return cursor.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise sql_error(error, bool(node.find(exp.DateDiff))) from error
        finally:
            cursor.close()

    def sql(self, node: exp.Expr, parameters: Parameters) -> str:
        """An expression or query as DuckDB's text, its parameters bound. Raises SqlError."""
        return sql_of(transformed(bound(node, parameters), self._globals()))

    def value(self, node: exp.Expr, parameters: Parameters) -> Any:
        """The value of a constant expression. Raises SqlError."""
        try:
            return constant(node, parameters)
        except NotConstantError:
            query = exp.Select(expressions=[node.copy()])
            table = self.rows(query, {}, parameters)
            column = table.column(0)
            return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column)[0].as_py()

    def wall_ns(self, node: exp.Expr, parameters: Parameters) -> int:
        """The wall clock that a constant expression means, ns. Raises SqlError."""
        try:
            return wall_ns(constant(node, parameters))
        except NotConstantError:
            column = exp.Select(
                expressions=[exp.Cast(this=node.copy(), to=exp.DataType.build("datetime2", dialect="tsql"))]
            )
            value = self.rows(column, {}, parameters).column(0).cast(pa.timestamp("ns")).cast(pa.int64())[0].as_py()
            return 0 if value is None else int(value)

    def _globals(self) -> dict[str, str]:
        """Values of the session. GETDATE() is the server's local time whatever wwTimeZone says (facts 2.6)."""
        plant = self._plant
        now_ns = plant.clock.now_ns()
        local_ns = int(to_wall(np.array([now_ns]), plant.settings.zone)[0])
        return {
            "@@VERSION": VERSION,
            "@@SERVERNAME": "FERRYSIM",
            "@@TRANCOUNT": "0",
            "@@SPID": "51",
            "DB_NAME": "Runtime",
            "SUSER_SNAME": plant.settings.username,
            "CURRENT_TIMEZONE": plant.settings.zone,
            "GETDATE": str(local_ns),
            "SYSDATETIME": str(local_ns),
            "GETUTCDATE": str(now_ns),
            "SYSUTCDATETIME": str(now_ns),
        }

    def _configure(self) -> None:
        for name, table in configuration(self._plant.catalogue).items():
            self._database.register("ferry_new", table)
            fields = [
                f'"{field.name}" COLLATE NOCASE AS "{field.name}"' if field.type == pa.string() else f'"{field.name}"'
                for field in table.schema
            ]
            self._database.execute(f'CREATE OR REPLACE TABLE "{name}" AS SELECT {", ".join(fields)} FROM ferry_new')  # noqa: S608
            self._database.unregister("ferry_new")


def _utf16(texts: pa.ChunkedArray) -> pa.Array:
    """The bytes of nvarchar values, as many as varbinary(8000) holds."""
    found = [None if text is None else utf16(text)[:MAX_BYTES] for text in texts.to_pylist()]
    return pa.array(found, pa.binary())


def sql_error(error: duckdb.Error, dates: bool = False) -> SqlError:
    """What SQL Server would say of what DuckDB could not do; `dates`: the query has a DATEDIFF."""
    text = str(error)
    for pattern, number, wording in _ERRORS:
        match = re.search(pattern, text)  # reads DuckDB's message, not SQL
        if match and number == 8_115 and dates:
            return SqlError(535, "The datediff function resulted in an overflow.")
        if match:
            return SqlError(number, wording.format(match.group(1)))
    return SqlError(UNSUPPORTED, f"The stand-in cannot run this statement: {text.splitlines()[0]}")


def as_columns(names: list[str], table: pa.Table) -> tuple[list[Column], pa.Table]:
    """How a table of DuckDB's goes over the wire: columns, and the values in the types that they take."""
    columns, arrays = [], []
    for name, column in zip(names, table.columns, strict=True):
        found, values = _as_column(name, column)
        columns.append(found)
        arrays.append(values)
    return columns, pa.table(arrays, names=[str(place) for place in range(len(arrays))])


def _as_column(name: str, column: pa.ChunkedArray) -> tuple[Column, pa.ChunkedArray]:
    kind = column.type
    for matches, wire, arrow in _KINDS:
        if matches(kind):
            return Column(name, wire), column.cast(arrow)  # type: ignore[arg-type]
    if pa.types.is_decimal(kind):
        whole = kind.scale == 0
        return Column(name, "bigint" if whole else "float"), column.cast(pa.int64() if whole else pa.float64())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return datetime2(name), column.cast(pa.timestamp("ns"))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Column(name, "varbinary", MAX_BYTES), column.cast(pa.binary())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        texts = column.cast(pa.string())
        longest = pc.max(pc.binary_length(texts)).as_py() or 0  # bytes of UTF-8 are never fewer than UTF-16 units
        return Column(name, "nvarchar", _NVARCHAR_MOST if longest <= _NVARCHAR_MOST else 0), texts
    raise SqlError(UNSUPPORTED, f"The stand-in cannot send {kind}.")
