"""Alarms and operators' writes of a Historian: in the ledger once, as many as the source counts, from begin to end."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets_defs.journal import move_journal, open_windows
from assets_defs.line import Line, open_line
from pipelines.journal import JOURNAL_SCHEMA
from pipelines.plant import load_plant
from pipelines.timeline import MINUTE_NS, Interval, parse
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.contract.stand_in import running
from tests.ledger import schema_dsn

DAYS = Interval(parse("2026-01-01"), parse("2026-01-03"))
NOON = parse("2026-01-01T12:00:00Z")
PLANT = """
[plant]
name = "journal"
[[source]]
name = "wonderware1"
kind = "wonderware"
address = "{address}"
tls = false
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_SOURCE" }}
window = "day"
start = 2026-01-01T00:00:00Z
end = 2026-01-03T00:00:00Z
requests_per_s = 500
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = {{ dsn_env = "FERRY_TEST_DSN" }}
"""


@pytest.fixture
def line(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setenv("FERRY_TEST_DSN", postgres_dsn)
    monkeypatch.setenv("FERRY_TEST_SOURCE", "ferry-demo")
    with running("--points", "60", "--hours", "48", "--zone", "America/New_York", kind="wonderware") as address:
        path = tmp_path / "ferry.toml"
        path.write_text(PLANT.format(address=address), encoding="utf-8")
        with open_line(load_plant(path)) as opened:
            yield opened


@pytest.fixture
def ledger(postgres: PostgresAddress) -> Iterator[PostgresLedger]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        opened = PostgresLedger(dsn)
        opened.migrate()
        yield opened
        opened.close()


def told(*rows: dict) -> pa.Table:
    """Entries with what is not said left empty."""
    blank = {"is_alarm": True, "priority": 500, "severity": 3, "object": "Pump", "variable": "Pump.PV", "area": "A",
             "by_user": "", "value": "", "previous": "", "comment": ""}  # fmt: skip
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=JOURNAL_SCHEMA)


def test_the_journal_of_a_plant_twice(line: Line, tmp_path: Path) -> None:
    settings = line.plant.source[0]
    windows = open_windows(line, settings, DAYS)
    assert len(windows) == 2
    found = [move_journal(line, settings, window) for window in windows]
    assert all(each.proved and each.entries > 100 and each.alarms > 50 for each in found)
    assert open_windows(line, settings, DAYS) == []
    entries = line.ledger.journal("wonderware1", DAYS)
    assert len(entries) == sum(each.entries for each in found) == line.ledger.journal_entries("wonderware1", DAYS)
    assert {"Alarm.Set", "Alarm.Clear", "Alarm.Acknowledged", "User.Write"} == set(entries["kind"].to_pylist())
    assert "Бригадир" in entries["by_user"].to_pylist()
    assert [move_journal(line, settings, window) for window in windows] == found
    assert line.ledger.journal("wonderware1", DAYS).equals(entries)
    exported = [
        pq.ParquetFile(path).read() for path in sorted((tmp_path / ".ferry/exports/journal").rglob("*.parquet"))
    ]
    assert [len(each) for each in exported] == [each.entries for each in found]
    assert exported[1]["time"][0].as_py() >= dt.datetime(2026, 1, 2, tzinfo=dt.UTC)  # not New York's midnight
    alarms = line.ledger.alarms("wonderware1", DAYS)
    assert sum(each.alarms for each in found) == len(alarms)
    ended = [row for row in alarms.to_pylist() if row["end_ns"] is not None]
    assert ended and all(row["start_ns"] <= row["end_ns"] for row in ended)


def test_alarms_from_begin_to_end(ledger: PostgresLedger) -> None:
    """Two episodes of one variable, the second still standing; another severity is another alarm."""
    at = [NOON + minute * MINUTE_NS for minute in range(6)]
    entries = told(
        {"id": "1", "time_ns": at[0], "kind": "Alarm.Set", "value": "93"},
        {"id": "2", "time_ns": at[1], "kind": "Alarm.Acknowledged"},
        {"id": "3", "time_ns": at[2], "kind": "Alarm.Clear"},
        {"id": "4", "time_ns": at[4], "kind": "Alarm.Set", "value": "95"},
        {"id": "5", "time_ns": at[1], "kind": "Alarm.Set", "severity": 4},
        {"id": "6", "time_ns": at[5], "kind": "Alarm.Clear", "severity": 4},
        {"id": "7", "time_ns": at[3], "kind": "User.Write", "is_alarm": False, "by_user": "O\"Hara, 'x'"},
    )
    assert ledger.save_journal("w", entries) == 7
    rows = ledger.alarms("w", DAYS).to_pylist()
    found = [(row["severity"], row["start_ns"], row["acknowledged_ns"], row["end_ns"], row["value"]) for row in rows]
    assert found == [(3, at[0], at[1], at[2], "93"), (4, at[1], None, at[5], ""), (3, at[4], None, None, "95")]
    assert ledger.alarms("w", Interval(at[1], at[4])).num_rows == 1


def test_a_changed_entry_is_a_version_and_twice_is_once(ledger: PostgresLedger) -> None:
    first = told({"id": "1", "time_ns": NOON, "kind": "Alarm.Set", "comment": 'a,b\n"c" \x00 ж'})
    second = told({"id": "1", "time_ns": NOON, "kind": "Alarm.Set", "comment": "mended"})
    for entries in (first, first, second, first, second):  # mended, spoilt and mended again
        assert ledger.save_journal("w", entries) == 1
    assert ledger.journal("w", DAYS)["comment"].to_pylist() == ["mended"]
    assert ledger.journal("other", DAYS).num_rows == 0


def test_a_window_is_closed_when_it_was_read_since_it_settled_and_agrees(ledger: PostgresLedger) -> None:
    settled = DAYS.end_ns
    assert not ledger.journal_closed("w", DAYS, settled)
    ledger.compare_journal("w", DAYS, 7, 6)
    assert not ledger.journal_closed("w", DAYS, settled)
    ledger.compare_journal("w", DAYS, 7, 7)
    assert ledger.journal_closed("w", DAYS, settled)
    assert ledger.journal_closed("w", Interval(DAYS.start_ns, NOON), settled)
    assert not ledger.journal_closed("w", DAYS, time.time_ns() + MINUTE_NS)  # late entries may still come
    assert not ledger.journal_closed("w", Interval(DAYS.start_ns, DAYS.end_ns + 1), settled)
