"""What was called proved when the power went is there when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.power_cut import can_mount, cut


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a file system from a file")
def test_nothing_proved_is_lost_when_the_power_goes(tmp_path: Path) -> None:
    found = cut(tmp_path, after=6)
    assert found.verified >= 6
    assert not found.lost, found
