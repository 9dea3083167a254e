"""The journal for people who analyse: Parquet by day, beside the exported samples.

<destination>/journal/date=2026-01-01/S.parquet   entries by time
<destination>/alarms/date=2026-01-01/S.parquet    alarms that began on the day
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.landing import window_label
from pipelines.marts.destination import claim
from pipelines.marts.files import write_whole
from pipelines.marts.stamps import dated
from pipelines.timeline import Interval, days


def export_journal(entries: pa.Table, alarms: pa.Table, span: Interval, destination: Path, source: str) -> list[Path]:
    """Writes the UTC days of the span, whole, from tables that hold all of them; times as microseconds and exact.

    Raises Stop when the destination is not ours, NoRoom.
    """
    record = claim(destination)
    tables = {"journal": (dated(entries, source), "time_ns"), "alarms": (dated(alarms, source), "start_ns")}
    written = []
    for day in days(span):
        for name, (table, column) in tables.items():
            times = table[column]
            inside = pc.and_(pc.greater_equal(times, day.start_ns), pc.less(times, day.end_ns))
            path = destination / name / f"date={window_label(day)}" / f"{source}.parquet"
            write_whole(path, table.schema, table.filter(inside).to_batches(), scratch=record)
            written.append(path)
    return written
