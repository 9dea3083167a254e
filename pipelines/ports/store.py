"""IoTDB, or what stands for it, as the domain asks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point
from pipelines.timeline import Interval


@runtime_checkable
class Store(Protocol):
    """IoTDB, or what stands for it. Thread-safe; all calls block."""

    clock_ns: int
    """Resolution of its timestamps, nanoseconds."""

    def prepare(self) -> None:
        """Database and tables exist afterwards, and the writer is probed. Raises Unreachable, Stop."""
        ...

    def write(self, source: str, samples: pa.Table) -> None:
        """Upserts ordered events in SCHEMA; durable on return (LOADed or FLUSHed). Raises Retry, NoRoom, Stop."""
        ...

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        """What it holds per point, by its own aggregates over the values themselves: TALLY_SCHEMA, `magnitude` 0, and
        `digest` null; `finite` and `good` may be.

        `number_digest` is null where a number is not finite or there are too many for it; `total` is not finite then.
        Points with no events have no row. Raises Skip for a point that it cannot count.
        """
        ...

    def held(self, source: str) -> pa.Table:
        """All points that it holds events of, whoever wrote them: point, events, first_ns, last_ns."""
        ...

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        """Every event it holds, ordered, in SCHEMA; each point whole in one table.

        Raises Skip for a point that it cannot give back: then the others are asked for again.
        """
        ...

    def delete(self, source: str, events: pa.Table) -> None:
        """Deletes exactly the rows of `events` (SCHEMA: point, time, tie, and which table by `value`). Durable."""
        ...

    def sync(self) -> None:
        """What was written and deleted before outlives a power cut, where its disk is ours. Raises NoRoom, Retry."""
        ...

    def write_points(self, source: str, points: Sequence[Point]) -> None:
        """Upserts the `points` table: names, units, types, limits."""
        ...

    def write_aggregates(
        self,
        source: str,
        interval: str,
        rows: pa.Table,
        replace: Interval | None = None,
        points: Sequence[str] | None = None,
    ) -> None:
        """Upserts `agg_<interval>` rows: point string, time timestamp[ns, UTC] (start), DOUBLE and INT64 columns.

        With `replace`, stored rows of `points` in that span that `rows` lacks are deleted once the new are durable.
        """
        ...

    def close(self) -> None:
        """Closes sessions; may be called twice."""
        ...
