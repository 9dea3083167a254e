"""The request budget: never more than its rate in any second, whoever asks; urgent ones first; no clock is slept on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ports import Retry
from resources import budget as module
from resources.budget import Budget, used_share
from resources.turns import SharedTurns


class Ticks:
    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def starts(budget: Budget, ticks: Ticks, pauses: list[float]) -> list[float]:
    """When requests start that are asked for with these pauses between them, in the order of their starts."""
    found = []
    for pause in pauses:
        ticks.now_s += pause
        found.append(ticks.now_s + budget.reserve())
    return sorted(found)


@given(st.sampled_from([1, 3, 20, 200]), st.lists(st.floats(0, 1.5), min_size=1, max_size=120))
def test_never_more_than_the_rate_in_any_second(rate: int, pauses: list[float]) -> None:
    ticks = Ticks()
    found = starts(Budget(rate, ticks=ticks), ticks, pauses)
    for first, later in zip(found, found[rate:], strict=False):
        assert later - first >= 1.0


def test_a_rate_below_one_a_second() -> None:
    ticks = Ticks()
    found = starts(Budget(0.5, ticks=ticks), ticks, [0.0] * 4)
    assert [b - a for a, b in itertools.pairwise(found)] == pytest.approx([2.0, 2.0, 2.0])


def test_two_processes_share_one_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks()
    monkeypatch.setattr("time.time", ticks)
    one, two = (Budget(10, shared=tmp_path / "b" / "pi1") for _ in range(2))
    found = sorted(ticks.now_s + each.reserve() for _ in range(30) for each in (one, two))
    for first, later in zip(found, found[10:], strict=False):
        assert later - first >= 1.0
    assert found[-1] - found[0] == pytest.approx(5.8, abs=0.3)
    one.pause(60)
    assert two.reserve() >= 60


@pytest.mark.parametrize("content", [b"", b"\x01" * 7, b"\xff" * 80, b"\x00" * 16])
def test_a_damaged_file_or_a_clock_set_back_blocks_nobody(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pi1"
    path.write_bytes(content)
    assert Budget(10, shared=path).reserve() < 1
    with SharedTurns(path).held() as turns:
        turns.next_s += 1e9
    assert Budget(10, shared=path).reserve() < 1


def waits(monkeypatch: pytest.MonkeyPatch, ticks: Ticks) -> Callable[[Budget], float]:
    """How long a request of a budget waits, on a clock that its sleeps move."""

    async def asleep(seconds: float) -> None:
        ticks.now_s += seconds

    monkeypatch.setattr("time.time", ticks)
    monkeypatch.setattr(module.asyncio, "sleep", asleep)

    def wait(budget: Budget) -> float:
        began_s = ticks.now_s
        asyncio.run(budget.admit())
        return ticks.now_s - began_s

    return wait


def test_others_give_way_to_the_urgent_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks()
    wait = waits(monkeypatch, ticks)
    sync = Budget(100, shared=tmp_path / "pi1", urgent=True)
    backfill = Budget(100, shared=tmp_path / "pi1")
    assert wait(backfill) == 0
    assert wait(sync) < 0.1
    assert wait(backfill) == pytest.approx(1.0, abs=0.1)
    assert wait(backfill) < 0.1
    with SharedTurns(tmp_path / "pi1").held() as turns:
        turns.urgent_until_s = ticks.now_s + 1_000
    assert wait(backfill) == pytest.approx(5.0, abs=0.1)
    assert wait(sync) < 0.1


def test_quiet_hours_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(10, ["22:00-06:00"], clock=lambda: 23 * 3600.0)
    with pytest.raises(Retry, match="quiet hours") as caught:
        asyncio.run(budget.admit())
    assert caught.value.after_s == 7 * 3600


def test_how_much_of_a_shared_budget_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks()
    monkeypatch.setattr("time.time", ticks)
    file = tmp_path / "pi1"
    assert used_share(file, 10.0) is None
    budget = Budget(10.0, shared=file)
    for _ in range(10):
        ticks.now_s += budget.reserve()
    assert used_share(file, 10.0) == pytest.approx(0.98, abs=0.03)
    ticks.now_s += 9.0
    assert used_share(file, 10.0) == pytest.approx(0.1, abs=0.01)
