"""What is settled and erodes, however slowly, or turns into something else with its count kept, is asked about."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ports import SliceId
from pipelines.timeline import MINUTE_NS
from pipelines.transfer import Bounds, PairResult, Transfer
from tests.property.test_transfer import IDS, WINDOW, Plant, table_of

EVENTS = 200
STEP_NS = MINUTE_NS // 500
WHOLE = SliceId("s", "g000", WINDOW)


class Settled(Plant):
    """Each of three points has EVENTS events in half a minute, all proved."""

    def __init__(self, folder: Path, events: int = EVENTS, open_from_ns: int = 2**63 - 1) -> None:
        self.rows = {(p, at): 100.0 + at for p in IDS for at in range(events)}
        self.open_from_ns = open_from_ns
        super().__init__(folder, [])
        assert self.again().proved

    def transfer(self) -> Transfer:
        return Transfer(
            self.source, self.store, self.ledger, self.landing, Bounds(), open_from_ns=self.open_from_ns,  # type: ignore[arg-type]
        )  # fmt: skip

    def again(self) -> PairResult:
        """The source is pulled as it is now."""
        self.source.events = table_of([(p, at * STEP_NS, value) for (p, at), value in self.rows.items()])
        self.ledger.withdraw(WHOLE, "restated")
        return self.backfill()

    def held(self, point: str) -> dict[int, float]:
        return {r["time"].value // STEP_NS: r["value"] for r in self.stored() if r["point"] == point}

    def edit(self, point: str, at: range, value: object) -> None:
        self.rows |= {(point, each): value for each in at}  # type: ignore[dict-item]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_what_is_lost_adds_up_over_passes(losses: list[int]) -> None:
    """0.7 % a sweep for ever was believed: each pass was compared with the last."""
    with TemporaryDirectory() as folder:
        plant, gone = Settled(Path(folder)), 0
        for lost in losses:
            for at in range(gone, gone + lost):
                del plant.rows["a", at]
            gone += lost
            result = plant.again()
            assert (not result.unproved) == (gone <= EVENTS // 100), result.unproved
            if gone > EVENTS // 100:
                assert f"shows {EVENTS - gone} of 200 events" in result.unproved["a"]
                assert len(plant.held("a")) >= EVENTS - EVENTS // 100
                return


def test_losses_add_up_by_the_ledger_where_the_first_file_is_gone(tmp_path: Path) -> None:
    plant = Settled(tmp_path)
    first = next(tmp_path.rglob("*.parquet"))
    del plant.rows["a", 0], plant.rows["a", 1]
    assert plant.again().proved
    first.unlink()
    del plant.rows["a", 2]
    assert "shows 197 of 200 events" in plant.again().unproved["a"]


def test_what_was_added_since_and_goes_again_is_a_loss(tmp_path: Path) -> None:
    plant = Settled(tmp_path)
    plant.edit("a", range(EVENTS, 2 * EVENTS), 1.0)
    assert plant.again().proved
    for at in range(EVENTS, 2 * EVENTS):
        del plant.rows["a", at]
    assert "shows 200 of 400 events" in plant.again().unproved["a"]


@pytest.mark.parametrize("value", [0.0, float("nan"), ("OFF", 0)])
def test_most_values_of_a_point_turned_into_something_else_are_asked_about(tmp_path: Path, value: object) -> None:
    plant = Settled(tmp_path)
    before = plant.held("b")
    plant.edit("b", range(EVENTS * 2 // 3), value)
    assert "shows 67 of 200 values as they were" in plant.again().unproved["b"]
    assert plant.held("b") == before
    plant.ledger.accepted.append(WHOLE)
    assert plant.again().proved
    assert len(plant.held("b")) == EVENTS


def test_edits_of_values_add_up_over_passes(tmp_path: Path) -> None:
    plant, part = Settled(tmp_path), EVENTS // 5
    for step in range(2):
        plant.edit("a", range(step * part, (step + 1) * part), -1.0)
        assert plant.again().proved
    plant.edit("a", range(2 * part, 3 * part), -1.0)
    assert "shows 80 of 200 values as they were" in plant.again().unproved["a"]


def test_all_values_of_many_points_with_few_events_each_are_asked_about(tmp_path: Path) -> None:
    plant = Settled(tmp_path, events=5)
    for point in IDS:
        plant.edit(point, range(5), 0.0)
    assert "3 points shrank or changed" in plant.again().problems[0]


def test_few_values_and_open_slices_are_edited_without_a_question(tmp_path: Path) -> None:
    few = Settled(tmp_path / "few", events=10)
    few.edit("a", range(10), 0.0)
    assert few.again().proved
    still_open = Settled(tmp_path / "open", open_from_ns=0)
    still_open.edit("a", range(EVENTS), 0.0)
    assert still_open.again().proved
