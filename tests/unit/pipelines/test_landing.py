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
