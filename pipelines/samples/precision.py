"""Numbers that a source keeps in fewer bits than a double: what their decimal texts stand for, and sums of them.

A single is written with the fewest digits that tell it from its neighbours, seven to nine: 81.83204 stands for
81.83203887939453125. That exact number is what is kept, so that sums of both sides are sums of the same numbers. Who
adds up such numbers adds up either them or their texts, in doubles: a sum is compared with both, each to the rounding
of doubles, and with nothing between.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SINGLE, HALF = 24, 11
"""Bits of precision of IEEE 754 binary32 and binary16."""
_EPSILON = 2.0**-53
_TELLING = 9  # so many digits tell a single from every other
_MOST = 17  # that a double is written with
_EXACT = 22  # the greatest power of ten that a double holds
_POWERS = np.array([10.0**power for power in range(-64, 65)])  # of ten; singles lie between 1e-45 and 1e39
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def narrowed(values: Floats, bits: int) -> Floats:
    """The numbers of SINGLE or HALF precision that texts stand for; `values` are the texts read as doubles.

    What is no text of such a number, with more digits than it has, or out of its range, stays as it is.
    """
    with np.errstate(over="ignore"):
        near = values.astype(np.float16 if bits == HALF else np.float32).astype(np.float64)
    odd = np.flatnonzero((near != values) & np.isfinite(near) & (near != 0.0))
    odd = odd[(_says_half if bits == HALF else _says_single)(values[odd], near[odd])]
    if not len(odd):
        return values
    found = values.copy()
    found[odd] = near[odd]
    return found


def written(values: Floats, bits: int) -> Floats:
    """The shortest texts of numbers of that precision, read as doubles; other numbers as they are."""
    found = values.copy()
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
        halves = values.astype(np.float16)
    exact = np.flatnonzero(np.isfinite(singles) & (singles == values))
    found[exact] = pa.array(singles[exact]).cast(pa.string()).cast(pa.float64())  # Arrow writes the shortest
    if bits == HALF:
        exact = np.flatnonzero(np.isfinite(halves) & (halves == values))
        found[exact] = _half_texts()[halves[exact].view(np.uint16)]
    return found


def same_sum(mine: float, its: float, magnitude: float, terms: int) -> bool:
    """Two sums of the same n doubles in any order differ by at most 2·(n-1)·2^-53·Σ|x| (Higham, Accuracy and
    Stability of Numerical Algorithms, section 4.2). One that is beyond all doubles tells nothing."""
    return mine == its or not math.isfinite(mine) or abs(mine - its) <= 2 * max(terms, 1) * _EPSILON * magnitude


def _says_half(texts: Floats, halves: Floats) -> Bools:
    """Whether they are the shortest texts of halves."""
    return np.asarray(_half_texts()[halves.astype(np.float16).view(np.uint16)] == texts)


def _says_single(texts: Floats, singles: Floats) -> Bools:
    """Whether they have no more digits than tell a single, or are the single rounded to more digits of its own."""
    size = np.abs(texts)
    first = np.floor(np.log10(size)).astype(np.int64)  # the place of the first digit
    power = _TELLING - 1 - first
    scale = _POWERS[64 + power]
    scaled = size * scale
    whole = np.rint(scaled)
    said = whole / scale == size
    far = np.flatnonzero((power < 0) | (power > _EXACT))  # where a power of ten is none exactly
    said[far] = np.abs(scaled[far] - whole[far]) < 2e-6  # some roundings of a number below 10^10
    left = np.flatnonzero(~said)
    gaps = np.abs(texts[left] - singles[left])
    for digits in range(_TELLING + 1, _MOST + 1) if len(left) else ():
        unit = _POWERS[64 + 1 + first[left] - digits]
        places = size[left] / unit
        rounded = np.abs(places - np.rint(places)) <= places * 1e-15
        said[left] |= rounded & (gaps <= 0.5 * unit + 2 * _EPSILON * size[left])
    return np.asarray(said)


@lru_cache(maxsize=1)
def _half_texts() -> Floats:
    """The shortest text of every half, read as a double, by its 16 bits."""
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16)
    texts = np.array([float(np.format_float_scientific(half)) for half in halves])
    return np.concatenate([texts, -texts])
