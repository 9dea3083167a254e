"""Every kind of column through both clients, and every kind of parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from simulators.tds import Column, Result, datetime2, encode
from tests.unit.simulators.tds.stage import Stage

Connect = Callable[..., Any]
EVIL = 'o\'neil "q" -- %s %d %; ; ? @P1 {x} Привет 😀 /* */ \\ \n\t'
COLUMNS: list[tuple[Column, pa.DataType, list[Any]]] = [
    (Column("bit", "bit"), pa.bool_(), [True, False]),
    (Column("tinyint", "tinyint"), pa.uint8(), [0, 255]),
    (Column("smallint", "smallint"), pa.int16(), [-(2**15), 2**15 - 1]),
    (Column("int", "int"), pa.int32(), [-(2**31), 2**31 - 1]),
    (Column("bigint", "bigint"), pa.int64(), [-(2**63), 2**63 - 1]),
    (Column("real", "real"), pa.float32(), [float(np.float32(3.4e38)), -1.5]),
    (Column("float", "float"), pa.float64(), [-1.7976931348623157e308, 5e-324]),
    (
        datetime2("datetime2"),
        pa.timestamp("us"),
        [datetime(1677, 9, 22, 1, 2, 3, 456789), datetime(2262, 4, 11, 23, 47, 16, 854775)],
    ),
    (
        datetime2("seconds", 0),
        pa.timestamp("us"),
        [datetime(1999, 12, 31, 23, 59, 59), datetime(1970, 1, 1)],
    ),
    (datetime2("millis", 3), pa.timestamp("us"), [datetime(2026, 3, 1, 0, 0, 0, 123_000), datetime(1969, 12, 31, 23)]),
    (Column("nvarchar", "nvarchar", 4_000), pa.string(), [EVIL, "я" * 4_000]),
    (Column("word", "nvarchar", 10), pa.string(), ["", "x"]),
    (Column("max", "nvarchar"), pa.string(), ["😀" * 30_000, ""]),
    (Column("varbinary", "varbinary", 8_000), pa.binary(), [bytes(range(256)), b"\xd1" * 8_000]),
    (Column("blob", "varbinary"), pa.binary(), [b"\x00\xff" * 40_000, b"\x01"]),
]


def array_of(values: list[Any], form: pa.DataType) -> pa.Array:
    made = pa.array(values, form)
    return made.cast(pa.timestamp("ns")) if pa.types.is_timestamp(form) else made


@pytest.mark.parametrize(("column", "form", "values"), COLUMNS, ids=[column.name for column, _, _ in COLUMNS])
@pytest.mark.parametrize("nullable", [True, False], ids=["nullable", "solid"])
def test_a_column_comes_through(
    connect: Connect, stage: Stage, column: Column, form: pa.DataType, values: list[Any], nullable: bool
) -> None:
    wanted = [values[0], None, values[1]] if nullable else values
    columns = (Column("before", "int"), Column(column.name, column.kind, column.size, nullable), Column("after", "int"))
    table = pa.table(
        [pa.array(range(len(wanted)), pa.int32()), array_of(wanted, form), pa.array([7] * len(wanted), pa.int32())],
        names=["a", "b", "c"],
    )
    stage.answers["SELECT it"] = lambda _: [Result(columns, [encode(columns, table).data])]
    cursor = connect().cursor()
    cursor.execute("SELECT it")
    assert [name for name, *_ in cursor.description] == ["before", column.name, "after"]
    found = [tuple(row) for row in cursor.fetchall()]
    assert found == [(place, value, 7) for place, value in enumerate(wanted)]


def test_arrow_of_every_column(odbc: Connect, stage: Stage) -> None:
    columns = tuple(column for column, _, _ in COLUMNS)
    # Short, and all in one packet: with a max column the driver holds the GIL while it waits for the next packet, so
    # that a server in the same process could never send it.
    table = pa.table(
        [array_of([_short(values[0]), None, _short(values[1])], form) for _, form, values in COLUMNS],
        names=[column.name for column in columns],
    )
    stage.answers["SELECT all"] = lambda _: [Result(columns, [encode(columns, table).data] * 2)]
    cursor = odbc(PacketSize=32_767).cursor()
    cursor.execute("SELECT all")
    whole = cursor.arrow()
    assert whole.column_names == table.column_names
    assert whole.to_pylist() == _micros(table).to_pylist() * 2
    assert whole.schema.field("datetime2").type == pa.timestamp("us")
    cursor.execute("SELECT all")
    batches = list(cursor.arrow_reader(4))
    assert pa.Table.from_batches(batches).to_pylist() == whole.to_pylist()
    assert [len(batch) for batch in batches if len(batch)] == [4, 2]


def _short(value: Any) -> Any:
    return value[:300] if isinstance(value, str | bytes) else value


def _micros(table: pa.Table) -> pa.Table:
    fields = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        (True, 1),  # mssql-odbc sends it as a number
        (7, 7),
        (-(2**31), -(2**31)),
        (2**63 - 1, 2**63 - 1),
        (1.5e300, 1.5e300),
        (Decimal("-12345678901234567.8901"), Decimal("-12345678901234567.8901")),
        (EVIL, EVIL),
        ("ascii", "ascii"),
        ("", ""),
        ("я" * 9_000, "я" * 9_000),
        (b"\x00\x01\xff", b"\x00\x01\xff"),
        (b"\x05" * 20_000, b"\x05" * 20_000),
        (datetime(2026, 3, 1, 12, 30, 15, 123_456), np.datetime64("2026-03-01T12:30:15.123456", "ns")),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999), np.datetime64("1969-12-31T23:59:59.999999", "ns")),
        (date(2026, 3, 1), np.datetime64("2026-03-01", "ns")),
        (
            datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=3))),
            np.datetime64("2026-03-01T09:00", "ns"),
        ),
        (time(1, 2, 3), np.datetime64("1970-01-01T01:02:03", "ns")),
    ],
    ids=str,
)
def test_a_bound_parameter_arrives(odbc: Connect, stage: Stage, given: Any, wanted: Any) -> None:
    cursor = odbc().cursor()
    cursor.execute("SELECT ? AS a, ? AS b", (given, "last"))
    assert cursor.fetchall()[0][0] == 1
    sql, parameters = stage.asked[-1]
    assert sql == "SELECT @P1 AS a, @P2 AS b"
    assert parameters == {"@P1": wanted, "@P2": "last"}
    assert type(parameters["@P1"]) is type(wanted)


def test_a_statement_runs_again_with_other_values(odbc: Connect, stage: Stage) -> None:
    stage.answers["SELECT @P1"] = lambda given: [_echo(given)]
    cursor = odbc().cursor()
    for value in ("a", "б", "😀"):
        cursor.execute("SELECT ?", (value,))
        assert cursor.fetchone()[0] == value


def _echo(given: Mapping[str, object]) -> Result:
    columns = (Column("v", "nvarchar", 100),)
    return Result(columns, [encode(columns, pa.table({"v": [str(given["@P1"])]})).data])


def test_parameters_of_pymssql_are_literals_within_the_text(freetds: Connect, stage: Stage) -> None:
    cursor = freetds().cursor()
    cursor.execute("SELECT %s, %s, %s, 100%%", (EVIL, 5, None))
    literal = EVIL.replace("'", "''")
    assert stage.asked[-1] == (f"SELECT N'{literal}', 5, NULL, 100%%", {})


def test_several_results_and_counts(connect: Connect, stage: Stage) -> None:
    def several(_: Mapping[str, object]) -> Iterable[Result]:
        columns = (Column("t", "nvarchar", 5),)
        yield Result(columns, encode(columns, pa.table({"t": ["a", "b"]})).blocks())
        yield Result(columns, [])
        yield Result(columns, encode(columns, pa.table({"t": ["c"]})).blocks())

    stage.answers["SELECT several"] = several
    stage.answers["UPDATE it"] = lambda _: [Result(affected=3)]
    cursor = connect().cursor()
    cursor.execute("SELECT several")
    found = [[row[0] for row in cursor.fetchall()]]
    while cursor.nextset():
        found.append([row[0] for row in cursor.fetchall()])
    assert found == [["a", "b"], [], ["c"]]
    cursor.execute("UPDATE it")
    assert cursor.rowcount == 3


def test_pymssql_learns_how_many_rows_there_were(freetds: Connect, stage: Stage) -> None:
    columns = (Column("n", "int"),)
    encoded = encode(columns, pa.table({"n": pa.array(range(5), pa.int32())}))
    stage.answers["SELECT told"] = lambda _: [Result(columns, [encoded.data], rows=5)]
    stage.answers["SELECT counted"] = lambda _: [Result(columns, encoded.blocks(block_bytes=12))]
    stage.answers["SELECT untold"] = lambda _: [Result(columns, [encoded.data])]
    cursor = freetds().cursor()
    counts = []
    for sql in ("SELECT told", "SELECT counted", "SELECT untold", "SET NOCOUNT ON; SELECT told"):
        cursor.execute(sql)
        assert len(cursor.fetchall()) == 5
        counts.append(cursor.rowcount)
    assert counts[:2] == [5, 5]


def test_utc_is_not_needed_to_say_when() -> None:
    """datetime2 has no zone: Arrow's UTC stamp is written as its wall clock."""
    columns = [datetime2("t")]
    aware = pa.table({"t": pa.array([datetime(2026, 1, 2, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo"))})
    plain = pa.table({"t": pa.array([datetime(2026, 1, 2)], pa.timestamp("ns"))})
    assert encode(columns, aware).data == encode(columns, plain).data
