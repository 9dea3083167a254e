"""Exports: what is in them, replacing, and destinations that are not ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.marts import (
    ANNOTATION_EXPORT_SCHEMA,
    EXPORT_SCHEMA,
    INTERVALS,
    ExportInput,
    ExportResult,
    Landed,
    MartInput,
    build_aggregates,
    export,
    long_texts,
)
from pipelines.points import Point
from pipelines.ports import ANNOTATION_SCHEMA, Stop
from pipelines.samples import besides_longest
from pipelines.timeline import DAY_NS, HOUR_NS, Interval, parse

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
    groups = {"g000": Landed(POINTS, pieces), "g001": Landed((), ())}
    given = ExportInput(POINTS, [groups], WINDOW, folder, "pi1", 256 << 20)
    return export(dataclasses.replace(given, **more))


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_an_export_holds(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    result = _export(land(ROWS, WINDOW), folder)
    assert result.rows("samples") == len(ROWS)
    assert _names(folder) == [
        "_ferry/layout.json",
        "_ferry/lock",
        "_ferry/source=pi1.json",
        "points/pi1.parquet",
        *(f"samples/date=2026-01-0{day}/pi1-g000.parquet" for day in (1, 2, 3)),
    ]
    assert pq.read_schema(result.paths[0]) == EXPORT_SCHEMA
    second = pq.read_table(result.paths[1], partitioning=None).drop_columns(["time", "time_ns", "detail"]).to_pylist()
    assert [list(row.values()) for row in second] == [
        ["pi1", "Kessel%201", "Kessel 1", 0, 2.5, None, None, 192, "°C"],
        ["pi1", "Kessel%201", "Kessel 1", 1, 3.5, None, None, 64, "°C"],
        ["pi1", "VALVE", "VALVE", 0, None, "Open", -1, 192, ""],
    ]
    catalogue = pq.read_table(folder / "points/pi1.parquet", partitioning=None).to_pylist()
    assert [(row["source"], row["name"], row["unit"], row["span"]) for row in catalogue] == [
        ("pi1", "Kessel 1", "°C", 400.0), ("pi1", "VALVE", "", None),
    ]  # fmt: skip


def test_long_texts_are_whole_and_few_at_a_time(land: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that is sorted has only their beginning; in the file stands all of them, in bounded row groups."""
    monkeypatch.setattr(long_texts, "_AT_ONCE_BYTES", 10_000)
    texts = [f"{number}{'ä' * (1_500 if number % 3 else 20)}" for number in range(40)]
    rows = [("VALVE", f"2026-01-02T00:{number // 2:02d}:00Z", text, 192) for number, text in enumerate(texts)]
    result = _export(land([*ROWS, *rows], WINDOW), tmp_path / "exports")
    file = pq.ParquetFile(result.paths[1])
    found = [text for text in file.read(["text"])["text"].to_pylist() if text and len(text) > 6]
    assert found == texts
    groups = [file.read_row_group(number, ["text"]) for number in range(file.num_row_groups)]
    assert all(besides_longest(group) <= 10_000 for group in groups)


def test_times_are_microseconds_and_nothing_is_lost(land: Any, tmp_path: Path) -> None:
    """Rounded down, also before 1970; two events that then share a microsecond keep their order."""
    rows = [
        ("VALVE", "2026-01-01T23:59:59.9999999Z", "a", 192),
        ("VALVE", "2026-01-01T23:59:59.9999990Z", "b", 192),
    ]
    result = _export(land(rows, WINDOW), tmp_path / "exports")
    [path] = result.paths
    assert str(pq.read_schema(path).field("time").type) == "timestamp[us, tz=UTC]"
    table = pq.read_table(path, partitioning=None)
    assert table["time"].cast(pa.int64()).to_pylist() == [parse("2026-01-01T23:59:59.999999Z") // 1000] * 2
    assert table["time_ns"].to_pylist() == [parse(rows[1][1]), parse(rows[0][1])]
    exact = _export(land(rows, WINDOW), tmp_path / "exact", nanoseconds=True)
    table = pq.read_table(exact.paths[0], partitioning=None)
    assert str(table["time"].type) == "timestamp[ns, tz=UTC]"
    assert table["time"].cast(pa.int64()).to_pylist() == table["time_ns"].to_pylist()
    with pytest.raises(Stop, match=r"another choice \(time = us\)"):
        _export(land(rows, WINDOW), tmp_path / "exports", nanoseconds=True)
    early = Interval(parse("1969-12-31"), parse("1970-01-01"))
    odd = [("VALVE", "1969-12-31T23:59:59.9999999Z", "a", 192)]
    groups = {"g000": Landed(POINTS, land(odd, early))}
    old = export(ExportInput(POINTS, [groups], early, tmp_path / "early", "pi1", 256 << 20))
    assert pq.read_table(old.paths[0], partitioning=None)["time"].cast(pa.int64()).to_pylist() == [-1]


def test_aggregates_are_among_them(land: Any, tmp_path: Path) -> None:
    """Whole days of the span; a group without aggregates is named, and its old files go."""
    pieces, marts, folder = land(ROWS, WINDOW), tmp_path / "marts", tmp_path / "exports"
    build_aggregates(MartInput({"g000": Landed(POINTS, pieces)}, WINDOW, marts, 256 << 20, "pi1"))
    result = _export(pieces, folder, marts=marts, windows=[WINDOW])
    assert {each: result.rows(f"aggregates_{each}") for each in INTERVALS} == {"1m": 4, "1h": 4, "1d": 4}
    assert result.unaggregated == (("g001", WINDOW),)
    days = pq.read_table(folder / "aggregates_1d").to_pylist()
    assert [(row["source"], row["name"], row["unit"], row["time"].day, row["events"]) for row in days] == [
        ("pi1", "Kessel 1", "°C", 1, 1), ("pi1", "Kessel 1", "°C", 2, 2), ("pi1", "VALVE", "", 2, 1),
        ("pi1", "VALVE", "", 3, 1),
    ]  # fmt: skip
    some = Interval(WINDOW.start_ns, WINDOW.start_ns + DAY_NS)
    _export(pieces, tmp_path / "day", span=some, marts=marts, windows=[WINDOW])
    assert pq.read_table(tmp_path / "day/aggregates_1h")["time"].to_pylist()[-1].day == 1
    for file in marts.rglob("*.parquet"):
        file.unlink()
    gone = _export(pieces, folder, marts=marts, windows=[WINDOW])
    assert gone.unaggregated == (("g000", WINDOW), ("g001", WINDOW))
    assert not list(folder.glob("aggregates_*/*/*.parquet"))


def test_again_is_the_same_and_stale_days_go(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    first = _export(land(ROWS, WINDOW), folder)
    content = [path.read_bytes() for path in first.paths]
    again = _export(land(ROWS, WINDOW), folder)
    assert again == first
    assert [path.read_bytes() for path in again.paths] == content
    less = _export(land(ROWS[:1], WINDOW), folder)
    assert (less.rows("samples"), len(less.paths)) == (1, 1)
    assert sorted(folder.glob("samples/*/*.parquet")) == [first.paths[0]]


def test_some_points_only(land: Any, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    result = _export(land(ROWS, WINDOW), folder, select=["kessel*"])
    assert result.rows("samples") == 3
    assert pq.read_metadata(folder / "points/pi1.parquet").num_rows == 1
    with pytest.raises(Stop, match=r"another choice \(points = "):
        _export(land(ROWS, WINDOW), folder)


@pytest.mark.parametrize(
    "foreign", ["holiday.jpg", "samples/notes.txt", "points/mine.csv", "samples/date=2026-01-01/theirs.parquet",
                "samples/source=x/date=2026-01-01/group=g000.parquet", "journal/2026.csv", "wide/theirs.csv"]
)  # fmt: skip
def test_a_foreign_destination_is_refused(foreign: str, land: Any, tmp_path: Path) -> None:
    file = tmp_path / "exports" / foreign
    file.parent.mkdir(parents=True)
    file.write_text("not ours")
    with pytest.raises(Stop, match="which no export wrote"):
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
        export(ExportInput(POINTS, [], span, tmp_path, "pi1", 256 << 20))


def _notes(*rows: tuple[str, str, int, str]) -> pa.Table:
    nothing = {each.name: "" for each in ANNOTATION_SCHEMA if each.type == pa.string()}
    return pa.Table.from_pylist(
        [
            {**nothing, "point": point, "time_ns": parse(time), "tie": tie, "place": 0, "text": text, "state": "told",
             "author": "P\\x", "created_ns": parse(time) + 7}
            for point, time, tie, text in rows
        ],
        schema=ANNOTATION_SCHEMA,
    )  # fmt: skip


def test_annotations_are_a_data_set_of_days_and_groups(land: Any, tmp_path: Path) -> None:
    folder, pieces = tmp_path / "exports", land(ROWS, WINDOW)
    notes = _notes(
        ("VALVE", "2026-01-02T00:00:00Z", 0, "stuck"), ("Kessel%201", "2026-01-02T00:00:00Z", 1, "geschätzt"),
        ("Kessel%201", "2026-01-01T23:59:59.9999999Z", 0, "late"), ("STRANGER", "2026-01-02T00:00:00Z", 0, "x"),
    )  # fmt: skip
    assert _export(pieces, folder, annotations=notes).rows("annotations") == 3
    files = sorted(folder.glob("annotations/*/*"))
    assert [f"{path.parent.name}/{path.name}" for path in files] == [
        f"date=2026-01-0{day}/pi1-g000.parquet" for day in (1, 2)
    ]
    assert pq.read_schema(files[0]) == ANNOTATION_EXPORT_SCHEMA
    second = pq.read_table(files[1], partitioning=None)
    shown = second.select(["source", "point", "name", "time_ns", "tie", "state", "text", "author"]).to_pylist()
    at_ns = parse("2026-01-02T00:00:00Z")
    assert [list(row.values()) for row in shown] == [
        ["pi1", "Kessel%201", "Kessel 1", at_ns, 1, "told", "geschätzt", "P\\x"],
        ["pi1", "VALVE", "VALVE", at_ns, 0, "told", "stuck", "P\\x"],
    ]
    joined = pq.read_table(folder / "samples").join(
        pq.read_table(folder / "annotations"), ["source", "point", "time_ns", "tie"], right_suffix=" of note",
        join_type="inner",
    )  # fmt: skip
    assert sorted(joined["text of note"].to_pylist()) == ["geschätzt", "late", "stuck"]
    _export(pieces, folder, annotations=notes.slice(0, 1))  # taken back at the source
    assert len(sorted(folder.glob("annotations/*/*"))) == 1
    _export(pieces, tmp_path / "some", select=("V*",), annotations=notes)
    assert [path.parent.name for path in tmp_path.glob("some/annotations/*/*")] == ["date=2026-01-02"]
