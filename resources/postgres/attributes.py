"""Versions of attributes in the ledger's database: saved some subjects at a time, read as a stream of their values."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

import sql
from pipelines.ports import ATTRIBUTE_CHANGE_SCHEMA, ATTRIBUTE_SCHEMA, ATTRIBUTE_VALUE_SCHEMA, AttributeKind
from resources.postgres.columns import copy_in, copy_out
from resources.postgres.connections import SESSION_S, Connection
from resources.postgres.slices import one

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/attributes.sql").items()}
_BLOCK_BYTES = 4 << 20
"""A row must lie in one block of the reader."""


def save(
    connection: Connection, source: str, kind: AttributeKind, table: pa.Table, kept: Collection[str] | None = None
) -> int:
    """Appends a version for each subject (ATTRIBUTE_SCHEMA) of which something changed; returns how many.

    With `kept` the table has all that there is: what is neither in it nor in `kept` is gone. In the caller's
    transaction. Raises ValueError for another schema.
    """
    if not table.schema.equals(ATTRIBUTE_SCHEMA):
        raise ValueError(f"attributes in the schema {table.schema}")
    values = {"source": source, "kind": kind, "kept": list(kept or ())}
    connection.execute(_STATEMENTS["lock"], {"name": f"attributes\x1f{source}"})
    connection.execute(_STATEMENTS["stage"])
    copy_in(connection, _STATEMENTS["copy"], table)
    changed = connection.execute(_STATEMENTS["append"], values).rowcount
    if kept is not None:
        changed += connection.execute(_STATEMENTS["end"], values).rowcount
    return changed


def newest(connection: Connection, source: str) -> int:
    """The number of the newest version of anything, 0 where there is none."""
    return int(one(connection, _STATEMENTS["newest"], {"source": source}))


def count(connection: Connection, source: str, kind: AttributeKind) -> int:
    """How many subjects there are."""
    return int(one(connection, _STATEMENTS["count"], {"source": source, "kind": kind}))


def values(connection: Connection, source: str, kind: AttributeKind) -> Iterator[pa.RecordBatch]:
    """What is known of each subject, ATTRIBUTE_VALUE_SCHEMA, some rows at a time, however many these are.

    The connection is the caller's meanwhile.
    """
    connection.limit_s = math.inf  # as long as whoever reads it takes
    try:
        with connection.cursor().copy(_STATEMENTS["values"], {"source": source, "kind": kind}) as copy:
            stream = _Blocks(bytes(block) for block in copy)
            if stream.peek():
                yield from pa_csv.open_csv(
                    pa.PythonFile(stream, mode="r"),
                    pa_csv.ReadOptions(
                        column_names=ATTRIBUTE_VALUE_SCHEMA.names, block_size=_BLOCK_BYTES, use_threads=False
                    ),
                    pa_csv.ParseOptions(newlines_in_values=True),
                    pa_csv.ConvertOptions(
                        column_types=ATTRIBUTE_VALUE_SCHEMA, null_values=[""], strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )  # fmt: skip
    finally:
        connection.limit_s = SESSION_S


def changes(connection: Connection, source: str) -> pa.Table:
    """What changed since it was first read, ATTRIBUTE_CHANGE_SCHEMA, oldest first."""
    return copy_out(connection, _STATEMENTS["changes"], {"source": source}, ATTRIBUTE_CHANGE_SCHEMA)


def changes_since(
    connection: Connection, source: str, seq: int, limit: int
) -> list[tuple[str, str, str, str | None, str | None]]:
    """The first changes after a version: kind, subject, attribute, before, after."""
    rows = connection.execute(_STATEMENTS["changes_since"], {"source": source, "seq": seq, "limit": limit})
    return [(kind, subject, name, before, after) for kind, subject, name, before, after in rows]


class _Blocks(io.RawIOBase):
    """Blocks as a file to read from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._rest = blocks, b""

    def peek(self) -> bool:
        """Whether there is anything to read."""
        self._rest = self._rest or next(self._blocks, b"")
        return bool(self._rest)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, all for a negative one; b"" at the end."""
        parts, left = [], size if size >= 0 else 1 << 62
        while left and self.peek():
            part, self._rest = self._rest[:left], self._rest[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
