"""A day of one tag's rows before its oddities: times and values from (seed, number, day) alone.

Cyclic storage gives a row at every beat; delta storage (facts 2.3, HIST/67229) leaves a Poisson process of changes.
"""

from __future__ import annotations

import numpy as np

from simulators.pi_web_api.signals import dice
from simulators.wonderware.events import DAY_NS, SECOND_NS, Events, Floats, Int64s, blank
from simulators.wonderware.specs import CYCLIC, Spec

LONGEST_TEXT = 4_000  # vValue is nvarchar(4000)
TEXTS = (
    "Batch 2026-0117 started",
    "",
    "line one\nline two\ttabbed\r\n",
    'quoted "text" and back\\slash',
    "it's; DROP TABLE History; --",
    "Größe überschritten: 12 µm",
    "смена закончена",
    "点検済み ✅ 🏭",
    "NULL",
    "12.5",
    "NaN",
    " leading and trailing ",
    "\u0001\u007f control",
    "x" * LONGEST_TEXT,
    "é" * (LONGEST_TEXT - 1),
    "🏭" * (LONGEST_TEXT // 2),
)
_USUAL_TEXTS = 13  # the long ones come only now and then


def day_of_events(spec: Spec, seed: int, day: int) -> Events:
    """The tag's rows of a UTC day (days since 1970), all plain and good; columns may be written to."""
    draw = dice(seed, spec.number, day, "signal")
    times = _times(spec, draw, day)
    if spec.kind == "string":
        events = blank(times, TEXTS)
        events.texts[:] = draw.integers(0, _USUAL_TEXTS, len(times))
        long = np.flatnonzero(draw.random(len(times)) < 0.002)
        events.texts[long] = draw.integers(_USUAL_TEXTS, len(TEXTS), len(long))
        return events
    events = blank(times)
    if spec.kind == "discrete":
        events.numbers[:] = draw.integers(0, 2, len(times))
    elif spec.role == "heartbeat":
        events.numbers[:] = times // SECOND_NS % 60
    else:
        events.numbers[:] = rounded(_wave(spec, seed, draw, times), spec.decimals)
    return events


def rounded(numbers: Floats, decimals: int) -> Floats:
    """Rounded to decimals (17: as they are), and never a negative zero."""
    if decimals >= 17:
        return numbers
    scale = 10.0**decimals
    return np.asarray(np.rint(numbers * scale) / scale + 0.0)


def _times(spec: Spec, draw: np.random.Generator, day: int) -> Int64s:
    """Rising times of a day, UTC ns, each once; ties come later on purpose."""
    if spec.interval_s <= 0:
        return np.empty(0, dtype=np.int64)
    if spec.storage_type == CYCLIC:
        step_ns = round(spec.interval_s * SECOND_NS)
        phase_ns = spec.number % 4 * (step_ns // 4)  # every fourth beats exactly at midnight and the hours
        return day * DAY_NS + np.arange(phase_ns, DAY_NS, step_ns, dtype=np.int64)
    steps = np.unique(draw.integers(0, DAY_NS // spec.step_ns, draw.poisson(86_400 / spec.interval_s)))
    return np.asarray(day * DAY_NS + steps * spec.step_ns)


def _wave(spec: Spec, seed: int, draw: np.random.Generator, times: Int64s) -> Floats:
    """Two sines and noise, so that neighbouring days join without a memory of the day before."""
    character = dice(seed, spec.number, 0, "wave")
    slow_s, fast_s = character.uniform(20_000, 200_000), character.uniform(300, 6_000)
    phases = character.uniform(0, 2 * np.pi, 2)
    seconds = times / SECOND_NS
    shape = 0.5 + 0.33 * np.sin(2 * np.pi * seconds / slow_s + phases[0])
    shape += 0.08 * np.sin(2 * np.pi * seconds / fast_s + phases[1])
    shape += 0.004 * draw.standard_normal(len(times))
    return np.asarray(spec.low + (spec.high - spec.low) * shape)
