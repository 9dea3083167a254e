"""Following a plant that keeps running: what is due when, and one pass of doing it."""

from pipelines.sync.agenda import Rhythm
from pipelines.sync.away import AwayStore
from pipelines.sync.checking import WHOLE_STORE, CheckResult, StoreChecks
from pipelines.sync.passes import SyncPass
from pipelines.sync.results import PassResult
from pipelines.sync.sweeping import Sweeping, SweepResult
from pipelines.sync.watching import TOLD

__all__ = [
    "TOLD",
    "WHOLE_STORE",
    "AwayStore",
    "CheckResult",
    "PassResult",
    "Rhythm",
    "StoreChecks",
    "SweepResult",
    "Sweeping",
    "SyncPass",
]
