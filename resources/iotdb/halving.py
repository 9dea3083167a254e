"""Asking for less where one answer is too much for the server, until nothing is left to halve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from pipelines.ports import Skip
from pipelines.timeline import TICK_NS, Interval
from resources.iotdb.faults import Fell, TooMuch

_FALLS = 2
"""So often a server may fall over one point alone before that is left out: each time it has to be started again."""


def halved(
    ask: Callable[[Sequence[str], Interval], pa.Table],
    points: Sequence[str],
    span: Interval,
    clock_ns: int,
    falls: int = 0,
) -> Iterator[pa.Table]:
    """What `ask` answers for the points in the span, in halves of the points, then of the span, where it is TooMuch.

    Raises Skip for a point that is too much by itself, and what else `ask` raises.
    """
    try:
        answer = ask(points, span)
    except TooMuch as error:
        if len(points) > 1:
            middle = len(points) // 2
            parts = [(points[:middle], span), (points[middle:], span)]
        else:
            falls += isinstance(error, Fell)
            if falls == _FALLS or span.length_ns <= 2 * max(clock_ns, TICK_NS):
                raise Skip(points[0], f"IoTDB cannot give back what it holds in {span}: {error}") from None
            parts = [(points, half) for half in span.halves()]
    else:
        yield answer
        return
    for some, part in parts:
        yield from halved(ask, some, part, clock_ns, falls)
