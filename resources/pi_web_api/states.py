"""What a single odd value means: everything but a plain number with a good quality.

Rules: design.md rule 4; quality per facts/historians.md part 3, whose assignment of PI states to rows below BAD is
ours. A system state is told by `IsSystem`, never by its name: plant states may be called "Bad Input" too.
"""

from __future__ import annotations

import json
import math
import sys
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import UNSET

from pipelines.points import NUMERIC_KINDS, Point
from pipelines.samples import BAD, EXACT, GOOD, GOOD_EDITED, NO_CODE, UNCERTAIN, Quality
from resources.pi_web_api.wire import Event, complaint

_INT64 = 2**63
_INT32 = 2**31
_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_SYSTEM_QUALITY = {
    210: Quality.BAD_CONFIG,  # Access Denied
    213: Quality.BAD_OUT_OF_SERVICE,  # Unit Down
    214: Quality.BAD_SENSOR,  # Sample Bad
    215: Quality.BAD_SENSOR,  # Equip Fail
    233: Quality.BAD_DEVICE,  # DCS Failed
    238: Quality.BAD_OUT_OF_SERVICE,  # Scan Off
    240: Quality.BAD_CONFIG,  # Configure
    245: Quality.BAD_OUT_OF_SERVICE,  # Calc Off
    246: Quality.BAD_COMM,  # I/O Timeout
    248: Quality.BAD_NOT_CONNECTED,  # No Data
    253: Quality.BAD_NOT_CONNECTED,  # Pt Created
    254: Quality.BAD_OUT_OF_SERVICE,  # Shutdown
    255: Quality.BAD_DEVICE,  # Bad Input
}


class Reading(NamedTuple):
    """One event's columns but its time: a number in `value`, or a state in `text` and `code`."""

    value: float | None
    text: str | None
    code: int | None
    quality: int
    detail: int


class Undelivered(Exception):
    """A value that the archive may hold and the answer does not: a fault of the transfer, and no event."""


def undelivered(event: Event) -> str:
    """Why this is no value of the archive, '' where it is one. Its errors may stand beside it or in its place.

    No point holds a null: a bad one may be told so, a good one was lost on its way.
    """
    value = event.value
    if event.errors or event.web_exception:
        return f"an error in the place of a value: {complaint([event.errors, event.web_exception])}"
    if value is UNSET:
        return "an event without a value"
    if value is None and event.good is not False:
        return "null in the place of a good value"
    if isinstance(value, dict) and "Errors" in value and (value["Errors"] or "Name" not in value):
        return f"an error in the place of a value: {complaint(value)}"
    return ""


def reading(event: Event, point: Point) -> Reading:
    """What the event says, whatever its value is. Raises Undelivered."""
    if lost := undelivered(event):
        raise Undelivered(lost)
    quality = quality_of(event.good, event.questionable, event.substituted)
    value = event.value
    if isinstance(value, int):  # bool is one too
        return _integer(value, quality)
    if isinstance(value, float):
        return Reading(value, None, None, quality, 0)
    if isinstance(value, str):
        number = _NONFINITE.get(value) if point.kind in NUMERIC_KINDS else None
        return Reading(number, value if number is None else None, NO_CODE if number is None else None, quality, 0)
    if isinstance(value, dict):
        return _object(value, quality)
    return Reading(None, "" if value is None else _json(value), NO_CODE, quality, 0)


def quality_of(good: bool | None, questionable: bool | None, substituted: bool | None) -> int:
    """OPC quality of PI's three flags; a flag that is null counts as not raised."""
    if good is False:
        return BAD
    if questionable:
        return int(Quality.UNCERTAIN_SUBSTITUTED) if substituted else UNCERTAIN
    return GOOD_EDITED if substituted else GOOD


def _integer(value: int, quality: int) -> Reading:
    if abs(value) > sys.float_info.max:
        raise ValueError("a number that no double holds")
    if -EXACT <= value <= EXACT:
        return Reading(float(value), None, None, quality, 0)
    if -_INT64 <= value < _INT64:
        return Reading(None, "", value, quality, 0)
    return Reading(None, str(value), NO_CODE, quality, 0)


def _object(value: dict[str, Any], quality: int) -> Reading:
    if "Name" in value and "Value" in value:
        number = int(value["Value"]) if isinstance(value["Value"], int) else None  # a bool is one too
        name = value["Name"] if isinstance(value["Name"], str) else ""
        return _state(name, number, bool(value.get("IsSystem")), quality)
    return Reading(None, _json(value), NO_CODE, quality, 0)


@lru_cache(maxsize=4_096)  # a plant has few states, and a digital point repeats them for every event
def _state(name: str, number: int | None, is_system: bool, quality: int) -> Reading:
    code = NO_CODE if number is None or not -_INT64 <= number < _INT64 else number
    if not is_system:
        return Reading(None, name, code, quality, 0)
    detail = code if -_INT32 <= code < _INT32 and number is not None else 0
    return Reading(None, name, code, int(_SYSTEM_QUALITY.get(code, Quality.BAD)), detail)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
