"""The append-only ledger in PostgreSQL 15 or newer."""

from resources.postgres.ledger import PostgresLedger

__all__ = ["PostgresLedger"]
