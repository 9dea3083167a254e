"""Every folder of an export is opened whole by the tools that people have, with the same columns, types and rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipelines.journal import ALARM_SCHEMA, JOURNAL_SCHEMA
from pipelines.landing import Piece
from pipelines.marts import ExportInput, Landed, MartInput, WideInput, build_aggregates, export, write_wide
from pipelines.marts.journal import export_journal
from pipelines.points import Point
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, parse
from tests.property.landed import land_events
from tests.spark import spark

SPAN = Interval(parse("2026-01-01"), parse("2026-01-03"))
POINTS = [Point("Kessel%201", "Kessel 1", "number", unit="°C"), Point("VALVE", "VALVE", "digital", step=True)]
EVENTS = [
    *(("Kessel%201", hour * HOUR_NS + 100, float(hour), 192) for hour in range(48)),
    *(("VALVE", hour * HOUR_NS, "Open", 192) for hour in range(48)),
]
FOLDERS = {
    "samples": 2 * 96, "points": 2 * 2, "aggregates_1m": 2 * 96, "aggregates_1h": 2 * 96, "aggregates_1d": 2 * 4,
    "journal": 1, "alarms": 1, "wide/pi1-1min-last": 2 * 24 * 60,
}  # fmt: skip
Count = Callable[[Path], tuple[int, list[str]]]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, two days, the journal and a wide table in one destination."""
    folder = tmp_path_factory.mktemp("plant")
    piece = Piece(land_events(EVENTS, POINTS, SPAN.start_ns, folder), SPAN)
    landed = Landed(POINTS, [piece])
    target, marts = folder / "exports", folder / "marts"
    for source in ("pi1", "pi2"):
        build_aggregates(MartInput({"g000": landed}, SPAN, marts, 256 << 20, source))
        export(ExportInput(POINTS, [{"g000": landed}], SPAN, target, source, 256 << 20, ("*",), marts, [SPAN]))
    covered = {point.id: [SPAN] for point in POINTS}
    write_wide(WideInput(POINTS, [piece], (), (), covered, SPAN, target, "pi1", ("*",), 256 << 20, MINUTE_NS, "last"))
    texts = {field.name: [""] for field in (*JOURNAL_SCHEMA, *ALARM_SCHEMA) if field.type == pa.string()}
    told = {**texts, "time_ns": [SPAN.start_ns], "is_alarm": [True], "priority": [1], "severity": [None],
            "start_ns": [SPAN.start_ns], "acknowledged_ns": [None], "end_ns": [None]}  # fmt: skip
    entries, alarms = (
        pa.table({name: told[name] for name in schema.names}, schema=schema)
        for schema in (JOURNAL_SCHEMA, ALARM_SCHEMA)
    )
    export_journal(entries, alarms, SPAN, target, "pi1")
    return target


def by_duckdb(folder: Path) -> tuple[int, list[str]]:
    """With date functions."""
    everything = f"read_parquet('{folder}/**/*.parquet')"
    table = duckdb.sql(f"SELECT * FROM {everything}")
    if "time" in table.columns:
        [(day,)] = duckdb.sql(f"SELECT min(date_trunc('day', time)) FROM {everything}").fetchall()
        assert day.timestamp() == SPAN.start_ns / 1e9
    return len(table), table.columns


def by_pandas(folder: Path) -> tuple[int, list[str]]:
    """As a person opens a folder."""
    frame = pd.read_parquet(folder)
    if "time" in frame:
        assert frame["time"].dt.floor("D").min() == pd.Timestamp("2026-01-01", tz="UTC")
    return len(frame), list(frame.columns)


def by_polars(folder: Path) -> tuple[int, list[str]]:
    """Lazily."""
    frame = pl.scan_parquet(folder).collect()
    if "time" in frame.columns:
        assert frame["time"].dtype == pl.Datetime("us", "UTC")
        assert frame["time"].dt.truncate("1d").min() == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return len(frame), frame.columns


def by_pyarrow(folder: Path) -> tuple[int, list[str]]:
    """Also without the folders' keys, where nothing but the date is lost."""
    table = pq.read_table(folder)
    bare = ds.dataset(folder).to_table()
    assert set(table.column_names) - set(bare.column_names) <= {"date"}
    assert len(bare) == len(table)
    return len(table), table.column_names


@pytest.mark.parametrize("reader", [by_duckdb, by_pandas, by_polars, by_pyarrow])
@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_is_opened_whole(name: str, reader: Count, exports: Path) -> None:
    rows, columns = reader(exports / name)
    assert rows == FOLDERS[name]
    assert name.startswith("wide") or "source" in columns


def test_every_folder_is_known_here(exports: Path) -> None:
    """And has Parquet of one schema, nothing else."""
    found = {each.name for each in exports.iterdir()} - {"_ferry"}
    assert found == {name.split("/")[0] for name in FOLDERS}
    for name in FOLDERS:
        files = [each for each in (exports / name).rglob("*") if each.is_file()]
        assert {each.suffix for each in files} == {".parquet"}
        assert len({str(pq.read_schema(each)) for each in files}) == 1


def test_points_join(exports: Path) -> None:
    joined = duckdb.sql(
        f"SELECT points.kind, count(*) FROM '{exports}/samples/*/*.parquet' AS samples "
        f"JOIN '{exports}/points/*.parquet' AS points USING (source, point) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert joined == [("digital", 96), ("number", 96)]
    samples, points = (pd.read_parquet(exports / name) for name in ("samples", "points"))
    assert len(samples.merge(points, on=["source", "point"])) == 192
    frame = pl.scan_parquet(exports / "samples").join(pl.scan_parquet(exports / "points"), on=["source", "point"])
    assert len(frame.collect()) == 192
    tables = [pq.read_table(exports / name) for name in ("samples", "points")]
    assert len(tables[0].join(tables[1], ["source", "point"], right_suffix="_2")) == 192


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark(tmp_path_factory.mktemp("spark")) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_spark_opens_every_folder_whole(exports: Path, session: Any) -> None:
    for name, rows in FOLDERS.items():
        frame = session.read.parquet(str(exports / name))
        assert frame.count() == rows, name
        frame.collect()  # every column is read
        assert name.startswith("wide") or "source" in frame.columns
        if "time" in frame.columns:
            assert dict(frame.dtypes)["time"] == "timestamp"
            [row] = frame.selectExpr("string(min(date_trunc('day', time))) AS day").collect()
            assert row["day"] == "2026-01-01 00:00:00"
    samples, points = (session.read.parquet(str(exports / name)) for name in ("samples", "points"))
    assert samples.join(points, ["source", "point"]).count() == 192
    assert samples.where("date = '2026-01-02'").count() == 96
    [exact] = samples.where("value = 3.0").select("time_ns").distinct().collect()
    assert exact["time_ns"] == SPAN.start_ns + 3 * HOUR_NS + 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_spark_refuses_what_the_option_for_nanoseconds_writes(session: Any, tmp_path: Path) -> None:
    """Why that is an option: when this fails, Spark reads them, and docs/exports.md says otherwise."""
    piece = Piece(land_events(EVENTS[:1], POINTS, SPAN.start_ns, tmp_path), SPAN)
    day = Interval(SPAN.start_ns, SPAN.start_ns + DAY_NS)
    groups = {"g000": Landed(POINTS, [piece])}
    export(ExportInput(POINTS, [groups], day, tmp_path / "exports", "pi1", 256 << 20, nanoseconds=True))
    with pytest.raises(Exception, match="Illegal Parquet type"):
        session.read.parquet(str(tmp_path / "exports/samples"))
