"""Singles and halves: what a point of few bits holds, and the shortest texts that tell its numbers apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from simulators.pi_web_api.events import DOUBLE, Events, Floats

_KINDS = {"Float32": "f4", "Float16": "f2"}


def narrowed(events: Events, pi_type: str) -> Events:
    """The events as a point of that type holds them."""
    kind = _KINDS.get(pi_type, DOUBLE)
    if kind == DOUBLE:
        return events
    with np.errstate(over="ignore"):
        return replace(events, numbers=events.numbers.astype(kind).astype(np.float64), precision=kind)


def texts_of(numbers: Floats, precision: str) -> pa.Array:
    """The shortest texts that read back equal in that precision."""
    if precision == "f2":  # Arrow writes halves as if they were singles
        known, places = np.unique(numbers.view(np.uint64), return_inverse=True)
        halves = known.view(np.float64).astype(np.float16)
        return pa.array([repr(float(np.format_float_scientific(each))) for each in halves]).take(pa.array(places))
    return pa.array(numbers.astype(precision)).cast(pa.string())
