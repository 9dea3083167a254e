"""In how many bits a PI point keeps its numbers (facts/historians.md 1.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.points import Point
from pipelines.samples import HALF, SINGLE, narrowed

_BITS = {"float32": SINGLE, "float16": HALF}
_STEPS = 32_767  # of a Float16 between Zero and Zero + Span
Floats = npt.NDArray[np.float64]


def bits_of(point: Point) -> int | None:
    """SINGLE or HALF; None for a point whose numbers are doubles, or whole."""
    return _BITS.get(point.source_type.casefold())


def numbers_of(point: Point, values: Floats) -> Floats:
    """The numbers that a point of few bits keeps, by the texts that the server wrote of some of its values.

    The archive keeps a Float16 as one of 32,767 steps of its span, and shows it as a single; a server that shows halves
    writes nothing but shortest texts of halves.
    """
    if bits_of(point) == HALF:
        halves = narrowed(values, HALF)
        with np.errstate(over="ignore"):
            are_halves = halves.astype(np.float16) == halves
        if bool(are_halves[np.isfinite(values)].all()) and not _steps(point, values):
            return halves
    return narrowed(values, SINGLE)


def _steps(point: Point, values: Floats) -> bool:
    """Whether all values are steps of the point's span, to the precision of a single."""
    if point.zero is None or not point.span:
        return False
    values = values[np.isfinite(values)]
    step = point.span / _STEPS
    near = point.zero + np.rint((values - point.zero) / step) * step
    return bool((np.abs(near - values) <= 2.0**-23 * np.maximum(np.abs(values), abs(point.zero))).all())
