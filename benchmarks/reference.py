"""The plain reference: what a good engineer writes in an afternoon. One point a request, pages of 10,000, `json`,
a pandas frame, numbers only, tablets of 1,000 rows. Nothing is proved.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
from iotdb.table_session import TableSession, TableSessionConfig
from iotdb.utils.IoTDBConstants import TSDataType
from iotdb.utils.Tablet import ColumnType, Tablet

from assets_defs.line import Line
from benchmarks.costs import Costs
from benchmarks.rates import Rate, timed
from pipelines.plant import SourceSettings, secret
from pipelines.timeline import iso

Reference = Callable[[Line, SourceSettings, Costs, int], Rate]
_PAGE = 10_000
ROWS = 1_000
_COLUMNS = ["point", "value", "good"]
_TYPES = [TSDataType.STRING, TSDataType.DOUBLE, TSDataType.BOOLEAN]
_KINDS = [ColumnType.TAG, ColumnType.FIELD, ColumnType.FIELD]


def reference(line: Line, settings: SourceSettings, costs: Costs, points: int) -> Rate:
    """Moves some numeric points with plain tools from the same source into the same server."""
    chosen = [point for point in line.catalogue(settings) if point.kind == "number"][:points]
    span = line.wanted(settings)
    assert span is not None
    start, end = iso(span.start_ns), iso(span.end_ns)
    session = plain_table(line)
    auth = httpx.BasicAuth(settings.auth.username, secret(settings.auth.password_env))

    def run() -> int:
        moved = 0
        with httpx.Client(base_url=line.outside.url(settings), auth=auth, timeout=60) as client:
            for point in chosen:
                moved += _insert(session, point.name, _recorded(client, point.address, start, end))
        session.execute_non_query_statement("FLUSH")
        return moved

    rate = timed(costs, "plain reference", run)
    session.close()
    return rate


def plain_table(line: Line) -> TableSession:
    """A session with IoTDB, and the table that a reference writes to."""
    address = line.outside.iotdb_address()
    session = TableSession(
        TableSessionConfig(
            node_urls=[f"{address.host}:{address.port}"], username=address.user, password=address.password,
            database=line.plant.database, time_zone="UTC",
        )
    )  # fmt: skip
    session.execute_non_query_statement(
        "CREATE TABLE IF NOT EXISTS plain (point STRING TAG, value DOUBLE FIELD, good BOOLEAN FIELD)"
    )
    return session


def insert_plain(session: TableSession, rows: list[list[Any]], times: list[int]) -> None:
    """One tablet of at most a thousand rows: point, value, good."""
    session.insert(Tablet("plain", _COLUMNS, _TYPES, rows, times, _KINDS))


def _recorded(client: httpx.Client, address: str, start: str, end: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        query = {"startTime": start, "endTime": end, "maxCount": str(_PAGE)}
        page = json.loads(client.get(f"/streams/{address}/recorded", params=query).text)["Items"]
        items += page
        if len(page) < _PAGE or page[-1]["Timestamp"] == start:
            return items
        start = page[-1]["Timestamp"]


def _insert(session: TableSession, name: str, items: list[dict[str, Any]]) -> int:
    frame = pd.DataFrame(items)
    if frame.empty:
        return 0
    frame["Timestamp"] = pd.to_datetime(frame["Timestamp"], format="ISO8601", utc=True)
    frame["Value"] = pd.to_numeric(frame["Value"], errors="coerce")
    frame = frame.dropna(subset=["Value"]).drop_duplicates("Timestamp")
    for low in range(0, len(frame), ROWS):
        part = frame.iloc[low : low + ROWS]
        rows = [[name, float(value), bool(good)] for value, good in zip(part["Value"], part["Good"], strict=True)]
        times = [stamp.value for stamp in part["Timestamp"]]
        insert_plain(session, rows, times)
    return len(frame)
