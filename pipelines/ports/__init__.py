"""What the domain asks of the outside: sources, stores and the ledger's store, and the error classes."""

from pipelines.ports.errors import FerryError, NoRoom, Retry, Skip, Split, Stop, Unreachable
from pipelines.ports.ledger import (
    NEWCOMER,
    PROOF_SCHEMA,
    Exclusion,
    Known,
    Lease,
    LedgerStore,
    Looked,
    Proof,
    SliceId,
    SliceRecord,
    State,
    Watch,
)
from pipelines.ports.plc import CYCLES, SPOOL_SCHEMA, PlcConnection, Reading, Spool, Tag
from pipelines.ports.source import ChangeFeed, Changes, Origin, Pulled, Source, SourceTally
from pipelines.ports.store import Store

__all__ = [
    "CYCLES",
    "NEWCOMER",
    "PROOF_SCHEMA",
    "SPOOL_SCHEMA",
    "ChangeFeed",
    "Changes",
    "Exclusion",
    "FerryError",
    "Known",
    "Lease",
    "LedgerStore",
    "Looked",
    "NoRoom",
    "Origin",
    "PlcConnection",
    "Proof",
    "Pulled",
    "Reading",
    "Retry",
    "Skip",
    "SliceId",
    "SliceRecord",
    "Source",
    "SourceTally",
    "Split",
    "Spool",
    "State",
    "Stop",
    "Store",
    "Tag",
    "Unreachable",
    "Watch",
]
