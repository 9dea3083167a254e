"""A ledger in a schema of its own, and short ways to write its rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo

from pipelines.ports import PROOF_SCHEMA, SliceId, SliceRecord, State
from pipelines.timeline import Interval


@contextmanager
def schema_dsn(dsn: str) -> Iterator[str]:
    """The DSN of a new schema, which is dropped in the end."""
    schema = f"s_{uuid.uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    yield make_conninfo(dsn, options=f"-csearch_path={schema}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def slice_id(source: str, start: int, end: int, group: str = "g000") -> SliceId:
    return SliceId(source, group, Interval(start, end))


def verified(source: str, start: int, end: int, group: str = "g000", state: State = "verified") -> SliceRecord:
    return SliceRecord(slice_id(source, start, end, group), state, "gen", "run")


def proof_table(events: Mapping[str, int] | None = None, proof: str = "counted") -> pa.Table:
    rows = [
        {
            "point": point, "proof": proof, "origin": "independent", "source_events": n, "events": n,
            "stored_events": n, "good": n, "first_ns": 0, "last_ns": 0, "total": float(n), "digest": None,
        }
        for point, n in (events or {}).items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PROOF_SCHEMA)
