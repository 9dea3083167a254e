"""Evidence: how many events of a span are proved, how, and what is not. The one place that says so.

Every face asks here: `ferry status`, `backfill`, `report` and `metrics`, Dagster's metadata and its checks.

An event is proved when it is in the generation that counts at its time (pipelines.ledger.current), that time is
covered, and no exception of its point touches that time. What sync proved counts as what a backfill proved. Where a
newer slice or the span cuts through a generation, its events are counted in the landing.
"""

from pipelines.evidence.proofs import Evidence, gather, reason_of
from pipelines.evidence.standing import Scope, Standing, standings

__all__ = ["Evidence", "Scope", "Standing", "gather", "reason_of", "standings"]
