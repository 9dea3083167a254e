"""A plant that keeps running, followed pass by pass: late, edited and removed events, outages, kills at any call."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.landing import Landing
from pipelines.ledger import COUNTS, PROVISIONAL, current
from pipelines.sync import PassResult, Rhythm, Sweeping, SyncPass
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval
from pipelines.transfer import Bounds, Transfer, recount
from tests.memory import MemoryLedger, MemorySource, MemoryStore, TellingSource
from tests.property.test_transfer import IDS, POINTS, Killer, table_of

DAYS = [Interval(day * DAY_NS, (day + 1) * DAY_NS) for day in range(4)]
HANDOVER_NS = 22 * HOUR_NS
STEP_NS = 20 * MINUTE_NS
STEPS = 9
RHYTHM = Rhythm(lag_ns=MINUTE_NS, overlap_ns=5 * MINUTE_NS, lateness_ns=3 * HOUR_NS)

happening = st.tuples(
    st.integers(0, STEPS - 1),  # the step at which it is seen
    st.sampled_from(["add", "add", "add", "change", "remove"]),
    st.sampled_from(IDS),
    st.integers(0, 180),  # minutes after the handover
    st.floats(-5, 5),
)


dense = st.tuples(  # so that most edits meet an event
    st.integers(0, STEPS - 1),
    st.sampled_from(["add", "change", "change", "remove"]),
    st.sampled_from(IDS[:2]),
    st.sampled_from([1, 9, 30, 65, 130]),
    st.floats(-5, 5),
)


class Followed:
    """One source, store, ledger and landing, with a clock of their own."""

    def __init__(self, folder: Path, telling: bool = False, rhythm: Rhythm = RHYTHM) -> None:
        self.rhythm = rhythm
        self.now = HANDOVER_NS + STEP_NS
        self.end_ns = 2**63 - 1
        self.rows: list[tuple] = []
        self.shown: list[tuple] = []
        self.source = (TellingSource if telling else MemorySource)("s", POINTS, table_of([]))
        self.store, self.ledger, self.landing = MemoryStore(), MemoryLedger(), Landing(folder)

    def hook(self, hook: object) -> None:
        self.source.hook = self.store.hook = self.ledger.hook = hook  # type: ignore[assignment]

    def happen(self, kind: str, point: str, minute: int, value: float) -> None:
        time_ns = HANDOVER_NS + minute * MINUTE_NS + 7
        there = [row for row in self.rows if row[:2] == (point, time_ns)]
        if kind == "add":
            self.rows.append((point, time_ns, value))
        elif there:
            self.rows.remove(there[0])
            if kind == "change":
                self.rows.append((point, time_ns, value))
        self.show()

    def show(self) -> None:
        """What is later than the clock is not there yet."""
        before, shown = self.shown, [row for row in self.rows if row[1] <= self.now]
        self.source.events, self.shown = table_of(shown), shown
        if isinstance(self.source, TellingSource):
            self.source.log += {row[:2] for row in [*before, *shown] if before.count(row) != shown.count(row)}

    def transfer(self) -> Transfer:
        bounds = Bounds(slice_events=8)
        open_from_ns = self.now - self.rhythm.lateness_ns
        return Transfer(self.source, self.store, self.ledger, self.landing, bounds, open_from_ns=open_from_ns)  # type: ignore[arg-type]

    def follow(self) -> PassResult:
        reach = Interval(HANDOVER_NS, min(self.end_ns, self.now - RHYTHM.lag_ns))
        run = SyncPass(
            self.transfer(), {"g000": POINTS}, DAYS, reach, self.rhythm, now_ns=lambda: self.now, slices_at_once=2
        )
        return asyncio.run(run.run(float("inf")))

    def sweep(self) -> None:
        reach = Interval(HANDOVER_NS, self.now - RHYTHM.lag_ns)
        run = Sweeping(
            self.transfer(), {"g000": POINTS}, DAYS, reach, handover_ns=HANDOVER_NS, mend=True, now_ns=lambda: self.now
        )
        asyncio.run(run.run(float("inf"), all_deep=True))

    def stored(self) -> list[dict]:
        return next(self.store.read("s", IDS, Interval(HANDOVER_NS, self.now))).to_pylist()


def assert_exact(plant: Followed) -> None:
    """Once all is settled and read deep once, source, landing and store are the same."""
    plant.hook(lambda _: None)
    plant.now = 2 * DAY_NS + 4 * HOUR_NS
    plant.show()
    result = plant.follow()
    assert not result.problems
    assert not result.unproved
    plant.sweep()
    assert plant.stored() == plant.source.events.to_pylist()
    span = Interval(HANDOVER_NS, plant.now - RHYTHM.lag_ns)
    found = asyncio.run(recount(plant.transfer(), {"g000": POINTS}, DAYS, span, deep=True)).as_json("s")
    assert found["drift"] == []
    assert found["unproved_points"] == 0
    assert plant.follow().looks == 0, "what was settled is looked at again"
    settled = Interval(HANDOVER_NS, 2 * DAY_NS)
    history = plant.ledger.history("s", "g000", settled)
    good = {each.generation for each in history if each.state in COUNTS and each.note != PROVISIONAL}
    counting = {each.record.generation for each in current(history, settled)}
    there = {each.generation for each in plant.landing.generations("s")} & {each.generation for each in history}
    assert counting <= there <= counting | good, "old generations stay for ever, or one that counts is gone"


steps = st.sets(st.integers(1, STEPS - 1))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(happening, max_size=30), st.lists(st.integers(1, 80), max_size=3), steps, st.booleans(), steps)
def test_followed_to_the_end(
    happenings: list[tuple], kills: list[int], missed: set[int], telling: bool, forgets: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Followed(Path(folder), telling)
        murders = list(kills)
        for step in range(STEPS):
            for at, *what in happenings:
                if at == step:
                    plant.happen(*what)
            plant.show()
            if step in forgets and isinstance(plant.source, TellingSource):
                plant.source.forget()
            if step not in missed:  # an outage: no pass at all
                plant.hook(Killer(murders.pop()) if murders else lambda _: None)
                with contextlib.suppress(BaseException):
                    plant.follow()
            plant.now += STEP_NS
        assert_exact(plant)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(happening, max_size=20))
def test_counts_alone_find_what_changes_a_count(happenings: list[tuple]) -> None:
    """Without the deep sweep: late and removed events are found by the looks before all settles."""
    with tempfile.TemporaryDirectory() as folder:
        plant = Followed(Path(folder))
        for step in range(STEPS):
            for at, kind, *what in happenings:
                if at == step and kind == "add":
                    plant.happen(kind, *what)
            plant.show()
            plant.follow()
            plant.now += STEP_NS
        plant.now = 2 * DAY_NS + 4 * HOUR_NS
        plant.follow()
        assert plant.stored() == plant.source.events.to_pylist()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(dense, min_size=5, max_size=40), st.lists(st.integers(1, 80), max_size=3), steps)
def test_what_the_feed_tells_is_mended_without_a_deep_sweep(
    happenings: list[tuple], kills: list[int], missed: set[int]
) -> None:
    """Also what changes no count, through kills and outages, and the looks stop where nothing is told."""
    with tempfile.TemporaryDirectory() as folder:
        # Open all the time: what a settled slice loses is not believed.
        plant = Followed(Path(folder), telling=True, rhythm=replace(RHYTHM, lateness_ns=12 * HOUR_NS))
        murders = list(kills)
        plant.follow()  # registers
        for step in range(STEPS):
            for at, *what in happenings:
                if at == step:
                    plant.happen(*what)
            plant.show()
            if step not in missed:
                plant.hook(Killer(murders.pop()) if murders else lambda _: None)
                with contextlib.suppress(BaseException):
                    plant.follow()
            plant.now += STEP_NS
        plant.hook(lambda _: None)
        for _ in range(4):  # what is told waits for half the age of its hour
            plant.follow()
            plant.now += HOUR_NS
            plant.show()
        plant.follow()
        final = plant.now - RHYTHM.lag_ns
        assert [row for row in plant.stored() if row["time"].value < final] == [
            row for row in plant.source.events.to_pylist() if row["time"].value < final
        ]
        assert plant.ledger.open == []


@pytest.mark.parametrize("passes_before", [0, 1])
def test_a_source_that_ended_long_ago_stays_at_rest(tmp_path: Path, passes_before: int) -> None:
    plant = Followed(tmp_path)
    plant.end_ns = plant.now
    plant.happen("add", IDS[0], 5, 1.0)
    for _ in range(passes_before):
        plant.follow()
    plant.now += 10 * DAY_NS
    result = plant.follow()
    assert (result.problems, result.up_to_ns, result.left) == ([], plant.end_ns, 0)
    assert plant.stored() == plant.source.events.to_pylist()
    assert plant.follow().events == 0


def half_a_day(folder: Path) -> Followed:
    plant = Followed(folder)
    for minute in range(0, 120, 7):
        plant.happen("add", IDS[minute % 2], minute, float(minute))
    for _ in range(STEPS):
        plant.show()
        plant.follow()
        plant.now += STEP_NS
    plant.now = 2 * DAY_NS
    return plant


def test_a_kill_while_old_generations_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = half_a_day(tmp_path)
    gone: list[Path] = []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(gone) == 3:
            raise KeyboardInterrupt
        gone.append(path)
        path.rename(path.with_name("gone"))

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        plant.follow()
    monkeypatch.undo()
    assert [path.suffix for path in gone] == [".json", ".parquet", ".json"], "what is half gone would count"
    assert_exact(plant)
    assert not gone[2].with_suffix(".parquet").exists()


@pytest.mark.parametrize("trouble", ["it is not there", "it may not be removed"])
def test_old_generations_stay_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    plant = half_a_day(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    if trouble == "it is not there":  # a landing that was not mounted when its day settled
        monkeypatch.setattr(Landing, "holds", lambda *_: False)
    else:
        monkeypatch.setattr(Path, "unlink", lambda path, **__: path.rmdir())
    found = plant.follow()
    assert found.settled
    assert found.let_go == 0
    assert bool(found.problems) == (trouble == "it may not be removed")
    assert before <= {path for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("by", ["the settling look", "a sweep before it"])
def test_what_is_removed_between_the_last_look_and_the_end_of_the_lateness_is_believed(tmp_path: Path, by: str) -> None:
    """Found by a day of 2,000 points: an event of a point that has few is more than one of a hundred."""
    plant = half_a_day(tmp_path)
    plant.now = DAY_NS + HOUR_NS + 50 * MINUTE_NS  # the hour was looked at when it was 1 h and 2 h old
    plant.follow()
    plant.happen("remove", IDS[0], 14, 0.0)
    plant.now = DAY_NS + 2 * HOUR_NS + 30 * MINUTE_NS if by == "a sweep before it" else 2 * DAY_NS
    plant.show()
    if by == "a sweep before it":
        plant.sweep()
    else:
        assert not plant.follow().unproved
    assert plant.stored() == plant.source.events.to_pylist()
    assert_exact(plant)
