"""Exports: what is in them, replacing, and destinations that are not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.marts import EXPORT_SCHEMA, ExportResult, export
from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.timeline import HOUR_NS, Interval, parse

WINDOW = Interval(parse("2026-01-01"), parse("2026-01-04"))
POINTS = [
    Point("Kessel%201", "Kessel 1", "number", unit="°C", zero=0.0, span=400.0),
    Point("VALVE", "VALVE", "digital", step=True, digital_set="VALVES"),
]
ROWS = [
    ("Kessel%201", "2026-01-01T23:59:59.9999999Z", 1.5, 192),
    ("Kessel%201", "2026-01-02T00:00:00Z", 2.5, 192),
    ("Kessel%201", "2026-01-02T00:00:00Z", 3.5, 64),
    ("VALVE", "2026-01-02T00:00:00Z", "Open", 192),
    ("VALVE", "2026-01-03T12:00:00Z", "", 24),
]


def _export(pieces: Any, folder: Path, **more: Any) -> ExportResult:
    return export(POINTS, {"g000": pieces, "g001": []}, WINDOW, folder, "pi1", 256 << 20, **more)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_an_export_holds(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    result = _export(land(ROWS, WINDOW), folder)
    assert result.rows == len(ROWS)
    assert _names(folder) == [
        "points/source=pi1.json",
        "points/source=pi1.parquet",
        *(f"samples/source=pi1/date=2026-01-0{day}/group=g000.parquet" for day in (1, 2, 3)),
    ]
    assert pq.read_schema(result.paths[0]) == EXPORT_SCHEMA
    second = pq.read_table(result.paths[1], partitioning=None).drop_columns(["time", "detail"]).to_pylist()
    assert [list(row.values()) for row in second] == [
        ["Kessel%201", "Kessel 1", 0, 2.5, None, None, 192, "°C"],
        ["Kessel%201", "Kessel 1", 1, 3.5, None, None, 64, "°C"],
        ["VALVE", "VALVE", 0, None, "Open", -1, 192, ""],
    ]
    catalogue = pq.read_table(folder / "points/source=pi1.parquet", partitioning=None).to_pylist()
    assert [(row["name"], row["unit"], row["span"]) for row in catalogue] == [
        ("Kessel 1", "°C", 400.0), ("VALVE", "", None),
    ]  # fmt: skip


def test_other_tools_read_it_hive_style(land: Any, tmp_path: Path) -> None:
    _export(land(ROWS, WINDOW), tmp_path / "exports")
    rows = duckdb.sql(
        "SELECT source, date::VARCHAR, count(*) FROM read_parquet(?, hive_partitioning = true) "
        "GROUP BY ALL ORDER BY ALL",
        params=[str(tmp_path / "exports/samples/*/*/*.parquet")],
    ).fetchall()
    assert rows == [("pi1", "2026-01-01", 1), ("pi1", "2026-01-02", 3), ("pi1", "2026-01-03", 1)]


def test_again_is_the_same_and_stale_days_go(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    first = _export(land(ROWS, WINDOW), folder)
    content = [path.read_bytes() for path in first.paths]
    again = _export(land(ROWS, WINDOW), folder)
    assert again == first
    assert [path.read_bytes() for path in again.paths] == content
    less = _export(land(ROWS[:1], WINDOW), folder)
    assert (less.rows, len(less.paths)) == (1, 1)
    assert sorted(folder.glob("samples/*/*/*.parquet")) == [first.paths[0]]


def test_some_points_only(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    result = _export(land(ROWS, WINDOW), folder, select=["kessel*"])
    assert result.rows == 3
    assert pq.read_metadata(folder / "points/source=pi1.parquet").num_rows == 1
    with pytest.raises(Stop, match="another choice of points"):
        _export(land(ROWS, WINDOW), folder)


@pytest.mark.parametrize("foreign", ["holiday.jpg", "samples/notes.txt", "points/mine.csv"])
def test_a_foreign_destination_is_refused(foreign: str, land: Any, tmp_path: Path) -> None:
    file = tmp_path / "exports" / foreign
    file.parent.mkdir(parents=True)
    file.write_text("not ours")
    with pytest.raises(Stop, match=file.name):
        _export(land(ROWS, WINDOW), tmp_path / "exports")
    assert file.read_text() == "not ours"
    assert _names(tmp_path / "exports") == [foreign]


def test_a_file_is_no_destination(land: Any, tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("")
    with pytest.raises(Stop, match="is a file"):
        _export([], tmp_path / "exports")


def test_days_are_whole(tmp_path: Path) -> None:
    span = Interval(WINDOW.start_ns, WINDOW.end_ns - HOUR_NS)
    with pytest.raises(ValueError, match="whole UTC days"):
        export(POINTS, {}, span, tmp_path, "pi1", 256 << 20)
