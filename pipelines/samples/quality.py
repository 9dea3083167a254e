"""OPC classic quality numbers, the one quality column of every source.

Source: OPC DA quality byte QQSSSSLL (mask 0xC0); the assignment of PI states is ours, facts/historians.md part 3.
"""

from __future__ import annotations

from enum import IntEnum


class Quality(IntEnum):
    """OPC classic quality; above GOOD_FLOOR is good, below UNCERTAIN is bad."""

    BAD = 0
    BAD_CONFIG = 4
    BAD_NOT_CONNECTED = 8
    BAD_DEVICE = 12
    BAD_SENSOR = 16
    BAD_COMM = 24
    BAD_OUT_OF_SERVICE = 28
    UNCERTAIN = 64
    UNCERTAIN_LAST_USABLE = 68
    UNCERTAIN_SUBSTITUTED = 72
    GOOD = 192
    GOOD_EDITED = 216


GOOD = int(Quality.GOOD)
GOOD_EDITED = int(Quality.GOOD_EDITED)
GOOD_FLOOR = 192
UNCERTAIN = int(Quality.UNCERTAIN)
BAD = int(Quality.BAD)
