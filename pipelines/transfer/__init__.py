"""Slices on their way: pull, land, write, verify, commit; many at once; and the recount of what is there."""

from pipelines.transfer.one_slice import Bounds, SliceResult, Transfer
from pipelines.transfer.recount import Recount, recount
from pipelines.transfer.rectangle import PairResult, RectangleRun

__all__ = ["Bounds", "PairResult", "Recount", "RectangleRun", "SliceResult", "Transfer", "recount"]
