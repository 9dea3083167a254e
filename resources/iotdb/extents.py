"""Long spans, cut to what the server can plan.

Measured on 2.0.1-beta: for `time >= a AND time < b` the ConfigNode lists every time partition (a week) between the two
for every point, whether it exists or not, and one query over centuries ended it with OutOfMemoryError. A bound that
the planner can't see through is no way out: `CAST(time AS INT64) < b` compares as DOUBLE and loses the last rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.timeline import DAY_NS, Interval, split_evenly
from resources.iotdb.layout import Table
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import of_points, select

_STEP_NS = 2_000 * DAY_NS


def planned(
    sessions: Sessions, table: Table, source: str, points: Sequence[str] | None, span: Interval, clock_ns: int
) -> list[Interval]:
    """Parts of the span that together have every row that the table holds of the points in it."""
    if span.length_ns <= _STEP_NS:
        return [span]
    sql = select(sessions.database, table, 'min(time) AS "first", max(time) AS "last"', of_points(source, points))
    found = sessions.query(sql, f"looking for the extent of {table.name}").to_pylist()
    if not found or found[0]["first"] is None:
        return []
    first, last = found[0]["first"] * clock_ns, found[0]["last"] * clock_ns
    held = Interval(first, last + 1).intersect(span)
    return list(split_evenly(held, _STEP_NS)) if held else []
