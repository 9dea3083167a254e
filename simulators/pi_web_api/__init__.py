"""A stand-in PI Web API over a plant that follows from a seed.

Written from facts/historians.md part 1 alone; where those facts are unverified, a setting offers both readings.
`Plant` holds the events, `truth` says what a faithful copy of them is, `serve` answers over HTTP, and `/_plant/…`
(control.py) is for tests: faults, edits, hidden windows, statistics.
"""

from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.server import serve
from simulators.pi_web_api.settings import Settings
from simulators.pi_web_api.truth import truth

__all__ = ["Plant", "Settings", "serve", "truth"]
