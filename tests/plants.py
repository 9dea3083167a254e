"""Plant files of tests with sources of both kinds, and what is done to a Historian behind the client's back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pymssql

from pipelines import samples

SOURCE = """
[[source]]
name = "{name}"
kind = "{kind}"
{place} = "{where}"
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_SOURCE" }}
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
requests_per_s = 500
{more}
"""
PLANT = """
[plant]
name = "{name}"
{sources}
[store]
iotdb = "{iotdb.host}:{iotdb.port}"
username = "{iotdb.user}"
password_env = "FERRY_TEST_IOTDB"
staging = "{staging}"
[ledger]
postgres = {{ dsn_env = "FERRY_TEST_DSN" }}
[limits]
slice_events = 20000
"""


@dataclass
class Historian:
    """The stand-in, and what is done to it behind the client's back."""

    address: str

    def control(self, operation: str, **given: Any) -> list[Any]:
        host, port = self.address.split(":")
        with pymssql.connect(server=host, port=port, user="ferry", password="ferry-demo") as connection:
            cursor = connection.cursor()
            cursor.execute("EXEC ferry_plant %s, %s", (operation, json.dumps(given)))
            rows = cursor.fetchall()
        return [row[0] if operation == "truth" else json.loads(row[0]) for row in rows]

    def truth(self) -> pa.Table:
        [stream] = self.control("truth", start="2026-01-01T00:00:00Z", end="2026-01-03T00:00:00Z", system=False)
        return samples.ordered(pa.ipc.open_stream(stream).read_all().cast(samples.SCHEMA))
