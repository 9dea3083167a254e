"""Where marts lie, Hive-style, and how a Parquet file appears: whole or not at all.

    <out>/aggregates/interval=1h/source=S/window=2026-01-01/group=g001.parquet
    <out>/quality/source=S/window=2026-01-01/group=g001.parquet
    <out>/bad_states/source=S/window=2026-01-01/group=g001.parquet

A reader takes `source` and `window` from the folders; the group is only in the file's name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.durable import sync_folder
from pipelines.landing import window_label
from pipelines.ports import NoRoom
from pipelines.timeline import DAY_NS, Interval

_MONTH_NS = 31 * DAY_NS


@dataclass(frozen=True, slots=True)
class MartFile:
    """A written mart and its number of rows; a window without rows is a file of 0 rows."""

    path: Path
    rows: int


def mart_path(out: Path, mart: str, source: str, window: Interval, group: str) -> Path:
    """The file of one mart for one window and point group; `mart` is such as `quality`, `aggregates/interval=1h`."""
    return out / mart / f"source={source}" / f"window={window_label(window)}" / f"group={group}.parquet"


def mart_files(out: Path, mart: str, source: str, span: Interval | None = None) -> list[Path]:
    """Every file of one mart and source, sorted; with `span` those of windows of up to a month that may touch it."""
    files = sorted((out / mart / f"source={source}").glob("window=*/group=*.parquet"))
    if span is None:
        return files
    first = window_label(Interval(span.start_ns - _MONTH_NS, span.end_ns))
    last = window_label(Interval(span.end_ns - 1, span.end_ns))
    return [path for path in files if first <= path.parent.name.removeprefix("window=") <= last]


def write_whole(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], scratch: Path | None = None
) -> MartFile:
    """Writes the batches as `path`, in `schema`, in the place of an older file; a reader never sees half of it.

    Until it is whole it lies in `scratch`, of the same disk, else beside `path` under a hidden name. Equal batches
    give equal bytes. Raises NoRoom when the disk is full; the older file stays then.
    """
    rows = 0
    with appearing(path, scratch) as part:
        times = {name: "DELTA_BINARY_PACKED" for name in ("time", "time_ns") if name in schema.names}
        options = {
            "compression": "zstd", "compression_level": 1, "use_dictionary": _repeating(schema),
            "column_encoding": times or None,
        }  # fmt: skip
        with pq.ParquetWriter(part, schema, **options) as writer:
            for batch in batches:
                columns = [batch.column(field.name).cast(field.type) for field in schema]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                rows += len(batch)
    return MartFile(path, rows)


@contextlib.contextmanager
def appearing(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends well and is removed when it does not.

    It lies in `scratch`, which is of the same disk, else beside `path`. Raises NoRoom when the disk is full.
    """
    part = (scratch or path.parent) / f".{path.name}.{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"no room to write {path}: free some space and run the same command again") from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _repeating(schema: pa.Schema) -> list[str]:
    """Columns with few different values; a dictionary of measurements would only cost."""
    narrow = {"events", "good", "numbers", "tie", "quality", "detail", "changes", "percent_good"}
    return [field.name for field in schema if pa.types.is_string(field.type) or field.name in narrow]
