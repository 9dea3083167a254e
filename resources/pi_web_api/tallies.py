"""Tables of what the source holds: from its own counts, and from events that were read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.points import Point
from pipelines.ports import Origin, SourceTally
from pipelines.samples import TALLY_SCHEMA
from resources.pi_web_api.counting import Counted

_SUMS = ("events", "numbers", "finite", "good", "total", "magnitude")


def merged(tallies: Iterable[pa.Table], points: Sequence[Point]) -> pa.Table:
    """Tallies (TALLY_SCHEMA) of parts of the time → one row a point; points with no events are rows of 0."""
    rows = pa.concat_tables([TALLY_SCHEMA.empty_table(), *tallies]).combine_chunks()
    places = {point.id: place for place, point in enumerate(points)}
    owners = np.array([places[name] for name in rows["point"].to_pylist()], dtype=np.int64)
    columns: dict[str, np.ndarray] = {}
    for name in _SUMS:
        kind = np.float64 if name in ("total", "magnitude") else np.int64
        columns[name] = np.zeros(len(points), dtype=kind)
        np.add.at(columns[name], owners, np.asarray(rows[name]))
    digests = np.zeros(len(points), dtype=np.uint64)
    with np.errstate(over="ignore"):  # a digest is a sum modulo 2^64
        np.add.at(digests, owners, np.asarray(rows["digest"]).astype(np.int64).view(np.uint64))
    columns["digest"] = digests.view(np.int64)
    first = np.full(len(points), np.iinfo(np.int64).max)
    last = np.full(len(points), np.iinfo(np.int64).min)
    np.minimum.at(first, owners, np.asarray(rows["first_ns"]))
    np.maximum.at(last, owners, np.asarray(rows["last_ns"]))
    held = columns["events"] > 0
    columns["first_ns"], columns["last_ns"] = np.where(held, first, 0), np.where(held, last, 0)
    names = pa.array([point.id for point in points], pa.string())
    arrays = [
        names if column.name == "point" else pa.array(columns[column.name], column.type) for column in TALLY_SCHEMA
    ]
    return pa.table(arrays, schema=TALLY_SCHEMA)


def combined(
    points: Sequence[Point], counts: Mapping[str, Counted], read: pa.Table, failed: Mapping[str, str]
) -> SourceTally:
    """One table of all points that did not fail, in their order. `read` (TALLY_SCHEMA) holds those read again.

    With none read again: point, events, total (null where it is not sure), origin. With all: TALLY_SCHEMA and
    origin. With some: the former, and the whole is called re-read, which is the weaker word.
    """
    again = set(read["point"].to_pylist())
    if again and not counts:
        kept = read.append_column("origin", pa.array(["re-read"] * read.num_rows, pa.string()))
        return SourceTally(kept.filter(_not_in(kept, failed)), "re-read", failed)
    totals = {
        **{name: (counted.events, counted.total) for name, counted in counts.items()},
        **{
            name: (events, total)
            for name, events, total in zip(
                *(read[column].to_pylist() for column in ("point", "events", "total")), strict=True
            )
        },
    }
    names = [point.id for point in points if point.id in totals and point.id not in failed]
    table = pa.table(
        {
            "point": pa.array(names, pa.string()),
            "events": pa.array([totals[name][0] for name in names], pa.int64()),
            "total": pa.array([totals[name][1] for name in names], pa.float64()),
            "origin": pa.array(["re-read" if name in again else "independent" for name in names], pa.string()),
        }
    )
    origin: Origin = "re-read" if again else "independent"
    return SourceTally(table, origin, failed)


def _not_in(table: pa.Table, failed: Mapping[str, str]) -> pa.Array:
    return pc.invert(pc.is_in(table["point"], value_set=pa.array(list(failed), pa.string())))
