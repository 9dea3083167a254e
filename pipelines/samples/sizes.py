"""How many bytes events take, beside their number: texts are of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EVENT_TEXT_MAX = 16 << 20
"""UTF-8 bytes. Measured: at a heap of 512 MiB IoTDB takes one of 32 MB and gives it back; one of 48 MB ends it."""


def text_bytes(events: pa.Table) -> int:
    """UTF-8 bytes of the texts; `events` has the column `text`."""
    return int(pc.sum(pc.binary_length(events["text"])).as_py() or 0)


def besides_longest(events: pa.Table) -> int:
    """Like `text_bytes`, without the longest: an event goes through whole, so no bound can cut below one."""
    size: Size = Size() + events
    return size.besides_longest


def crowded_ns(stamps: Iterable[npt.NDArray[np.int64]]) -> int | None:
    """The one, UTC nanoseconds, that at least half of the events have; None where there is none."""
    times = np.concatenate([np.empty(0, np.int64), *stamps])
    if not len(times):
        return None
    middle = np.partition(times, len(times) // 2)[len(times) // 2]
    return int(middle) if 2 * int((times == middle).sum()) >= len(times) else None


@dataclass(frozen=True, slots=True)
class Size:
    """How much some tables of events are together."""

    events: int = 0
    text_bytes: int = 0
    longest: int = 0

    def __add__(self, events: pa.Table) -> Size:
        lengths = pc.binary_length(events["text"])
        longest = pc.max(lengths).as_py() or 0
        return Size(
            self.events + len(events), self.text_bytes + (pc.sum(lengths).as_py() or 0), max(self.longest, longest)
        )

    @property
    def besides_longest(self) -> int:
        """Bytes of the texts but for the longest."""
        return self.text_bytes - self.longest


def cut_by_bytes(lengths: npt.NDArray[np.int64], max_rows: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Rows of these lengths, in their order, as (start, stop) of parts of at most `max_rows` rows and `max_bytes`, at
    least a row each."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        limit = (ends[start - 1] if start else 0) + max_bytes
        stop = min(start + max_rows, int(np.searchsorted(ends, limit, side="right")))
        stop = max(stop, start + 1)
        yield start, stop
        start = stop
