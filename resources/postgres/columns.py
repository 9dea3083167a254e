"""Arrow tables ⇄ COPY as CSV, by columns: Arrow writes and reads the text, at millions of fields a second."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from resources.postgres.connections import Connection
from resources.postgres.texts import legible


def copy_in(connection: Connection, statement: bytes, rows: pa.Table) -> None:
    """COPY … FROM STDIN (FORMAT csv), in the caller's transaction.

    Arrow quotes texts and not nulls, which keeps '' and null apart; doubles read back to the same bits.
    """
    buffer = io.BytesIO()
    pa_csv.write_csv(rows, buffer, pa_csv.WriteOptions(include_header=False))
    with connection.cursor().copy(statement) as copy:
        copy.write(buffer.getbuffer())


def copy_out(connection: Connection, statement: bytes, values: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """COPY (…) TO STDOUT (FORMAT csv) as a table of `schema`, whose order of columns the statement follows."""
    buffer = io.BytesIO()
    with connection.cursor().copy(statement, values) as copy:
        for block in copy:
            buffer.write(block)
    if not buffer.tell():
        return schema.empty_table()
    buffer.seek(0)
    table = pa_csv.read_csv(
        buffer,
        pa_csv.ReadOptions(column_names=schema.names),
        pa_csv.ParseOptions(newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    return table.cast(schema)


def legible_texts(table: pa.Table) -> pa.Table:
    """The table with texts that PostgreSQL can hold."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_string(field.type) and pc.any(pc.match_substring(column, "\x00")).as_py():
            texts = [legible(text) for text in column.to_pylist()]
            table = table.set_column(place, field, pa.array(texts, pa.string()))
    return table
