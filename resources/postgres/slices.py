"""Slices, coverage and proofs as rows: what one commit writes, and how rows and records become each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import sql
from pipelines.ports import Exclusion, SliceId, SliceRecord
from pipelines.timeline import Interval
from resources.postgres import proofs
from resources.postgres.connections import Connection
from resources.postgres.exclusions import replace
from resources.postgres.texts import legible

STATEMENTS = {name: text.encode() for name, text in sql.statements("ledger/slices.sql").items()}
COVERAGE = {name: text.encode() for name, text in sql.statements("ledger/coverage.sql").items()}
LOCKS = {name: text.encode() for name, text in sql.statements("ledger/locks.sql").items()}
CHECKPOINT_ROWS = 256
"""Rows of a group's coverage that are read one by one at most, as long as it has few intervals."""
PROVING_STATES = frozenset({"verified", "settled"})


def commit(
    connection: Connection, record: SliceRecord, table: pa.Table, given: Sequence[Exclusion], keep_proofs: bool
) -> int:
    """Appends a slice, what it proves, its coverage and its point exceptions, in the caller's transaction and under its
    lock on the group; returns its number."""
    of_slice = slice_row(record.slice)
    proves = record.state in PROVING_STATES
    older = standing(connection, of_slice) if proves else []
    seq = int(one(connection, STATEMENTS["append"], record_row(record, proves)))
    # What failed is kept in any case: evidence knows by it what the source holds other than the landing.
    proofs.append(connection, seq, table if keep_proofs else table.filter(pc.equal(table["proof"], "none")))
    proven = table["point"].slice(0, 0)
    if record.state == "verified":
        row = {**of_slice, "generation": record.generation, "run_id": legible(record.run_id), "reason": ""}
        one(connection, COVERAGE["append"], {**row, "covers": True})
        connection.execute(COVERAGE["checkpoint"], {**of_slice, "rows": CHECKPOINT_ROWS})
        proven = table["point"].filter(pc.not_equal(table["proof"], "none"))
    if older and not keep_proofs:
        connection.execute(COVERAGE["supersede"], {"older": older, "seq": seq})
    elif older:
        connection.execute(COVERAGE["supersede_proved"], {"older": older, "seq": seq})
        connection.execute(COVERAGE["supersede_points"], {"older": older, "seq": seq})
    replace(connection, seq, record.slice, proven, given)
    return seq


def withdraw(connection: Connection, values: dict[str, Any], reason: str, run_id: str = "") -> None:
    """Withdraws the coverage of a span (`span_row`), and ends every proof that touches it, in the caller's transaction
    and under its lock on the group."""
    row = {**values, "covers": False, "generation": "", "run_id": legible(run_id), "reason": legible(reason)}
    seq = one(connection, COVERAGE["append"], row)
    if older := standing(connection, values):
        connection.execute(COVERAGE["supersede"], {"older": older, "seq": seq})
    connection.execute(COVERAGE["checkpoint"], {**values, "rows": CHECKPOINT_ROWS})


def checked(record: SliceRecord, table: pa.Table, given: Sequence[Exclusion]) -> pa.Table:
    """The proofs in PROOF_SCHEMA. Raises ValueError for another schema and exceptions of another group."""
    for exclusion in given:
        if (exclusion.source, exclusion.group) != (record.slice.source, record.slice.group):
            raise ValueError(f"the exception of {exclusion.point!r} is of another group than {record.slice}")
    return proofs.proofs_table(table)


def standing(connection: Connection, of_slice: dict[str, Any]) -> list[int]:
    """Numbers of the slices that touch the span and whose proofs stand."""
    return [seq for (seq,) in connection.execute(COVERAGE["standing"], of_slice)]


def covered(connection: Connection, source: str, group: str, *, whatever_store: bool = False) -> list[Interval]:
    """Merged intervals covered and not withdrawn since: nothing while another store than ours answers, but
    `whatever_store`."""
    statement = COVERAGE["covered_by_rows" if whatever_store else "covered"]
    rows = connection.execute(statement, {"source": source, "group": group})
    return [Interval(*row) for row in rows]


def lock_group(connection: Connection, source: str, group: str) -> None:
    """Until the end of the transaction: whoever changes the coverage of the group does it alone."""
    connection.execute(LOCKS["lock"], {"name": f"group\x1f{source}\x1f{group}"})


def one(connection: Connection, statement: bytes, values: dict[str, Any]) -> Any:
    """The first value of the only row."""
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0]


def span_row(source: str, group: str | None, span: Interval) -> dict[str, Any]:
    """Values to bind."""
    return {"source": source, "group": group, "start_ns": span.start_ns, "end_ns": span.end_ns}


def slice_row(slice_id: SliceId) -> dict[str, Any]:
    """Values to bind."""
    return span_row(slice_id.source, slice_id.group, slice_id.span)


def record_row(record: SliceRecord, proves: bool) -> dict[str, Any]:
    """Values to bind."""
    return {
        **slice_row(record.slice),
        "state": record.state,
        "generation": record.generation,
        "run_id": legible(record.run_id),
        "events": record.events,
        "points": record.points,
        "rounded": record.rounded,
        "note": legible(record.note),
        "retry_at_ns": record.retry_at_ns,
        "proves": proves,
    }


def record(row: tuple[Any, ...]) -> SliceRecord:
    """A row of the history."""
    source, group, start_ns, end_ns, *rest = row
    return SliceRecord(SliceId(source, group, Interval(start_ns, end_ns)), *rest)
