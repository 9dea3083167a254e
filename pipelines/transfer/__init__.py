"""Slices on their way: pull, land, write, verify, commit; many at once; and the recount of what is there."""

from pipelines.transfer.leasing import leased
from pipelines.transfer.one_slice import Transfer
from pipelines.transfer.reasons import DRIFT, LOST
from pipelines.transfer.recount import Recount, recount
from pipelines.transfer.rectangle import PairResult, RectangleRun
from pipelines.transfer.results import Bounds, SliceResult

__all__ = [
    "DRIFT",
    "LOST",
    "Bounds",
    "PairResult",
    "Recount",
    "RectangleRun",
    "SliceResult",
    "Transfer",
    "leased",
    "recount",
]
