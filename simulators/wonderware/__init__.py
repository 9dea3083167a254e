"""A stand-in AVEVA (Wonderware) Historian: a Runtime database over a plant that follows from a seed.

Written from facts/historians.md part 2 alone; where those facts are unverified, the module says which reading it takes.
`Plant` holds the rows, `truth` says what a faithful copy of them is, `Historian` answers SQL, `serve` does so over TDS,
and `EXEC ferry_plant …` (control.py) is for tests: faults, edits, hidden windows, statistics.
"""

from simulators.wonderware.historian import Historian
from simulators.wonderware.plant import Plant
from simulators.wonderware.server import serve
from simulators.wonderware.settings import Settings
from simulators.wonderware.truth import truth

__all__ = ["Historian", "Plant", "Settings", "serve", "truth"]
