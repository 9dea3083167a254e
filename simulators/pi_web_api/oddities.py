"""What real history has and clean signals lack: system states, flags, ties, borders, extreme values.

All by mutation of a day's plain events, so that rates stay as the specification says.
"""

from __future__ import annotations

import numpy as np

from simulators.pi_web_api.events import DAY_NS, HOUR_NS, TICK_NS, Events, Flag, Shape, blank, joined
from simulators.pi_web_api.signals import decimal
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import COERCION_FAILED, OVER_RANGE, PT_CREATED, SYSTEM_STATES, UNDER_RANGE

TIE_HEAVY_EVENTS = 5_000
ERROR_TEXTS = ("PI Point not found 'UNIT1.ERRORS'.", "[-11059] No Good Data For Calculation", "An error occurred", "")
_COMMON_STATES = (246, 246, 246, 255, 255, 254, 238, 307)
_TIE_DAY = 20_454 % 4  # 2026-01-01 in days since 1970

_FLAGS = (
    Flag.QUESTIONABLE,
    Flag.SUBSTITUTED,
    Flag.ANNOTATED,
    Flag.QUESTIONABLE | Flag.SUBSTITUTED,
    Flag.BAD,
    Flag.BAD | Flag.QUESTIONABLE,
    Flag.SUBSTITUTED | Flag.ANNOTATED,
)


def with_oddities(spec: Spec, events: Events, draw: np.random.Generator, day: int, nonfinite: bool) -> Events:
    """The day's events with what this point shows laid over them; `events` is used up."""
    if not len(events):
        return events
    heavy = spec.role == "trouble"
    _borders(spec, events, draw, day)
    _extremes(spec, events, draw, nonfinite)
    events = _states(spec, events, draw, 0.08 if heavy else 0.000_8)
    _flags(events, draw, 0.1 if heavy else 0.000_6)
    _ties(events, draw, 0.02 if heavy else 0.001)
    if spec.role == "ties":
        events = _many_ties(events, draw, day)
    if spec.role == "errors":
        events = _errors(events, draw)
    return events


def created(spec: Spec, events: Events, start_ns: int) -> Events:
    """The first day of a point: every third begins with the system state Pt Created."""
    if spec.number % 3 or not len(events):
        return events
    first = blank(np.array([start_ns + spec.number % 7 * 1_000_000_100]), Shape.SYSTEM, ("Pt Created",))
    first.codes[:], first.texts[:], first.flags[:] = PT_CREATED, 0, int(Flag.BAD)
    return joined([first, events.take(events.times > first.times[0])])


def _some(draw: np.random.Generator, events: Events, share: float, least: float = 0.05) -> np.ndarray:
    """Places of about `share` of the events."""
    count = int(draw.poisson(len(events) * share + least))
    return draw.integers(0, len(events), count)


def _borders(spec: Spec, events: Events, draw: np.random.Generator, day: int) -> None:
    """Events exactly at midnight, at full hours, and on the last tick of the day."""
    times, midnight = events.times, day * DAY_NS
    edges = spec.role == "edges"
    if edges or spec.number % 4 == 0:
        times[0] = midnight
    if edges or (spec.number % 6 == 0 and len(times) > 1):
        times[-1] = midnight + DAY_NS - TICK_NS
    for hour in range(1, 24) if edges else draw.integers(1, 24, 2 * (spec.number % 3 == 0)):
        place = int(np.searchsorted(times, midnight + hour * HOUR_NS))
        if place < len(times) - 1:
            times[place] = midnight + hour * HOUR_NS


def _extremes(spec: Spec, events: Events, draw: np.random.Generator, nonfinite: bool) -> None:
    """Numbers at the limits of their type."""
    rows = len(events)
    if spec.role == "limits":
        limits = (0, 1, 32_767) if spec.pi_type == "Int16" else (-2_147_450_880, 2_147_483_647, 0, -1)
        places = draw.integers(0, rows, rows // 10)
        events.codes[places] = np.asarray(limits)[draw.integers(0, len(limits), len(places))]
    if spec.role != "big":
        return
    odd = [-0.0, 1e300, -1e300, 5e-324, 0.1 + 0.2, 1e15, 123_456_789_012.5, 9_007_199_254_740_994.0, 1e-7, 0.0, -12.0]
    if nonfinite:
        odd += [float("nan"), float("inf"), float("-inf")]
    places = draw.integers(0, rows, rows // 3)
    events.numbers[places] = np.asarray(odd)[draw.integers(0, len(odd), len(places))]
    wide = (2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**53 - 1, 42)
    places = draw.integers(0, rows, rows // 6)
    events.shapes[places] = Shape.INTEGER
    events.numbers[places] = 0.0
    events.codes[places] = np.asarray(wide, dtype=np.int64)[draw.integers(0, len(wide), len(places))]


def _states(spec: Spec, events: Events, draw: np.random.Generator, share: float) -> Events:
    """System states in the place of some values, in runs of one to three."""
    begins = _some(draw, events, share, 0.15)
    places = np.unique(np.minimum(np.concatenate([begins, begins[::2] + 1, begins[::4] + 2]), len(events) - 1))
    if spec.role == "trouble":
        numbers = draw.choice(np.asarray(sorted(set(SYSTEM_STATES) - {PT_CREATED, COERCION_FAILED})), len(places))
    else:
        numbers = draw.choice(np.asarray(_COMMON_STATES), len(places))
    if spec.role == "range":
        more = draw.integers(0, len(events), len(events) // 20)
        places = np.concatenate([places, more])
        numbers = np.concatenate([numbers, draw.choice(np.asarray((UNDER_RANGE, OVER_RANGE)), len(more))])
    if not len(places):
        return events
    known = sorted({int(number) for number in numbers})
    base = len(events.names)
    events.shapes[places] = Shape.SYSTEM
    events.numbers[places] = 0.0
    events.codes[places] = numbers
    events.texts[places] = base + np.searchsorted(np.asarray(known), numbers)
    events.flags[places] = int(Flag.BAD)
    return _named(events, tuple(SYSTEM_STATES[number] for number in known))


def _flags(events: Events, draw: np.random.Generator, share: float) -> None:
    places = _some(draw, events, share)
    events.flags[places] |= np.asarray(_FLAGS, dtype=np.uint8)[draw.integers(0, len(_FLAGS), len(places))]


def _ties(events: Events, draw: np.random.Generator, share: float) -> None:
    """Some events at the stamp of the one before, half of them its equal in every column."""
    if len(events) < 3:
        return
    for place in np.unique(_some(draw, events, share)):
        if place == 0 or place == len(events) - 1:
            continue
        events.times[place] = events.times[place - 1]
        if draw.random() < 0.5:
            for column in (events.shapes, events.numbers, events.codes, events.texts, events.flags):
                column[place] = column[place - 1]


def _many_ties(events: Events, draw: np.random.Generator, day: int) -> Events:
    """Thousands of events at one stamp on 2026-01-01 and every fourth day from it, a few on the others."""
    place = len(events) // 2
    count = TIE_HEAVY_EVENTS if day % 4 == _TIE_DAY else 7
    many = blank(np.full(count, events.times[place], dtype=np.int64))
    many.numbers[:] = decimal(draw.uniform(0, 3, count), 2)
    return joined([events.take(slice(0, place + 1)), many, events.take(slice(place + 1, None))])


def _errors(events: Events, draw: np.random.Generator) -> Events:
    """Values that are a text, which says of what went wrong when they were archived; never good."""
    places = np.unique(draw.integers(0, len(events), len(events) // 4 + 1))
    kinds = draw.integers(0, len(ERROR_TEXTS), len(places))
    events.shapes[places] = Shape.TEXT
    events.numbers[places] = 0.0
    events.codes[places] = -1
    events.texts[places] = len(events.names) + kinds
    events.flags[places] = int(Flag.BAD)
    return _named(events, ERROR_TEXTS)


def _named(events: Events, more: tuple[str, ...]) -> Events:
    return Events(
        events.times, events.shapes, events.numbers, events.codes, events.texts, events.flags, events.names + more
    )
