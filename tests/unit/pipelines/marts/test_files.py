"""Writing marts: the same call twice, a window that became empty, damage, and what the store takes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.landing import DamagedLanding, Piece
from pipelines.marts import (
    AGGREGATE_SCHEMA,
    INTERVALS,
    ExportInput,
    Landed,
    MartInput,
    build_aggregates,
    build_quality,
    export,
    for_store,
    mart_files,
)
from pipelines.marts.files import write_whole
from pipelines.points import Point
from pipelines.samples import number_ties, samples_table
from pipelines.timeline import DAY_NS, Interval, parse
from tests.property.landed import landed_file

WINDOW = Interval(parse("2026-01-01"), parse("2026-01-02"))
POINTS = [Point(name, name, "number") for name in ("A", "B", "C")]
ROWS = [
    (name, f"2026-01-01T{hour:02}:{minute:02}:07Z", hour * 0.1 + minute / 7, 192)
    for name in ("A", "B") for hour in range(24) for minute in range(0, 60, 5)
]  # fmt: skip
MEMORY_BYTES = 256 << 20


def _build(pieces: list[Piece], out: Path) -> dict[str, Path]:
    given = MartInput({"g003": Landed(POINTS, pieces)}, WINDOW, out, MEMORY_BYTES, "pi1")
    made = build_aggregates(given) | build_quality(given)
    return {name: files["g003"].path for name, files in made.items()}


def _digests(paths: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


def test_the_same_call_twice_gives_the_same_bytes(land: Any, tmp_path: Path) -> None:
    pieces = land(ROWS, WINDOW)
    first = _digests(_build(pieces, tmp_path / "out"))
    assert _digests(_build(pieces, tmp_path / "out")) == first
    assert _digests(_build(pieces, tmp_path / "elsewhere")) == first
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert left == []


def test_many_events_give_the_same_bytes_too(tmp_path: Path) -> None:
    """Enough row groups for several threads, and numbers whose sum depends on the order of adding."""
    events = 400_000
    random = np.random.default_rng(7)
    times = np.sort(random.integers(WINDOW.start_ns, WINDOW.end_ns, (len(POINTS), events // len(POINTS)))).ravel()
    codes = np.repeat(np.arange(len(POINTS)), events // len(POINTS))
    table = samples_table(
        {
            "point": pa.array([POINTS[code].id for code in codes], pa.string()).dictionary_encode(),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
            "tie": pa.array(number_ties(codes, times)),
            "value": pa.array(random.normal(0, 1e3, len(times))),
            "quality": pa.array(np.full(len(times), 192, np.int32)),
            "detail": pa.array(np.zeros(len(times), np.int32)),
        }
    )
    path = landed_file(table, tmp_path)
    pieces = [Piece(path, half) for half in WINDOW.halves()]
    first = _digests(_build(pieces, tmp_path / "out"))
    assert all(_digests(_build(pieces, tmp_path / "out")) == first for _ in range(3))


def test_where_marts_lie(land: Any, tmp_path: Path) -> None:
    paths = _build(land(ROWS, WINDOW), tmp_path)
    tail = "source=pi1/window=2026-01-01/group=g003.parquet"
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in paths.items()} == {
        **{name: f"aggregates/interval={name}/{tail}" for name in INTERVALS},
        "quality": f"quality/{tail}",
        "bad_states": f"bad_states/{tail}",
    }
    assert mart_files(tmp_path, "quality", "pi1") == [paths["quality"]]


def test_a_window_that_became_empty_replaces_its_rows(land: Any, tmp_path: Path) -> None:
    _build(land(ROWS, WINDOW), tmp_path)
    paths = _build([], tmp_path)
    assert pq.read_metadata(paths["1m"]).num_rows == 0
    assert pq.read_table(paths["quality"], partitioning=None)["events"].to_pylist() == [0, 0, 0]


def test_pieces_count_only_where_they_are_current(land: Any, tmp_path: Path) -> None:
    noon = WINDOW.start_ns + DAY_NS // 2
    old = land([("A", "2026-01-01T06:00:00Z", 1, 192), ("A", "2026-01-01T18:00:00Z", 1, 192)], WINDOW)
    new = land([("A", "2026-01-01T18:00:00Z", 5, 192), ("A", "2026-01-01T19:00:00Z", 5, 192)], WINDOW)
    pieces = [
        Piece(old[0].path, Interval(WINDOW.start_ns, noon)), Piece(new[0].path, Interval(noon, WINDOW.end_ns)),
    ]  # fmt: skip
    day = pq.read_table(_build(pieces, tmp_path)["1d"], partitioning=None).to_pylist()[0]
    assert (day["events"], day["min"], day["max"]) == (3, 1.0, 5.0)


def test_events_of_other_points_are_left_out(land: Any, tmp_path: Path) -> None:
    pieces = land([*ROWS, ("unknown", "2026-01-01T06:00:00Z", 1, 192)], WINDOW)
    rows = pq.read_table(_build(pieces, tmp_path)["1d"], partitioning=None)
    assert rows["point"].to_pylist() == ["A", "B"]


def test_the_store_takes_numbers_and_full_counts_only(land: Any, tmp_path: Path) -> None:
    table = for_store([_build(land(ROWS, WINDOW), tmp_path)["1h"]])
    assert set(table.schema.types) == {
        pa.string(), pa.timestamp("ns", tz="UTC"), pa.int64(), pa.float64(),
    }  # fmt: skip
    in_the_file_only = {"state", "changes", "first_ns", "last_ns"}
    assert table.schema.names == [name for name in AGGREGATE_SCHEMA.names if name not in in_the_file_only]
    integers = [name for name in table.schema.names if table.schema.field(name).type == pa.int64()]
    assert not any(table[name].null_count for name in integers)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really PAR1"])
def test_a_damaged_landing_is_named(content: bytes | None, land: Any, tmp_path: Path) -> None:
    [piece] = land(ROWS, WINDOW)
    piece.path.unlink()
    if content is not None:
        piece.path.write_bytes(content)
    with pytest.raises(DamagedLanding, match=re.escape(str(piece.path))):
        _build([piece], tmp_path / "out")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), manifest=st.booleans())
def test_no_flipped_bit_reaches_an_export(land: Any, tmp_path: Path, place: float, bit: int, manifest: bool) -> None:
    """Parquet and DuckDB tell of few: other events would be exported without an error."""
    [piece] = land(ROWS, WINDOW)
    path = piece.path.with_suffix(".json") if manifest else piece.path
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    groups = {"g003": Landed(POINTS, [piece])}
    try:
        export(ExportInput(POINTS, [groups], WINDOW, tmp_path / "exports", "pi1", MEMORY_BYTES))
    except DamagedLanding as error:
        assert str(piece.path.parent) in str(error)
        return
    assert manifest  # a bit of what the manifest says beside the checksum
    assert pq.read_table(tmp_path / "exports/samples")["value"].to_pylist() == [row[2] for row in ROWS]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "mart.parquet"
    schema = pa.schema([pa.field("events", pa.int64())])
    write_whole(path, schema, [pa.record_batch([[1]], schema=schema)])
    before = path.read_bytes()

    def failing() -> Any:
        yield pa.record_batch([[2]], schema=schema)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        write_whole(path, schema, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_groups_made_together_give_the_same_bytes_as_alone(land: Any, tmp_path: Path) -> None:
    groups = {
        "g000": Landed(POINTS[:1], land([row for row in ROWS if row[0] == "A"], WINDOW)),
        "g001": Landed(POINTS[2:], land([], WINDOW)),
        "g002": Landed(POINTS[1:2], land([row for row in ROWS if row[0] == "B"], WINDOW)),
    }

    def made(out: Path, groups: dict[str, Landed]) -> None:
        given = MartInput(groups, WINDOW, out, MEMORY_BYTES, "pi1")
        files = build_aggregates(given) | build_quality(given)
        assert all(set(by_group) == set(groups) for by_group in files.values())
        export(ExportInput(POINTS, [groups], WINDOW, out / "exports", "pi1", MEMORY_BYTES, marts=out, windows=[WINDOW]))

    made(tmp_path / "together", groups)
    for label, landed in groups.items():
        made(tmp_path / "alone", {label: landed})
    together, alone = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*.parquet")}
        for out in (tmp_path / "together", tmp_path / "alone")
    )
    assert together == alone
    assert len(together) == 3 * 5 + 2 * 4 + 1


def test_the_damaged_file_among_many_is_named(land: Any, tmp_path: Path) -> None:
    whole = [land([row], WINDOW) for row in ROWS[:3]]
    [broken] = land(ROWS, WINDOW)
    content = bytearray(broken.path.read_bytes())
    content[200:400] = bytes(200)
    broken.path.write_bytes(content)
    groups = {f"g{n:03}": Landed(POINTS, pieces) for n, pieces in enumerate([*whole, [broken]])}
    with pytest.raises(DamagedLanding, match=re.escape(str(broken.path))) as caught:
        build_quality(MartInput(groups, WINDOW, tmp_path, MEMORY_BYTES, "pi1"))
    assert str(whole[0][0].path) not in str(caught.value)


def test_little_memory_is_enough(land: Any, tmp_path: Path) -> None:
    pieces = land(ROWS, WINDOW)
    made = build_aggregates(MartInput({"g003": Landed(POINTS, pieces)}, WINDOW, tmp_path, 24 << 20, "pi1"))
    assert made["1d"]["g003"].rows == 2
