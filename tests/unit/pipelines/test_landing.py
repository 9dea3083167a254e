"""A generation appears whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import samples
from pipelines.landing import Landing
from pipelines.ports import NoRoom, SliceId
from pipelines.timeline import DAY_NS, Interval

DAY = Interval(0, DAY_NS)


@pytest.mark.parametrize("full_at", [1, 2, 3], ids=["the events", "the manifest", "the folder"])
def test_nothing_is_left_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int) -> None:
    """Found on a file system of 150 kB: the half-written manifest stayed."""
    calls = 0
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    landing = Landing(tmp_path)
    with pytest.raises(NoRoom, match="free some space"):
        landing.land(SliceId("s", "g000", DAY), DAY, samples.empty(), [], {})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert landing.land(SliceId("s", "g000", DAY), DAY, samples.empty(), [], {}).events == 0


def test_which_events_are_annotated_is_landed_and_is_no_part_of_their_digest(tmp_path: Path) -> None:
    columns = {"point": ["a"] * 3, "time": [1, 2, 3], "tie": [0] * 3, "value": [1.0, 2.0, 3.0], "quality": [192] * 3,
               "detail": [0] * 3, "annotated": [None, True, None]}  # fmt: skip
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    events = samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))
    landing, slice_id = Landing(tmp_path), SliceId("s", "g000", DAY)
    manifest = landing.land(slice_id, DAY, events, ["a"], {})
    read = landing.read(slice_id, DAY, manifest.generation)
    assert samples.flagged(read)["time"].cast(pa.int64()).to_pylist() == [2]
    bare = events.set_column(8, samples.SCHEMA.field("annotated"), pa.nulls(3, pa.bool_()))
    assert samples.tally(read, number_digest=True).equals(samples.tally(bare, number_digest=True))
    assert not len(samples.flagged(bare))


def test_what_was_landed_before_annotations_were_asked_for_is_read_as_it_was(tmp_path: Path) -> None:
    row = {"point": "a", "time": 1, "tie": 0, "value": 1.0, "quality": 192, "detail": 0}
    events = samples.ordered(pa.Table.from_pylist([row], schema=samples.SCHEMA))
    landing, slice_id = Landing(tmp_path), SliceId("s", "g000", DAY)
    path = landing.path(slice_id, DAY, landing.land(slice_id, DAY, events, ["a"], {}).generation)
    pq.write_table(events.drop_columns(["annotated"]), path)
    said = json.loads(path.with_suffix(".json").read_text())
    said["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(said))
    read = landing.read(slice_id, DAY, said["generation"])
    assert read.equals(events)
    fresh = landing.read(slice_id, DAY, landing.land(slice_id, DAY, events, ["a"], {}).generation)
    assert samples.ordered(pa.concat_tables([read, fresh]).unify_dictionaries()).num_rows == 2
