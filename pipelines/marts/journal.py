"""The journal for people who analyse: Parquet by day, beside the exported samples.

<destination>/journal/source=S/date=2026-01-01/journal.parquet   entries by time
<destination>/alarms/source=S/date=2026-01-01/alarms.parquet     alarms that began on the day
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.landing import window_label
from pipelines.marts.files import write_whole
from pipelines.timeline import Interval, days

FOLDERS = ("journal", "alarms")


def export_journal(entries: pa.Table, alarms: pa.Table, span: Interval, destination: Path, source: str) -> list[Path]:
    """Writes the UTC days of the span, whole, from tables that hold all of them. Raises NoRoom."""
    tables = {"journal": (_timed(entries), "time"), "alarms": (_timed(alarms), "start")}
    written = []
    for day in days(span):
        for name, (table, column) in tables.items():
            times = table[column].cast(pa.int64())
            inside = pc.and_(pc.greater_equal(times, day.start_ns), pc.less(times, day.end_ns))
            path = destination / name / f"source={source}" / f"date={window_label(day)}" / f"{name}.parquet"
            write_whole(path, table.schema, table.filter(inside).to_batches())
            written.append(path)
    return written


def _timed(table: pa.Table) -> pa.Table:
    """Columns *_ns as timestamps with their zone."""
    for place, field in enumerate(table.schema):
        if field.name.endswith("_ns"):
            name, kind = field.name.removesuffix("_ns"), pa.timestamp("ns", tz="UTC")
            table = table.set_column(place, pa.field(name, kind, field.nullable), table.column(place).cast(kind))
    return table
