"""The writer for a server that sees none of our files: tablets over the session, then FLUSH.

Our own encoder: NumpyTablet moves nulls to other rows when times are not sorted (facts/iotdb.md, trap 8), and both
tablet classes of the client pack strings by rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from resources.iotdb.layout import Table
from resources.iotdb.rows import portions
from resources.iotdb.session import Tablet
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import flush

_TABLET_ROWS = 20_000
_TABLET_BYTES = 4 << 20

# Numbers of the RPC: org.apache.tsfile TSDataType and ColumnCategory
_TYPES = {"BOOLEAN": 0, "INT32": 1, "INT64": 2, "DOUBLE": 4, "STRING": 11}
_CATEGORIES = {"TAG": 0, "FIELD": 1}
_WIRE = {"BOOLEAN": "?", "INT32": ">i4", "INT64": ">i8", "DOUBLE": ">f8"}


class TabletWriter:
    """Writes by tablets. Thread-safe."""

    name = "tablets"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def write(self, table: Table, rows: pa.Table) -> None:
        """Upserts rows in the table's schema, grouped by device; durable after `settle`."""
        for part in portions(rows, _TABLET_ROWS, _TABLET_BYTES):
            self._sessions.insert(encode(table, part), f"writing to {table.name}")

    def settle(self) -> None:
        """FLUSHes: an acknowledged tablet is lost by kill -9 in every wal_mode but SYNC (facts/iotdb.md, trap 7)."""
        self._sessions.run(flush(self._sessions.database), "flushing")


def encode(table: Table, rows: pa.Table) -> Tablet:
    """Rows in the table's schema, none null → a tablet."""
    values = b"".join(_column(rows[column.name], column.type) for column in table.columns)
    return Tablet(
        table.name,
        tuple(column.name for column in table.columns),
        tuple(_TYPES[column.type] for column in table.columns),
        tuple(_CATEGORIES[column.category] for column in table.columns),
        len(rows),
        np.asarray(rows["time"]).astype(">i8").tobytes(),
        values,
    )


def _column(column: pa.ChunkedArray, kind: str) -> bytes:
    if column.null_count:
        raise ValueError("a null would keep the old field under it")
    if kind != "STRING":
        return np.asarray(column).astype(_WIRE[kind]).tobytes()
    return b"".join(_texts(chunk) for chunk in column.chunks)


def _texts(chunk: pa.Array) -> bytes:
    """Each text as its length in bytes and its UTF-8."""
    if pa.types.is_dictionary(chunk.type):
        known = [_text(text) for text in chunk.dictionary.to_pylist()]
        return b"".join([known[index] for index in chunk.indices.to_pylist()])
    return b"".join([_text(text) for text in chunk.to_pylist()])


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw
