"""Two state folders on one ledger: the second says so, and moves nothing."""

from __future__ import annotations

import pytest

from pipelines.timeline import iso
from tests.unit.cli.conftest import DAY, Ferry

SPAN = ("--start", iso(DAY.start_ns), "--end", iso(DAY.end_ns))


@pytest.fixture
def second(ferry: Ferry) -> Ferry:
    """What the first folder has moved stands in the ledger; the plant file names another folder."""
    assert ferry("discover").code == 0
    assert ferry("backfill", *SPAN).code == 0
    text = ferry.plant_file.read_text(encoding="utf-8")
    ferry.plant_file.write_text(text.replace('name = "unit"', 'name = "unit"\nstate_dir = "second"'), encoding="utf-8")
    return ferry


@pytest.mark.parametrize("command", [("discover",), ("sync",), ("backfill", *SPAN), ("sweep",), ("verify", *SPAN)])
def test_another_state_folder_is_refused(second: Ferry, command: tuple[str, ...]) -> None:
    before = len(second.ledger.slices)
    answer = second(*command)
    assert answer.code == 2, answer.err
    assert "the ledger is about the landing in" in answer.err
    assert "/.ferry/landing" in answer.err
    assert "/second/landing" in answer.err
    assert len(second.ledger.slices) == before
    assert not (second.plant_file.parent / "second" / "landing").exists()


def test_status_says_so(second: Ferry) -> None:
    answer = second("status", "--json")
    assert "/second/landing" in answer.json["landing_doubt"]
    assert "/second/landing" in answer.err


def test_a_folder_that_was_moved_goes_on(second: Ferry) -> None:
    folder = second.plant_file.parent
    (folder / ".ferry").rename(folder / "second")
    assert second("backfill", *SPAN).code == 0
    assert second("verify", *SPAN).code == 0
    assert second("status", "--json").json["landing_doubt"] is None
