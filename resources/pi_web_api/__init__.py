"""AVEVA PI over PI Web API: the plain client.

`PiWebApiSource` is the Source; below it `pulling` (one pull), `agenda` and `cursors` (what to ask next), `decoding`
and `states` (JSON → columns), `counting` (tallies), `streams` (forms of asking), `transport` and `budget` (HTTP).
"""

from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.transport import Patience

__all__ = ["Bounds", "Patience", "PiWebApiSource"]
