"""Events of one point as columns, in the order in which the server gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

from pipelines.samples import NO_CODE

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
TICK_NS = 100  # PI and .NET count in ticks of 100 ns
DOUBLE = "f8"


class Shape(IntEnum):
    """What the JSON value of an event is."""

    FLOAT = 0  # a number with a decimal point; NaN and infinities are strings or bare tokens
    INTEGER = 1
    BOOL = 2
    STATE = 3  # {"Name", "Value", "IsSystem": false}
    SYSTEM = 4  # the same with IsSystem true
    TEXT = 5


class Flag(IntFlag):
    """Flags of an event; GOOD is the absence of BAD."""

    BAD = 1
    QUESTIONABLE = 2
    SUBSTITUTED = 4
    ANNOTATED = 8


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of equal length; `times` (ns) never falls, and the order among equal times is the order served."""

    times: Int64s
    shapes: Bytes
    numbers: Floats  # of FLOAT
    codes: Int64s  # of INTEGER, BOOL, STATE and SYSTEM
    texts: Int32s  # place in `names` of STATE, SYSTEM and TEXT; -1 elsewhere
    flags: Bytes
    names: tuple[str, ...] = ()
    precision: str = DOUBLE  # numpy's name of what `numbers` are, each exactly

    def __len__(self) -> int:
        return len(self.times)

    @property
    def size_bytes(self) -> int:
        """Memory held by the columns, bytes; names are shared and not counted."""
        return 30 * len(self.times) + 200

    def take(self, places: npt.NDArray[np.intp] | Bools | slice) -> Events:
        """The events at `places`, in that order."""
        return replace(
            self,
            times=self.times[places],
            shapes=self.shapes[places],
            numbers=self.numbers[places],
            codes=self.codes[places],
            texts=self.texts[places],
            flags=self.flags[places],
        )

    def between(self, start_ns: int, end_ns: int) -> Events:
        """The events of [start, end)."""
        low, high = np.searchsorted(self.times, (start_ns, end_ns))
        return self.take(slice(int(low), int(high)))

    def plain(self) -> Bools:
        """True where the event is a finite number with no fault: what totals and averages take."""
        counted = (self.shapes <= Shape.BOOL) & (self.flags & Flag.BAD == 0)
        return np.asarray(counted & ((self.shapes != Shape.FLOAT) | np.isfinite(self.numbers)))

    def amounts(self) -> Floats:
        """The numbers of FLOAT, INTEGER and BOOL events as doubles; codes of states elsewhere."""
        return np.where(self.shapes == Shape.FLOAT, self.numbers, self.codes.astype(np.float64))


def blank(times: Int64s, shape: Shape = Shape.FLOAT, names: Sequence[str] = ()) -> Events:
    """Events at `times` of one shape, value zero, no flags; the columns may be written to."""
    rows = len(times)
    return Events(
        times=times,
        shapes=np.full(rows, shape, dtype=np.uint8),
        numbers=np.zeros(rows),
        codes=np.full(rows, NO_CODE, dtype=np.int64),
        texts=np.full(rows, -1, dtype=np.int32),
        flags=np.zeros(rows, dtype=np.uint8),
        names=tuple(names),
    )


NOTHING = blank(np.empty(0, dtype=np.int64))


def joined(parts: Sequence[Events]) -> Events:
    """Events one part after another; the caller sees to the order of times."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return NOTHING
    if len(parts) == 1:
        return parts[0]
    names: dict[str, int] = {}  # each once: an edit is made of the events that it is joined to, again and again
    texts = []
    for part in parts:
        places = np.array([*(names.setdefault(name, len(names)) for name in part.names), -1], dtype=np.int32)
        texts.append(places[part.texts])
    return Events(
        times=np.concatenate([part.times for part in parts]),
        shapes=np.concatenate([part.shapes for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        codes=np.concatenate([part.codes for part in parts]),
        texts=np.concatenate(texts),
        flags=np.concatenate([part.flags for part in parts]),
        names=tuple(names),
        precision=min(part.precision for part in parts),  # made-up events go with the point's own
    )
