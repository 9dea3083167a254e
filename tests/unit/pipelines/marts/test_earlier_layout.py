"""Exports that the layout before left in a destination: nothing of them is lost, and nothing stands there twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipelines.journal import ALARM_SCHEMA, JOURNAL_SCHEMA
from pipelines.marts import ExportInput, Landed, destination, export
from pipelines.marts.destination import claim
from pipelines.marts.journal import export_journal
from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, Interval, parse

NS = pa.timestamp("ns", tz="UTC")
DAY = Interval(parse("2026-01-01"), parse("2026-01-02"))
NEXT = Interval(DAY.end_ns, DAY.end_ns + DAY_NS)
POINTS = [Point("A", "A", "number")]
ROW = ("A", "2026-01-01T06:00:00.1234567Z", 1.0, 192)


def _old_samples(folder: Path, source: str, day: Interval, stamp: str) -> Path:
    """One event as the layout before had it."""
    path = folder / f"samples/source={source}/date={stamp[:10]}/group=g000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "point": pa.array(["A"]), "name": pa.array(["A"]), "time": pa.array([parse(stamp)]).cast(NS),
        "tie": pa.array([0], pa.int32()), "value": pa.array([1.0]), "text": pa.array([None], pa.string()),
        "code": pa.array([None], pa.int64()), "quality": pa.array([192], pa.int32()),
        "detail": pa.array([0], pa.int32()), "unit": pa.array([""]),
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    points = folder / "points"
    points.mkdir(exist_ok=True)
    named = {name: pa.array([""]) for name in ("kind", "source_type", "unit", "description", "digital_set")}
    flags = {name: pa.array([False]) for name in ("step", "future")}
    numbers = {name: pa.array([None], pa.float64()) for name in ("zero", "span")}
    order = ["point", "name", "kind", "source_type", "unit", "description", "step", "future", "digital_set", "zero",
             "span"]  # fmt: skip
    every = {"point": pa.array(["A"]), "name": pa.array(["A"]), **named, **flags, **numbers}
    pq.write_table(pa.table({name: every[name] for name in order}), points / f"source={source}.parquet")
    (points / f"source={source}.json").write_text(json.dumps({"source": source, "points": ["*"]}) + "\n")
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Two days of pi1, a day of pi2 and a day of journal, as the layout before had them."""
    folder = tmp_path / "exports"
    _old_samples(folder, "pi1", DAY, "2026-01-01T06:00:00.1234567Z")
    _old_samples(folder, "pi1", NEXT, "2026-01-02T06:00:00Z")
    _old_samples(folder, "pi2", DAY, "2026-01-01T07:00:00Z")
    (folder / "samples/source=pi1/.DS_Store").write_text("a file manager's")
    journal = folder / "journal/source=w/date=2026-01-01/journal.parquet"
    journal.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["1"], "time": pa.array([DAY.start_ns]).cast(NS), "kind": ["User.Write"]}), journal)
    return folder


def _export(pieces: Any, folder: Path, span: Interval = DAY, source: str = "pi1") -> None:
    export(ExportInput(POINTS, [{"g000": Landed(POINTS, pieces)}], span, folder, source, 256 << 20))


def _rows(folder: Path) -> list[tuple[str, int]]:
    table = ds.dataset(folder / "samples").to_table()
    return sorted(zip(table["source"].to_pylist(), table["time_ns"].to_pylist(), strict=True))


def test_nothing_stands_there_twice_and_nothing_is_lost(land: Any, before: Path) -> None:
    _export(land([ROW], DAY), before)
    assert _rows(before) == [
        ("pi1", parse(ROW[1])), ("pi1", parse("2026-01-02T06:00:00Z")), ("pi2", parse("2026-01-01T07:00:00Z")),
    ]  # fmt: skip
    schemas = {str(pq.read_schema(file)) for file in (before / "samples").rglob("*.parquet")}
    assert len(schemas) == 1
    assert not list(before.glob("[!_]*/source=*"))
    points = ds.dataset(before / "points").to_table()
    assert sorted(points["source"].to_pylist()) == ["pi1", "pi2"]
    journal = ds.dataset(before / "journal").to_table().to_pylist()
    assert [(row["source"], row["time_ns"], row["kind"]) for row in journal] == [("w", DAY.start_ns, "User.Write")]


def test_its_choice_of_points_holds_on(land: Any, before: Path) -> None:
    (before / "points/source=pi1.json").write_text('{"source": "pi1", "points": ["A"]}\n')
    with pytest.raises(Stop, match="another choice"):
        _export(land([ROW], DAY), before)


def test_a_take_over_that_was_killed_goes_on(land: Any, before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between writing the second file anew and removing the old one."""
    taken = []
    unlink = Path.unlink

    def killed(self: Path, missing_ok: bool = False) -> None:
        if "group=" in self.name and self.suffix == ".parquet":
            if taken:
                raise KeyboardInterrupt
            taken.append(self)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        _export(land([ROW], DAY), before)
    monkeypatch.undo()
    assert taken and list(before.glob("samples/date=*/*")) and list(before.glob("samples/source=*/*/*.parquet"))
    _export(land([ROW], DAY), before)
    assert len(_rows(before)) == 3
    assert not list(before.glob("[!_]*/source=*"))


def test_a_foreign_file_among_them_stops_it_before_anything_is_touched(land: Any, before: Path) -> None:
    foreign = before / "samples/source=pi1/date=2026-01-01/mine.parquet"
    foreign.write_text("not ours")
    held = {file for file in before.rglob("*") if file.is_file()}
    with pytest.raises(Stop, match=r"mine\.parquet"):
        _export(land([ROW], DAY), before)
    assert {file for file in before.rglob("*") if file.is_file() and "_ferry" not in file.parts} == held


def test_a_destination_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    record = claim(tmp_path / "exports")
    (record / "layout.json").write_text('{"layout": 99}')
    with pytest.raises(Stop, match="another version"):
        claim(tmp_path / "exports")


def test_many_at_once_into_a_new_destination(land: Any, tmp_path: Path) -> None:
    pieces = land([ROW], DAY)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _export(pieces, tmp_path / "exports", source=f"pi{number}"), range(8)))
    assert [source for source, _ in _rows(tmp_path / "exports")] == [f"pi{number}" for number in range(8)]


def test_a_file_that_another_export_adds_meanwhile_is_not_foreign(
    land: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = destination.entries

    def while_another_writes(folder: Path) -> list[Path]:
        if folder.name == "points":
            (folder / "pi2.parquet").touch()
        return listed(folder)

    _export(land([ROW], DAY), tmp_path / "exports")
    monkeypatch.setattr(destination, "entries", while_another_writes)
    claim(tmp_path / "exports")


def test_a_journal_has_exact_times_too(tmp_path: Path) -> None:
    at = DAY.start_ns + 123_456_700
    texts = {field.name: [""] for field in JOURNAL_SCHEMA if field.type == pa.string()}
    entry = {**texts, "time_ns": [at], "is_alarm": [False], "priority": [None], "severity": [None]}
    entries = pa.table({name: entry[name] for name in JOURNAL_SCHEMA.names}, schema=JOURNAL_SCHEMA)
    alarm = {"object": "Pump", "variable": "Pump.PV", "area": "", "priority": 1, "severity": 1, "start_ns": at,
             "acknowledged_ns": None, "end_ns": None, "value": "", "comment": ""}  # fmt: skip
    alarms = pa.Table.from_pylist([alarm], schema=ALARM_SCHEMA)
    export_journal(entries, alarms, DAY, tmp_path / "exports", "w")
    [row] = ds.dataset(tmp_path / "exports/journal").to_table().to_pylist()
    assert (row["source"], row["time_ns"], row["time"].microsecond) == ("w", at, 123_456)
    [row] = ds.dataset(tmp_path / "exports/alarms").to_table().to_pylist()
    assert (row["start_ns"], row["end"], row["end_ns"]) == (at, None, None)
