"""What the marts of a window and some point groups are made from, and where they go."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.marts.events import Landed, cut, find_neighbours, load, opened
from pipelines.marts.files import MartFile, mart_path, write_whole
from pipelines.timeline import Interval


@dataclass(frozen=True, slots=True)
class MartInput:
    """`groups`: what is landed in the window and beside it, by label of the point group.

    Groups are loaded together, for a statement costs nearly the same for one small group as for ten; each gives the
    same bytes as alone.
    """

    groups: Mapping[str, Landed]
    window: Interval
    out: Path
    memory_bytes: int
    source: str

    @contextlib.contextmanager
    def database(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The tables `points`, `events`, `neighbours` and `states`. Raises DamagedLanding, NoRoom."""
        groups = list(self.groups.values())
        with opened(self.memory_bytes, self.out) as database:
            load(database, groups, self.window)
            find_neighbours(database, groups, self.window)
            yield database

    def write(self, mart: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> dict[str, MartFile]:
        """Rows ordered by `grp` → the mart's file of each group, such as of `quality` or `aggregates/interval=1h`."""
        labels = list(self.groups)
        paths = [mart_path(self.out, mart, self.source, self.window, label) for label in labels]
        made: dict[str, MartFile] = {}
        for (place,), parts in itertools.groupby(cut(rows, "grp"), key=lambda part: part[0]):
            made[labels[place]] = write_whole(paths[place], schema, (batch for _, batch in parts))
        bare = {label: path for label, path in zip(labels, paths, strict=True) if label not in made}
        return made | {label: write_whole(path, schema, ()) for label, path in bare.items()}


Made = dict[str, dict[str, MartFile]]
"""Name of a mart's file, such as `quality` → label of a group → the file."""
