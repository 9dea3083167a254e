"""Events of tags as columns, in the order in which the Historian stores them.

A row belongs to the Original version, to the Latest, or to both (facts/historians.md 2.9): an edit leaves two rows at
one stamp, each in one version only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntFlag

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

TICK_NS = 100  # datetime2(7)
MILLISECOND_NS = 1_000_000  # stored stamps (facts 2.2)
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS

GOOD, BAD, DOUBTFUL, INITIAL = 0, 1, 16, 133  # the column Quality (facts 2.5)
QD_GOOD, QD_EDITED, QD_NO_DATA = 192, 202, 65_536
NO_OPC = -1  # OPCQuality is NULL


class Version(IntFlag):
    """Which of the two versions that can be asked for holds the row."""

    ORIGINAL = 1
    LATEST = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of equal length; `times` (UTC ns) never falls within a tag."""

    times: Int64s
    numbers: Floats  # Value of analog and discrete tags, 0 where there is none
    texts: Int32s  # place of a string tag's vValue in `names`, -1 elsewhere
    valid: Bools  # False where the value is NULL
    quality: Bytes
    detail: Int32s  # QualityDetail with its flag bits
    opc: Int32s  # OPCQuality, NO_OPC for NULL
    versions: Bytes  # of Version
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def size_bytes(self) -> int:
        """Memory held by the columns, bytes; names are shared and not counted."""
        return 31 * len(self.times) + 400

    def take(self, places: npt.NDArray[np.intp] | Bools | slice) -> Events:
        """The events at `places`, in that order."""
        return replace(
            self,
            times=self.times[places],
            numbers=self.numbers[places],
            texts=self.texts[places],
            valid=self.valid[places],
            quality=self.quality[places],
            detail=self.detail[places],
            opc=self.opc[places],
            versions=self.versions[places],
        )

    def between(self, start_ns: int, end_ns: int) -> Events:
        """The events of [start, end); they are one tag's."""
        low, high = np.searchsorted(self.times, (start_ns, end_ns))
        return self.take(slice(int(low), int(high)))

    def version(self, version: Version) -> Events:
        """The rows that the version holds."""
        held = self.versions & int(version) != 0
        return self if held.all() else self.take(held)


def blank(times: Int64s, names: tuple[str, ...] = ()) -> Events:
    """Good events at `times`, value zero, in both versions; the columns may be written to."""
    rows = len(times)
    return Events(
        times=times,
        numbers=np.zeros(rows),
        texts=np.full(rows, 0 if names else -1, dtype=np.int32),
        valid=np.ones(rows, dtype=np.bool_),
        quality=np.full(rows, GOOD, dtype=np.uint8),
        detail=np.full(rows, QD_GOOD, dtype=np.int32),
        opc=np.full(rows, 192, dtype=np.int32),
        versions=np.full(rows, int(Version.BOTH), dtype=np.uint8),
        names=names,
    )


NOTHING = blank(np.empty(0, dtype=np.int64))


def joined(parts: Sequence[Events]) -> Events:
    """Events one part after another; the caller sees to the order of times."""
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else NOTHING
    names, texts = _joined_texts(parts)
    return Events(
        times=np.concatenate([part.times for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        texts=texts,
        valid=np.concatenate([part.valid for part in parts]),
        quality=np.concatenate([part.quality for part in parts]),
        detail=np.concatenate([part.detail for part in parts]),
        opc=np.concatenate([part.opc for part in parts]),
        versions=np.concatenate([part.versions for part in parts]),
        names=names,
    )


def _joined_texts(parts: Sequence[Events]) -> tuple[tuple[str, ...], Int32s]:
    """Names of all parts, those that parts share only once, and every row's place among them."""
    if all(part.names is parts[0].names for part in parts):
        return parts[0].names, np.concatenate([part.texts for part in parts])
    names: dict[str, int] = {}  # by their text: an edit is made of the rows that it is joined to, again and again
    texts = []
    for part in parts:
        places = np.array([*(names.setdefault(name, len(names)) for name in part.names), -1], dtype=np.int32)
        texts.append(places[part.texts])
    return tuple(names), np.concatenate(texts)
