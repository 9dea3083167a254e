"""What the domain asks of the outside: sources, stores and the ledger's store, and the error classes."""

from pipelines.ports.errors import FerryError, NoRoom, Retry, Skip, Split, Stop, Unreachable
from pipelines.ports.ledger import (
    PROOF_SCHEMA,
    Exclusion,
    Lease,
    LedgerStore,
    Looked,
    Proof,
    SliceId,
    SliceRecord,
    State,
    Watch,
)
from pipelines.ports.source import ChangeFeed, Changes, Origin, Pulled, Source, SourceTally
from pipelines.ports.store import Store

__all__ = [
    "PROOF_SCHEMA",
    "ChangeFeed",
    "Changes",
    "Exclusion",
    "FerryError",
    "Lease",
    "LedgerStore",
    "Looked",
    "NoRoom",
    "Origin",
    "Proof",
    "Pulled",
    "Retry",
    "Skip",
    "SliceId",
    "SliceRecord",
    "Source",
    "SourceTally",
    "Split",
    "State",
    "Stop",
    "Store",
    "Unreachable",
    "Watch",
]
