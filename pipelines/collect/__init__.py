"""Collecting: PLCs are read on a steady clock, and what was read, or missed, is spooled before anything else."""

from pipelines.collect.breaker import Breaker
from pipelines.collect.cadence import Cadence
from pipelines.collect.collector import Collector, Scan, scans_of
from pipelines.collect.readings import Recorder

__all__ = [
    "Breaker",
    "Cadence",
    "Collector",
    "Recorder",
    "Scan",
    "scans_of",
]
