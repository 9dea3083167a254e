"""Values between recorded events: interpolated, plot, and the last value at or before a time.

Source: facts/historians.md 1.4 and 1.13: stepped points hold the last value, others run straight between two good
numbers. A time before the first event has the system state No Data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulators.pi_web_api.events import Events, Flag, Shape, blank, joined
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.states import NO_DATA, SYSTEM_STATES

PLOT_VALUES = 5  # at most, of each interval: first, last, least, greatest, one exception


def no_value(time_ns: int, state: int = NO_DATA) -> Events:
    """One bad event with a system state."""
    event = blank(np.array([time_ns]), Shape.SYSTEM, (SYSTEM_STATES[state],))
    event.codes[:], event.texts[:], event.flags[:] = state, 0, int(Flag.BAD)
    return event


def last_at(plant: Plant, number: int, time_ns: int) -> Events:
    """The last event at or before a time, or none."""
    return plant.before(number, time_ns + 1)


def at_times(plant: Plant, number: int, times_ns: Sequence[int]) -> Events:
    """One event for each time, interpolated; never empty for a time."""
    return joined([_at(plant, number, time_ns) for time_ns in times_ns])


def _at(plant: Plant, number: int, time_ns: int) -> Events:
    left = last_at(plant, number, time_ns)
    if not len(left):
        return no_value(time_ns)
    held = replace(left, times=np.array([time_ns]))
    if left.times[0] == time_ns or plant.birth(number).step or not left.plain()[0]:
        return held
    right = plant.after(number, time_ns)
    if not len(right) or not right.plain()[0]:
        return held
    share = (time_ns - left.times[0]) / (right.times[0] - left.times[0])
    event = blank(np.array([time_ns]))
    event.numbers[:] = left.amounts() + (right.amounts() - left.amounts()) * share
    return event


def plotted(plant: Plant, number: int, first_ns: int, last_ns: int, intervals: int) -> Events:
    """Up to five events of each interval: the first, the last, the least, the greatest, and one bad one."""
    events = plant.window(number, first_ns, last_ns)
    edges = np.linspace(first_ns, last_ns + 1, intervals + 1)
    kept: set[int] = set()
    for low, high in zip(
        np.searchsorted(events.times, edges[:-1]), np.searchsorted(events.times, edges[1:]), strict=True
    ):
        if low == high:
            continue
        part = events.take(slice(int(low), int(high)))
        kept.update((int(low), int(high) - 1))
        plain = np.flatnonzero(part.plain())
        if len(plain):
            amounts = part.amounts()[plain]
            kept.update((int(low + plain[amounts.argmin()]), int(low + plain[amounts.argmax()])))
        bad = np.flatnonzero(part.flags & Flag.BAD)
        if len(bad):
            kept.add(int(low + bad[0]))
    return events.take(np.asarray(sorted(kept), dtype=np.intp))
