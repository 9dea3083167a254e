"""A store that is away: what is pulled is landed, and written once the store is back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import Unreachable
from pipelines.timeline import Interval


class AwayStore:
    """Every call raises Unreachable, saying why it could not be opened."""

    clock_ns = 1

    def __init__(self, why: str) -> None:
        self._why = why

    def _away(self) -> NoReturn:
        raise Unreachable(self._why)

    def prepare(self) -> None:
        self._away()

    def write(self, source: str, samples: pa.Table) -> None:
        self._away()

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        self._away()

    def held(self, source: str) -> pa.Table:
        self._away()

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        self._away()

    def delete(self, source: str, events: pa.Table) -> None:
        self._away()

    def sync(self) -> None:
        self._away()

    def write_points(self, source: str, points: Sequence[Point]) -> None:
        self._away()

    def write_aggregates(
        self,
        source: str,
        interval: str,
        rows: pa.Table,
        replace: Interval | None = None,
        points: Sequence[str] | None = None,
    ) -> None:
        self._away()

    def close(self) -> None:
        return None
