"""Tables of what the source holds: from its own counts, and from events that were read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.points import Point
from pipelines.ports import Origin, SourceTally
from resources.pi_web_api.counting import Counted
from resources.pi_web_api.precision import bits_of


def combined(
    points: Sequence[Point], counts: Mapping[str, Counted], read: pa.Table, failed: Mapping[str, str]
) -> SourceTally:
    """One table of all points that did not fail, in their order. `read` (TALLY_SCHEMA) holds those read again.

    With none read again: point, events, total (null where it is not sure), bits, origin. With all: TALLY_SCHEMA and
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
    bits = {point.id: bits_of(point) for point in points}
    table = pa.table(
        {
            "point": pa.array(names, pa.string()),
            "events": pa.array([totals[name][0] for name in names], pa.int64()),
            "total": pa.array([totals[name][1] for name in names], pa.float64()),
            "bits": pa.array([bits[name] for name in names], pa.int32()),
            "origin": pa.array(["re-read" if name in again else "independent" for name in names], pa.string()),
        }
    )
    origin: Origin = "re-read" if again else "independent"
    return SourceTally(table, origin, failed)


def _not_in(table: pa.Table, failed: Mapping[str, str]) -> pa.Array:
    return pc.invert(pc.is_in(table["point"], value_set=pa.array(list(failed), pa.string())))
