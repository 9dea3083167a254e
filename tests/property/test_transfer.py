"""The promise under murder: a run killed at any instant, any number of times, then one run to the end."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import samples
from pipelines.landing import Landing
from pipelines.ledger import current
from pipelines.planning import Density
from pipelines.points import Point
from pipelines.ports import Pulled, SliceId
from pipelines.timeline import MINUTE_NS, Interval
from pipelines.transfer import Bounds, PairResult, RectangleRun, Transfer, proving, recount
from tests.memory import MemoryLedger, MemorySource, MemoryStore

WINDOW = Interval(0, 60 * MINUTE_NS)
IDS = ["a", "b", "c"]
POINTS = [Point(identifier, identifier, "number") for identifier in IDS]

event = st.tuples(
    st.sampled_from(IDS),
    st.integers(0, 59).map(lambda minute: minute * MINUTE_NS + 7),
    st.one_of(st.floats(-5, 5), st.tuples(st.sampled_from(["Bad Input", "ON"]), st.integers(0, 3))),
)
plants = st.lists(event, max_size=25)


class Killed(BaseException):
    """What a kill -9 looks like from inside: nothing after it runs."""


class Killer:
    """Raises at the n-th call of a hook, then never again."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def table_of(rows: list[tuple]) -> pa.Table:
    table = samples.samples_table(
        {
            "point": pa.array([r[0] for r in rows], pa.string()).dictionary_encode(),
            "time": pa.array([r[1] for r in rows], pa.int64()),
            "tie": pa.array([0] * len(rows), pa.int32()),
            "value": pa.array([None if isinstance(r[2], tuple) else r[2] for r in rows], pa.float64()),
            "text": pa.array([r[2][0] if isinstance(r[2], tuple) else None for r in rows], pa.string()),
            "code": pa.array([r[2][1] if isinstance(r[2], tuple) else None for r in rows], pa.int64()),
            "quality": pa.array([192] * len(rows), pa.int32()),
            "detail": pa.array([0] * len(rows), pa.int32()),
        }
    )
    codes, _ = samples.events.codes_of(table)
    ties = samples.number_ties(codes, samples.times_ns(table))
    return samples.ordered(table.set_column(2, samples.SCHEMA.field("tie"), pa.array(ties, pa.int32())))


class Plant:
    """One source, store, ledger and landing in memory and on disk."""

    def __init__(self, folder: Path, rows: list[tuple]) -> None:
        self.source = MemorySource("s", POINTS, table_of(rows))
        self.store, self.ledger, self.landing = MemoryStore(), MemoryLedger(), Landing(folder)

    def hook(self, hook: object) -> None:
        self.source.hook = self.store.hook = self.ledger.hook = hook  # type: ignore[assignment]

    def transfer(self) -> Transfer:
        return Transfer(self.source, self.store, self.ledger, self.landing, Bounds(slice_events=8))  # type: ignore[arg-type]

    def backfill(self, asked: frozenset[str] | None = None) -> PairResult:
        async def work() -> PairResult:
            run = RectangleRun(
                self.transfer(), {"g000": POINTS}, slices_at_once=2, within=WINDOW, density=Density(), asked=asked
            )
            return next(iter([result async for result in run.run([("g000", WINDOW)])]))

        return asyncio.run(work())

    def recount(self) -> dict:
        found = asyncio.run(recount(self.transfer(), {"g000": POINTS}, [WINDOW], WINDOW, deep=True))
        return found.as_json("s")

    def stored(self) -> list[dict]:
        return next(self.store.read("s", IDS, WINDOW)).to_pylist()


def assert_proved(plant: Plant) -> None:
    plant.hook(lambda _: None)
    result = plant.backfill()
    assert result.proved, (result.problems, result.unproved)
    assert plant.stored() == plant.source.events.to_pylist()
    assert plant.ledger.coverage("s", "g000") == [WINDOW]
    found = plant.recount()
    assert found["drift"] == []
    assert found["unproved_points"] == 0
    assert found["source_events"] == found["landed_events"] == found["stored_events"] == len(plant.source.events)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plants, st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=4))
def test_killed_anywhere_then_once_to_the_end(rows: list[tuple], kills: list[tuple[int, bool]]) -> None:
    """A process, or the machine: of the store is left then what was on its disk."""
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), rows)
        for after, power_cut in kills:
            plant.hook(Killer(after))
            with contextlib.suppress(BaseException):  # a kill may surface as the group's cancellation
                plant.backfill()
            plant.ledger.held.clear()  # the server frees a dead process's locks
            if power_cut:
                plant.store.rows = dict(plant.store.disk)
        assert_proved(plant)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plants, plants, st.lists(st.integers(1, 60), max_size=3))
def test_edited_history_restated_under_kills(before: list[tuple], after: list[tuple], kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), before)
        assert_proved(plant)
        plant.source.events = table_of(after)
        whole = SliceId("s", "g000", WINDOW)
        plant.ledger.withdraw(whole, "restated")
        plant.ledger.accepted.append(whole)
        for kill in kills:
            plant.hook(Killer(kill))
            with contextlib.suppress(BaseException):
                plant.backfill()
            plant.ledger.held.clear()
        assert_proved(plant)


def test_a_second_run_asks_for_nothing(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [("a", 7, 1.0)])
    assert_proved(plant)
    pulls, rows = plant.source.pulls, len(plant.ledger.slices)
    assert plant.backfill().proved
    assert plant.source.pulls == pulls
    assert len(plant.ledger.slices) == rows


@pytest.mark.parametrize("deep", [False, True])
def test_a_look_names_what_differs_and_cannot_be_had(tmp_path: Path, deep: bool) -> None:
    """The count tells of an edit, and the point has a value by now that cannot be kept."""
    plant = Plant(tmp_path, [("a", 7, 1.0), ("b", 7, 1.0)])
    assert_proved(plant)
    plant.source.events = table_of([("a", 7, 1.0), ("a", 8, 2.0), ("b", 7, 1.0)])
    pull = plant.source.pull

    async def spoiled(points: list[Point], *more: int) -> AsyncIterator[Pulled]:
        async for each in pull(points, *more):
            yield Pulled(each.samples.slice(0, 0), (), dict.fromkeys(each.points, "cannot be kept"))

    plant.source.pull = spoiled  # type: ignore[method-assign,assignment]
    with plant.ledger.lease("s", "g000", WINDOW, "test") as lease:
        whole = SliceId("s", "g000", WINDOW)
        look = asyncio.run(plant.transfer().refresh(whole, WINDOW, POINTS, lease, deep=deep, mend=False))
    assert look.differing == {"a"}


@pytest.mark.parametrize("others", [0, 6])
def test_many_events_of_one_stamp_are_cut_out_and_not_halved_down_to(tmp_path: Path, others: int) -> None:
    """Halves of an hour come down to a tick in 35 questions, and each of them reads what is too much once more."""
    burst = 23 * MINUTE_NS + 700
    rows = [("a", burst, float(number)) for number in range(40)]
    plant = Plant(tmp_path, rows + [("b", minute * MINUTE_NS, 1.0) for minute in range(others)])
    result = plant.backfill()
    assert list(result.unproved) == ["a"]
    assert "cannot be cut any further" in result.unproved["a"]
    assert {row["point"] for row in plant.stored()} == ({"b"} if others else set())
    assert plant.ledger.coverage("s", "g000") == [WINDOW]
    assert plant.source.pulls < 25


def test_a_shrunken_window_is_quarantined_and_nothing_deleted(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [("a", minute * MINUTE_NS, 1.0) for minute in range(8)])
    assert_proved(plant)
    held = plant.stored()
    plant.source.events = samples.empty()
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    result = plant.backfill()
    assert "quarantined" in result.problems[0]
    assert plant.stored() == held
    assert plant.ledger.coverage("s", "g000") != [WINDOW]


def test_a_point_that_shrank_keeps_what_it_had_and_holds_nobody_back(tmp_path: Path) -> None:
    a, b, edited = (
        [(point, minute * MINUTE_NS, value) for minute in range(8)]
        for point, value in (("a", 1.0), ("b", 1.0), ("b", 2.0))
    )
    plant = Plant(tmp_path, [*a, *b])
    assert_proved(plant)
    plant.source.events = table_of([*a[:2], *edited])
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    for _ in range(2):  # asked again, it is named again
        result = plant.backfill()
        assert result.problems == []
        assert list(result.unproved) == ["a"]
        assert "ferry restate --accept-loss" in result.unproved["a"]
        assert plant.stored() == table_of([*a, *edited]).to_pylist()
        assert plant.ledger.coverage("s", "g000") == [WINDOW]
    plant.source.events = table_of([*a, *edited])
    assert_proved(plant)


@pytest.mark.parametrize("after", range(1, 25))
def test_a_kill_while_one_point_is_not_believed_loses_nothing(tmp_path: Path, after: int) -> None:
    rows = [(p, minute * MINUTE_NS, 1.0) for minute in range(8) for p in "ab"]
    plant = Plant(tmp_path, rows)
    assert_proved(plant)
    held = plant.stored()
    plant.source.events = table_of([row for row in rows if row[0] == "b"])
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    plant.hook(Killer(after))
    with contextlib.suppress(BaseException):
        plant.backfill()
    plant.ledger.held.clear()
    plant.hook(lambda _: None)
    assert list(plant.backfill().unproved) == ["a"]
    assert plant.stored() == held


@pytest.mark.parametrize("after", range(1, 25))
def test_a_kill_during_a_shrunken_pull_does_not_make_it_believed(tmp_path: Path, after: int) -> None:
    plant = Plant(tmp_path, [("a", minute * MINUTE_NS, 1.0) for minute in range(8)])
    assert_proved(plant)
    held = plant.stored()
    plant.source.events = samples.empty()
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    plant.hook(Killer(after))
    with contextlib.suppress(BaseException):
        plant.backfill()
    plant.ledger.held.clear()
    plant.hook(lambda _: None)
    assert not plant.backfill().proved
    assert plant.stored() == held


def test_a_point_that_is_gone_when_its_window_is_restated_keeps_its_history(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [(identifier, 7, 1.0) for identifier in IDS])
    assert_proved(plant)
    plant.source.gone = {"b"}
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    assert plant.backfill().unproved == {"b": "not found at the source"}
    assert {row["point"] for row in plant.stored()} == set(IDS)
    found = plant.recount()
    assert found["landed_events"] == found["stored_events"] == 3


def test_a_point_that_the_catalogue_has_no_more_keeps_its_history_when_its_window_is_pulled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant(tmp_path, [(identifier, 7, 1.0) for identifier in IDS])
    assert_proved(plant)
    plant.store.rows = {}  # IoTDB is lost altogether
    plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restated")
    monkeypatch.setattr(f"{__name__}.POINTS", [point for point in POINTS if point.id != "b"])
    plant.source.gone = {"b"}
    assert plant.backfill().proved
    assert {row["point"] for row in plant.stored()} == set(IDS)
    landed = {
        point
        for piece in current(plant.ledger.history("s", "g000", WINDOW), WINDOW)
        for point in plant.landing.read(piece.record.slice, WINDOW, piece.record.generation)["point"].to_pylist()
    }
    assert landed == set(IDS)


def test_a_bad_point_holds_nobody_back_and_is_mended_alone(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [(identifier, 7, 1.0) for identifier in IDS])
    plant.source.gone = {"b"}
    result = plant.backfill()
    assert result.unproved == {"b": "not found at the source"}
    assert plant.ledger.coverage("s", "g000") == [WINDOW]
    assert {row["point"] for row in plant.stored()} == {"a", "c"}
    assert plant.backfill().unproved == {"b": "not found at the source"}
    plant.source.gone = set()
    assert_proved(plant)


def test_a_store_that_accepts_and_forgets_is_found_out(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [("a", minute * MINUTE_NS, float(minute)) for minute in range(6)])
    plant.store.forget = 2
    assert_proved(plant)


def test_a_source_that_counts_otherwise_leaves_the_point_unproved(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [("a", 7, 1.0), ("b", 7, 1.0)])
    plant.source.lies = {"a": 1}
    result = plant.backfill()
    assert list(result.unproved) == ["a"]
    assert "the source counts" in result.unproved["a"]


def test_limited_to_some_points_the_others_are_named(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [(identifier, 7, 1.0) for identifier in IDS])
    assert plant.backfill(asked=frozenset({"a"})).proved
    assert {row["point"] for row in plant.stored()} == {"a"}
    assert {each.point for each in plant.ledger.open} == {"b", "c"}
    assert_proved(plant)


def test_a_damaged_landing_is_pulled_again(tmp_path: Path) -> None:
    plant = Plant(tmp_path, [("a", 7, 1.0)])
    plant.hook(Killer(6))
    with pytest.raises(BaseException):  # noqa: B017
        plant.backfill()
    plant.ledger.held.clear()
    for path in tmp_path.rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert_proved(plant)


@pytest.mark.parametrize("few", [20_000, 0], ids=["read back, as there are few events", "counted where that is enough"])
@pytest.mark.parametrize(
    "forged",
    [{"text": "OFF"}, {"code": 7}, {"quality": 0}, {"value": 1e6 + 8}, {"detail": 1}],
    ids=lambda forged: next(iter(forged)),
)
def test_what_is_forged_in_the_store_is_found_by_counting_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: dict, few: int
) -> None:
    monkeypatch.setattr(proving, "_FEW", few)
    rows: list[tuple] = [("a", at, 1e6) for at in range(3)] + [("b", at, ("ON", 1)) for at in range(3)]
    plant = Plant(tmp_path, rows)
    assert_proved(plant)
    point = "b" if {"text", "code"} & forged.keys() else "a"
    key = next(key for key in plant.store.rows if key[1] == point)
    plant.store.rows[key] = plant.store.rows[key] | forged
    found = asyncio.run(recount(plant.transfer(), {"g000": POINTS}, [WINDOW], WINDOW, deep=False))
    assert found.unproved.keys() == {point}
    assert [named for named, _ in found.drift] == [point]
    assert (found.counted, found.deep) == ({"a", "b", "c"} - {point}, set())
