"""The spool: what was said to be on disk is read back, whatever killed its writer."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.ports import SPOOL_SCHEMA, NoRoom, Retry
from pipelines.timeline import Interval
from resources.plc4x.spool import SpoolReader, SpoolWriter, segments

ALL = Interval(-(2**62), 2**62)


def batch(*times: int, point: str = "A") -> pa.RecordBatch:
    rows = [
        {
            "point": point,
            "time": each,
            "value": float(each),
            "text": None,
            "code": None,
            "quality": 192,
            "detail": 0,
            "received": each,
            "server": None,
        }
        for each in times
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SPOOL_SCHEMA)


def times(folder: Path, span: Interval = ALL) -> list[int]:
    return [each.value for found in SpoolReader(folder).batches(span) for each in found["time"].to_pylist()]


def test_what_was_appended_is_read_while_the_writer_goes_on(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path)
    assert list(reader.batches(ALL)) == []
    assert reader.last_ns() is None
    for number in range(5):
        writer.append(batch(number * 10, number * 10 + 5))
        assert sum(len(each) for each in reader.batches(ALL)) == 2 * (number + 1)
    assert reader.last_ns() == 45
    assert times(tmp_path, Interval(5, 30)) == [5, 10, 15, 20, 25]
    writer.close()
    assert reader.size_bytes() > 0


def test_a_new_writer_goes_on_in_a_new_segment_and_there_is_only_one_at_a_time(tmp_path: Path) -> None:
    first = SpoolWriter(tmp_path)
    first.append(batch(1))
    with pytest.raises(Retry, match="another collector"):
        SpoolWriter(tmp_path)
    first.close()
    second = SpoolWriter(tmp_path, segment_bytes=1)
    second.append(batch(2))
    second.append(batch(3))
    second.close()
    assert len(segments(tmp_path)) == 3
    assert times(tmp_path) == [1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=40))
def test_a_writer_killed_at_any_byte_loses_nothing_that_was_on_disk(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = SpoolWriter(folder)
        writer.append(batch(1, 2))
        writer.append(batch(3))
        [path] = segments(folder)
        whole = path.stat().st_size
        writer.append(batch(*range(10, 60)))
        writer.close()
        torn = whole + cut % (path.stat().st_size - whole)
        os.truncate(path, torn)
        with path.open("ab") as file:
            file.write(junk)
        reader = SpoolReader(folder)
        assert [len(each) for each in reader.batches(ALL)] == [2, 1]
        again = SpoolWriter(folder)
        again.append(batch(70))
        again.close()
        assert [len(each) for each in reader.batches(ALL)] == [2, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_record_that_was_damaged_costs_no_other(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer = SpoolWriter(Path(name))
        ends = [8]
        for number in range(4):
            writer.append(batch(number * 10, number * 10 + 1))
            [path] = segments(Path(name))
            ends.append(path.stat().st_size)
        writer.close()
        hit = data.draw(st.integers(0, 2))
        place = data.draw(st.integers(ends[hit], ends[hit + 1] - 1))
        content = bytearray(path.read_bytes())
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        kept = [each for number in range(4) for each in (number * 10, number * 10 + 1) if number != hit]
        assert times(Path(name)) == kept


def test_a_damaged_spool_says_where(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(batch(1))
    writer.append(batch(2))
    writer.close()
    [path] = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    reader = SpoolReader(tmp_path)
    assert [len(each) for each in (*reader.batches(ALL), *reader.batches(ALL))] == [1, 1]
    [said] = caplog.messages
    assert said.startswith(f"the spool {path} is damaged from byte 8 to ")


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Two records in a segment that nobody writes any more and that is indexed, one in the next."""
    for some in ([1, 2], [3]):
        writer = SpoolWriter(tmp_path)
        for each in some:
            writer.append(batch(each, each + 10))
        writer.close()
    assert SpoolReader(tmp_path).first_ns() == 1
    assert [path.suffix for path in sorted(tmp_path.glob("*1.*"))] == [".index", ".spool"]
    return tmp_path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_record_that_was_damaged_after_its_segment_was_indexed_is_left_out(sealed: Path, data: st.DataObject) -> None:
    path = segments(sealed)[0]
    whole = path.read_bytes()
    content = bytearray(whole)
    content[data.draw(st.integers(8, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    rows = [row for found in SpoolReader(sealed).batches(ALL) for row in found.to_pylist()]
    path.write_bytes(whole)
    assert all(row["value"] == row["time"].value and row["point"] == "A" for row in rows), "another value"
    # The length stands in the index, too: nothing is lost with it.
    assert [row["time"].value for row in rows] in ([2, 12, 3, 13], [1, 11, 3, 13], [1, 11, 2, 12, 3, 13])


@pytest.mark.parametrize("left", [0, 3, 20, 61])
def test_an_index_that_was_damaged_is_made_again(sealed: Path, left: int) -> None:
    [index] = sealed.glob("*.index")
    whole = index.read_bytes()
    index.write_bytes(whole[:left])
    assert times(sealed) == [1, 11, 2, 12, 3, 13]
    assert index.read_bytes() == whole


def test_segments_that_somebody_removed_leave_no_index_that_is_believed(sealed: Path) -> None:
    for path in segments(sealed):
        path.unlink()
    for each in (5, 6):
        writer = SpoolWriter(sealed)
        writer.append(batch(each))
        writer.close()
    assert times(sealed) == [5, 6]


def test_a_last_record_that_was_damaged_is_told_and_one_that_was_torn_is_not(
    sealed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = segments(sealed)[0]
    content = bytearray(path.read_bytes())
    next(iter(sealed.glob("*.index"))).unlink()
    path.write_bytes(content[:-5])
    assert times(sealed) == [1, 11, 3, 13]
    assert not caplog.messages
    next(iter(sealed.glob("*.index"))).unlink()
    content[-5] ^= 1
    path.write_bytes(content)
    assert times(sealed) == [1, 11, 3, 13]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("half", [False, True])
def test_a_full_disk_is_one_clear_error_and_what_fits_later_is_kept(
    tmp_path: Path, monkeypatch: Any, half: bool
) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(batch(1))
    real = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if half:
            return real(file, data[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(NoRoom, match="free some space"):
            writer.append(batch(*range(2, 50)))
    assert times(tmp_path) == [1]
    writer.append(batch(99))
    assert times(tmp_path) == [1, 99]
    writer.close()
