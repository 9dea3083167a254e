"""`make ui` started and stopped, on real servers; no other daemon may be at this instance meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.dagster.real_plant import KEYS, SAMPLES, RealPlant, RunningUi, working

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["Ctrl-C", "SIGTERM"]
)
def test_it_stops_and_leaves_nobody_behind(
    real_plant: RealPlant, tmp_path: Path, number: signal.Signals, to_all: bool
) -> None:
    """With a run at work, too. A terminal sends Ctrl-C to every process that it sees."""
    if real_plant.home.exists():
        real_plant.withdraw()
    ui = RunningUi(real_plant, tmp_path / "ui.log")
    left: list[psutil.Process] = []
    try:
        ui.wait_until_up()
        with real_plant.fault(kind="slow", times=-1, seconds=3.0):
            backfill = ui.webserver.backfill(SAMPLES, KEYS)
            working(real_plant, backfill)
            assert len(ui.family()) > 3
            left = ui.stop(number, to_all)
    finally:
        ui.stop(signal.SIGTERM)
    assert not left, left
    text = (tmp_path / "ui.log").read_text(encoding="utf-8")
    for word in ("BetaWarning", "SupersessionWarning", "was found in the current folder", "DeprecationWarning"):
        assert word not in text
