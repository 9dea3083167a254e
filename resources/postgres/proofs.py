"""Proofs of slices, in bulk: no row passes through Python."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

import sql
from pipelines.ports import PROOF_SCHEMA
from pipelines.timeline import Interval
from resources.postgres.columns import copy_in, copy_out
from resources.postgres.connections import Connection

_STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/proofs.sql").items()}
CURRENT_SCHEMA = pa.schema(
    [
        *PROOF_SCHEMA,
        pa.field("group", pa.string(), nullable=False),
        pa.field("start_ns", pa.int64(), nullable=False),
        pa.field("end_ns", pa.int64(), nullable=False),
        pa.field("generation", pa.string(), nullable=False),
    ]
)
"""What `current` returns: a proof, and the slice whose span it is about."""


def proofs_table(proofs: pa.Table) -> pa.Table:
    """The columns of PROOF_SCHEMA, checked. Raises ValueError for missing columns, other types, nulls, repeats."""
    missing = set(PROOF_SCHEMA.names) - set(proofs.column_names)
    if missing:
        raise ValueError(f"proofs lack the columns {sorted(missing)}")
    table = proofs.select(PROOF_SCHEMA.names).cast(PROOF_SCHEMA)
    if pc.count_distinct(table["point"]).as_py() != table.num_rows:
        raise ValueError("proofs hold a point twice")
    return table


def append(connection: Connection, slice_seq: int, proofs: pa.Table) -> None:
    """Adds the proofs (PROOF_SCHEMA) of one slice, in the caller's transaction."""
    if not proofs.num_rows:
        return
    rows = proofs.add_column(0, "slice_seq", pa.repeat(pa.scalar(slice_seq, pa.int64()), proofs.num_rows))
    copy_in(connection, _STATEMENTS["append"], rows)


def current(connection: Connection, source: str, group: str | None, span: Interval) -> pa.Table:
    """The proofs that still stand, of slices inside the span, in CURRENT_SCHEMA."""
    values = {"source": source, "group": group, "start_ns": span.start_ns, "end_ns": span.end_ns}
    return copy_out(connection, _STATEMENTS["current"], values, CURRENT_SCHEMA)


def of_slice(connection: Connection, seq: int) -> pa.Table:
    """The proofs of one slice, in PROOF_SCHEMA."""
    return copy_out(connection, _STATEMENTS["of_slice"], {"seq": seq}, PROOF_SCHEMA)
