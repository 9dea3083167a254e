"""The plain reference of a Historian: what the public peer does (facts/peers.md).

pymssql, ten tags a statement, numbers only, Delta, a pydantic model a row, tablets of 1,000 rows. Nothing is proved.
"""

from __future__ import annotations

import datetime as dt

import pymssql
from pydantic import BaseModel

from assets_defs.line import Line
from benchmarks.costs import Costs
from benchmarks.rates import Rate, timed
from benchmarks.reference import ROWS, insert_plain, plain_table
from pipelines.plant import SourceSettings, secret
from pipelines.timeline import from_datetime, to_datetime

_TAGS = 10
_QUERY = (
    "SELECT DateTime, TagName, Value, Quality, QualityDetail, OPCQuality FROM History WHERE TagName IN ({}) "
    "AND DateTime BETWEEN %s AND %s AND Value IS NOT NULL AND wwRetrievalMode = 'Delta' AND wwTimeZone = 'UTC'"
)


class Row(BaseModel):
    """A row of History."""

    DateTime: dt.datetime
    TagName: str
    Value: float
    Quality: int
    QualityDetail: int | None
    OPCQuality: int | None


def reference(line: Line, settings: SourceSettings, costs: Costs, points: int) -> Rate:
    """Moves some numeric tags with plain tools from the same source into the same server."""
    chosen = [point.name for point in line.catalogue(settings) if point.kind == "number"][:points]
    span = line.wanted(settings)
    assert span is not None
    start, end = (f"{to_datetime(time_ns):%Y%m%d %H:%M:%S}" for time_ns in (span.start_ns, span.end_ns))
    session = plain_table(line)
    host, port = line.outside.url(settings).split(":")

    def run() -> int:
        moved = 0
        with pymssql.connect(
            server=host, port=port, user=settings.auth.username, password=secret(settings.auth.password_env),
            database="Runtime",
        ) as connection, connection.cursor(as_dict=True) as cursor:  # fmt: skip
            for low in range(0, len(chosen), _TAGS):
                names = chosen[low : low + _TAGS]
                cursor.execute(_QUERY.format(", ".join(["%s"] * len(names))), (*names, start, end))
                rows = [Row(**row) for row in cursor.fetchall()]
                for place in range(0, len(rows), ROWS):
                    part = rows[place : place + ROWS]
                    times = [from_datetime(row.DateTime.replace(tzinfo=dt.UTC)) for row in part]
                    insert_plain(session, [[row.TagName, row.Value, row.Quality == 0] for row in part], times)
                moved += len(rows)
        session.execute_non_query_statement("FLUSH")
        return moved

    rate = timed(costs, "plain reference", run)
    session.close()
    return rate
