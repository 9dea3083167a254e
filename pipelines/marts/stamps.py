"""Times as people's tools read them: a timestamp in microseconds, beside the exact nanoseconds as an integer.

Spark refuses timestamps in nanoseconds, and date functions of DuckDB take none; a PI tick is 100 ns.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

MICROSECOND = pa.timestamp("us", tz="UTC")
NANOSECOND = pa.timestamp("ns", tz="UTC")


def dated(table: pa.Table, source: str) -> pa.Table:
    """The table with a column `source` in front, and before each BIGINT `x_ns` its timestamp `x`, rounded down."""
    fields, columns = [pa.field("source", pa.string())], [pa.repeat(source, len(table))]
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name.endswith("_ns"):
            fields.append(pa.field(field.name.removesuffix("_ns"), MICROSECOND, field.nullable))
            columns.append(_microseconds(column))
        fields.append(field)
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def _microseconds(column: pa.ChunkedArray) -> pa.Array:
    """BIGINT nanoseconds → timestamps, rounded down also before 1970."""
    whole = column.combine_chunks()
    ns = whole.fill_null(0).to_numpy(zero_copy_only=False)
    return pa.array(np.floor_divide(ns, 1000), mask=np.asarray(whole.is_null())).cast(MICROSECOND)
