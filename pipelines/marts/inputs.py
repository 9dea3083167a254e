"""What the marts of one point group and window are made from, and where they go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.landing import Piece
from pipelines.marts.events import find_neighbours, load, opened
from pipelines.marts.files import mart_path
from pipelines.points import Point
from pipelines.timeline import Interval


@dataclass(frozen=True, slots=True)
class MartInput:
    """`pieces` is what is current of the landing inside the window, `before` and `after` what may hold each point's
    nearest event outside it. Events of points that are not in `points` are left out; points may have no event."""

    points: Sequence[Point]
    pieces: Sequence[Piece]
    window: Interval
    out: Path
    memory_bytes: int
    source: str
    group: str
    before: Sequence[Piece] = ()
    after: Sequence[Piece] = ()

    def path(self, mart: str) -> Path:
        """The file of the mart, such as `quality` or `aggregates/interval=1h`."""
        return mart_path(self.out, mart, self.source, self.window, self.group)

    @contextlib.contextmanager
    def database(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The tables `points`, `events`, `neighbours` and `states`. Raises DamagedLanding, NoRoom."""
        with opened(self.memory_bytes, self.out) as database:
            load(database, self.points, self.pieces, self.window)
            find_neighbours(database, self.before, self.after, self.window)
            yield database
