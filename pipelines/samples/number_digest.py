"""The digest of events with a number that a store can compute by its own arithmetic (docs/decisions/0001).

    x = value·2^128 mod P, exactly           u = (x + quality·A + detail·B + time mod P) mod P
    digest = Σ (u³ mod P)                    remainders have the sign of what is divided, as in C, Java and SQL

Whole numbers throughout, below 2^53 in sums and below 2^63 in products, so that doubles and 64-bit integers hold them
without rounding and neither order nor parts matter. P is a prime of the kind 3k + 2: cubing loses nothing, so one event
that changed is always seen, unless it changed by a multiple of P.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PRIME = 2_147_483_579
QUALITY_FACTOR = 1_048_583
DETAIL_FACTOR = 2_097_169
SCALE = 2.0**128
MOST_EVENTS = 2**22
"""So many events at most have a digest that a sum of doubles holds exactly."""
_LEAST, _MOST = 2.0**-76, 2.0**800
"""Between these a value times the scale is a whole number, and finite."""
_LEAST_EXPONENT = -75  # of np.frexp(_LEAST)
_POWERS = np.array([pow(2, power, PRIME) for power in range(1024 - _LEAST_EXPONENT)], np.int64)

Int64s = npt.NDArray[np.int64]


def tellable(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Values that the digest can speak of: 0.0, and what lies between 2^-76 and 2^800 (1.3e-23 and 6.7e240)."""
    size = np.abs(values)
    told: npt.NDArray[np.bool_] = ((size >= _LEAST) & (size <= _MOST)) | ((size == 0.0) & ~np.signbit(values))
    return told


def number_words(
    times_ns: Int64s, values: npt.NDArray[np.float64], quality: npt.NDArray[np.int32], detail: npt.NDArray[np.int32]
) -> Int64s:
    """u³ mod P of each event; the values are tellable."""
    mantissas, exponents = np.frexp(values)
    words = (mantissas * 2.0**53).astype(np.int64)
    words = np.fmod(words, PRIME)
    words *= _POWERS[exponents - _LEAST_EXPONENT]
    words = np.fmod(words, PRIME)
    words += quality.astype(np.int64) * QUALITY_FACTOR
    words += detail.astype(np.int64) * DETAIL_FACTOR
    words += np.fmod(times_ns, PRIME)
    words = np.fmod(words, PRIME)
    cubes: Int64s = np.fmod(np.fmod(words * words, PRIME) * words, PRIME)
    return cubes
