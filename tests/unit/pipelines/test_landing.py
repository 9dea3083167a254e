"""A generation appears whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

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


def test_what_is_let_go_stops_counting_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = Landing(tmp_path)
    old, new = (landing.land(SliceId("s", "g000", DAY), DAY, samples.empty(), [], {}).generation for _ in range(2))
    unlink, gone = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(path.suffix)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        landing.let_go("s", "g000", [old, "never seen"])
    monkeypatch.undo()
    assert [each.generation for each in landing.generations("s")] == [new]
    assert landing.let_go("s", "g000", [old, "never seen"]) == 1
    assert {path.stem.split(".")[-1] for path in tmp_path.rglob("*") if path.is_file()} == {new}
    assert landing.let_go("s", "g000", [old]) == 0
    assert len(landing.read(SliceId("s", "g000", DAY), DAY, new)) == 0
