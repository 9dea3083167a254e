"""A day of one point's events before its oddities: times and values from (seed, number, day) alone.

Times are a Poisson process (exponential gaps in 100 ns ticks, as compression leaves them); values are two sines and
noise, so that neighbouring days join without a memory of the day before.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from zlib import crc32

import numpy as np

from simulators.pi_web_api.clock import iso
from simulators.pi_web_api.events import DAY_NS, SECOND_NS, TICK_NS, Events, Floats, Int64s, Shape, blank
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import DIGITAL_SETS

TEXTS = (
    "Batch 2026-0117 started",
    "",
    "line one\nline two\ttabbed",
    'quoted "text" and back\\slash',
    "Größe überschritten: 12 µm",
    "смена закончена",
    "点検済み ✅ 🏭",
    "NaN",
    "12.5",
    "null",
    "I/O Timeout",
    "x" * 976,  # the longest that a PI string point holds
    " leading and trailing ",
    "\u0000\u0001 control \u007f",
    "</script>&amp;'",
)

_DAY_TICKS = DAY_NS // TICK_NS
_SECOND_TICKS = SECOND_NS // TICK_NS


def dice(seed: int, number: int, day: int, salt: str) -> np.random.Generator:
    """The random numbers of one point's day; the same in every process."""
    return np.random.default_rng((seed, number, day & 0xFFFFFFFF, crc32(salt.encode())))


def day_of_events(spec: Spec, seed: int, day: int) -> Events:
    """The point's events of a UTC day (days since 1970), all plain and good; columns may be written to."""
    draw = dice(seed, spec.number, day, "signal")
    times = _times(spec, draw, day)
    if spec.pi_type in ("String", "Timestamp", "Blob"):
        return _texts(spec, draw, times)
    if spec.pi_type == "Digital":
        names = DIGITAL_SETS[spec.digital_set]
        events = blank(times, Shape.STATE, names)
        events.codes[:] = draw.integers(0, len(names), len(times))
        events.texts[:] = events.codes
        return events
    wave = _wave(spec, seed, draw, times)
    if spec.pi_type in ("Int16", "Int32"):
        events = blank(times, Shape.INTEGER)
        scale = 10.0 if spec.pi_type == "Int16" else 1_000.0
        events.codes[:] = np.rint(wave * scale)
        if spec.pi_type == "Int16":
            np.clip(events.codes, 0, 32_767, out=events.codes)  # 15 bits, no negatives
        return events
    events = blank(times)
    events.numbers[:] = decimal(wave, spec.decimals) if spec.pi_type == "Float64" and spec.decimals < 17 else wave
    return events


def decimal(numbers: Floats, decimals: int) -> Floats:
    """Rounded so that the shortest text of each double has at most `decimals` decimals, and reads back equal."""
    scale = 10.0**decimals
    return np.asarray(np.rint(numbers * scale) / scale)


def _times(spec: Spec, draw: np.random.Generator, day: int) -> Int64s:
    """Rising times of a day, ns; whole-second points keep one event a second, ties come later on purpose."""
    if spec.interval_s <= 0:
        return np.empty(0, dtype=np.int64)
    ticks = draw.integers(0, _DAY_TICKS, draw.poisson(86_400 / spec.interval_s))
    if spec.digits == 0:
        ticks -= ticks % _SECOND_TICKS
    elif spec.digits < 0:
        whole = draw.random(len(ticks)) < 0.5
        ticks[whole] -= ticks[whole] % _SECOND_TICKS
    ticks.sort()
    if spec.digits <= 0 and len(ticks):
        ticks = ticks[np.concatenate(([True], np.diff(ticks) > 0))]
    return np.asarray(day * DAY_NS + ticks * TICK_NS)


def _wave(spec: Spec, seed: int, draw: np.random.Generator, times: Int64s) -> Floats:
    character = dice(seed, spec.number, 0, "wave")
    slow_s, fast_s = character.uniform(20_000, 200_000), character.uniform(300, 6_000)
    phases = character.uniform(0, 2 * np.pi, 2)
    seconds = times / SECOND_NS
    shape = 0.5 + 0.33 * np.sin(2 * np.pi * seconds / slow_s + phases[0])
    shape += 0.08 * np.sin(2 * np.pi * seconds / fast_s + phases[1])
    shape += 0.01 * draw.standard_normal(len(times))
    return np.asarray(spec.zero + spec.span * shape)


def _texts(spec: Spec, draw: np.random.Generator, times: Int64s) -> Events:
    if spec.pi_type == "String":
        events = blank(times, Shape.TEXT, TEXTS)
        events.texts[:] = draw.integers(0, len(TEXTS), len(times))
        return events
    if spec.pi_type == "Timestamp":
        back = draw.integers(0, 30 * _DAY_TICKS, len(times)) * TICK_NS
        names = [iso(int(moment)) for moment in times - back]
    else:
        # How a real server writes a Blob is unverified (facts 1.2): base64 is our guess.
        names = [base64.b64encode(draw.bytes(int(size))).decode() for size in draw.integers(0, 200, len(times))]
    events = blank(times, Shape.TEXT, names)
    events.texts[:] = np.arange(len(times))
    return replace(events, names=tuple(names))
