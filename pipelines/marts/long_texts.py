"""Texts too long to be sorted in bounded memory: the table `events` has their beginning, and whoever writes rows out
gets them from the landing again, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.landing import DamagedLanding, checked
from pipelines.samples import cut_by_bytes
from pipelines.timeline import Interval

LONG_BYTES = 1_000
"""A text of more is long (sql/marts/events.sql)."""
_AT_ONCE_BYTES = 16 << 20
_COLUMNS = ["point", "time", "tie", "text"]
_Key = tuple[str, int, int]


def filled(rows: Iterable[pa.RecordBatch], files: Mapping[Interval, Sequence[Path]]) -> Iterator[pa.RecordBatch]:
    """Rows with `point`, `time_ns`, `tie`, `text` and `long` (bytes of the whole text, null of a short one) → the same
    with every text whole, in batches of a bounded size. `files` are landed ones, by the part of time that counts.

    Raises DamagedLanding where the landing has changed since it was loaded."""
    for batch in rows:
        lengths = np.asarray(batch.column("long").fill_null(0)).astype(np.int64)
        if not lengths.any():
            yield batch
            continue
        for start, stop in cut_by_bytes(lengths, len(batch), _AT_ONCE_BYTES):
            part = batch.slice(start, stop - start)
            yield _filled(part, files) if lengths[start:stop].any() else part


def _filled(batch: pa.RecordBatch, files: Mapping[Interval, Sequence[Path]]) -> pa.RecordBatch:
    marked = pc.is_valid(batch.column("long")).to_pylist()
    keys = zip(*(batch.column(name).to_pylist() for name in ("point", "time_ns", "tie")), strict=True)
    wanted: dict[_Key, int] = {key: place for place, (key, long) in enumerate(zip(keys, marked, strict=True)) if long}
    times = [time_ns for _, time_ns, _ in wanted]
    reach = Interval(min(times), max(times) + 1)
    texts = batch.column("text").to_pylist()
    points = {point for point, _, _ in wanted}
    for span, paths in files.items():
        if part := span.intersect(reach):
            for path in paths:
                for key, text in _long_ones(path, part, points):
                    if key in wanted:
                        texts[wanted.pop(key)] = text
    if wanted:
        raise DamagedLanding(f"{len(wanted)} long texts in {reach} are not in the landing any more: export again")
    place = batch.schema.get_field_index("text")
    return batch.set_column(place, batch.schema.field(place), pa.array(texts, pa.string()))


def _long_ones(path: Path, span: Interval, points: set[str]) -> Iterator[tuple[_Key, str]]:
    """Keys and long texts of a landed file, of those row groups that may have one of the points in the span.

    Raises DamagedLanding."""
    with pq.ParquetFile(pa.BufferReader(checked(path))) as file:
        for number in range(file.num_row_groups):
            point, time = (file.metadata.row_group(number).column(place).statistics for place in (0, 1))
            if time is not None and time.has_min_max and (time.min_raw >= span.end_ns or time.max_raw < span.start_ns):
                continue
            if point is not None and point.has_min_max and (point.min > max(points) or point.max < min(points)):
                continue
            table = file.read_row_group(number, _COLUMNS)
            table = table.filter(pc.greater(pc.binary_length(table["text"]), LONG_BYTES))
            times = table["time"].cast(pa.int64()).to_pylist()
            for name, time_ns, tie, text in zip(
                table["point"].to_pylist(), times, table["tie"].to_pylist(), table["text"], strict=True
            ):
                if span.start_ns <= time_ns < span.end_ns:
                    yield (name, time_ns, tie), text.as_py()
