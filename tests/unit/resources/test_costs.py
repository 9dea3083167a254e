"""What runs have cost is kept, a bounded number of them."""

from __future__ import annotations

from pathlib import Path

from resources.budget import Budget
from resources.costs import Cost, costs, record, requests_per_event


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "budgets" / "pi1.runs"
    assert costs(file) == []
    assert requests_per_event(costs(file)) is None
    for number in range(30):
        record(file, Cost(number, 1_000))
    found = costs(file)
    assert found == [Cost(number, 1_000) for number in range(10, 30)]
    assert requests_per_event(found) == sum(range(10, 30)) / 20_000
    assert [each.name for each in file.parent.iterdir()] == ["pi1.runs"]


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    file = tmp_path / "pi1.runs"
    for text in ("{", '{"requests": 1}\n', "[1, 2]\n", "5\n"):
        file.write_text(text, encoding="utf-8")
        assert costs(file) == []
    record(file, Cost(1, 2))
    assert costs(file) == [Cost(1, 2)]


def test_a_budget_counts_its_own_turns_only(tmp_path: Path) -> None:
    mine, other = (Budget(1e6, shared=tmp_path / "pi1") for _ in range(2))
    for _ in range(3):
        mine.reserve()
    other.reserve()
    assert (mine.asked, other.asked) == (3, 1)
