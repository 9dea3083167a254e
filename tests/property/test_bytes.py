"""Cut by bytes: whatever texts a window holds, no slice, read or row group takes more of them at once than it may."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.landing import Landing
from pipelines.planning import Density
from pipelines.points import Point
from pipelines.ports import Skip, SliceId
from pipelines.samples import EVENT_TEXT_MAX, besides_longest, text_bytes
from pipelines.sync import StoreChecks
from pipelines.timeline import MINUTE_NS, Interval
from pipelines.transfer import Bounds, PairResult, RectangleRun, SliceResult, Transfer, proving, recount
from pipelines.transfer.reading_back import read_back
from tests.memory import MemoryLedger, MemorySource, MemoryStore
from tests.property.test_transfer import table_of as events_of

WINDOW = Interval(0, 60 * MINUTE_NS)
IDS = ["a", "b", "c"]
POINTS = [Point(identifier, identifier, "string") for identifier in IDS]
BOUNDS = Bounds(slice_events=1_000, slice_bytes=1_000)
MOST = BOUNDS.most_bytes(WINDOW)

lengths = st.one_of(st.integers(0, 50), st.integers(600, 900), st.sampled_from([1_900, 5_000]))
event = st.tuples(st.sampled_from(IDS), st.integers(0, 59), lengths)


def table_of(rows: list[tuple[str, int, int]]) -> pa.Table:
    """Texts of the lengths, at the minutes."""
    return events_of([(point, minute * MINUTE_NS, ("x" * length, -1)) for point, minute, length in rows])


class Plant:
    """One source in memory, and the run that moves it."""

    def __init__(self, folder: Path, rows: list[tuple[str, int, int]]) -> None:
        self.source = MemorySource("s", POINTS, table_of(rows))
        self.store, self.ledger, self.landing = MemoryStore(), MemoryLedger(), Landing(folder)
        self.slices: list[SliceResult] = []

    def transfer(self) -> Transfer:
        return Transfer(self.source, self.store, self.ledger, self.landing, BOUNDS)

    def backfill(self) -> PairResult:
        async def work() -> PairResult:
            run = RectangleRun(
                self.transfer(), {"g000": POINTS}, slices_at_once=2, within=WINDOW, density=Density(),
                on_slice=self.slices.append,
            )  # fmt: skip
            return next(iter([result async for result in run.run([("g000", WINDOW)])]))

        return asyncio.run(work())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(event, max_size=40))
def test_no_slice_takes_more_than_its_bytes_and_its_longest_event(rows: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), rows)
        result = plant.backfill()
        for each in plant.slices:
            landed = [m for m in plant.landing.generations("s") if m.slice_id == each.slice]
            for manifest in landed:
                held = plant.landing.read(manifest.slice_id, WINDOW, manifest.generation)
                assert besides_longest(held) <= BOUNDS.most_bytes(each.slice.span)
        assert not result.problems
        together: dict[int, int] = {}
        for _, minute, length in rows:
            together[minute] = together.get(minute, 0) + length
        if max(together.values(), default=0) <= 2 * MOST:
            assert result.proved, result.unproved
            assert sum(each.events for each in plant.slices) == len(rows)


def test_what_cannot_be_cut_by_time_costs_only_the_points_that_are_too_much() -> None:
    with tempfile.TemporaryDirectory() as folder:
        heavy = [("a", 7, 1_500)] * 5
        plant = Plant(Path(folder), [*heavy, ("b", 7, 10), ("c", 8, 10)])
        result = plant.backfill()
        assert not result.problems
        assert result.unproved.keys() == {"a"}
        assert "slice_bytes" in result.unproved["a"]
        assert {row["point"] for row in plant.store.rows.values()} == {"b", "c"}


def test_an_event_that_no_store_takes_is_its_points_trouble() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), [("a", 7, EVENT_TEXT_MAX + 1), ("b", 7, 10)])
        result = plant.backfill()
        assert not result.problems
        assert result.unproved.keys() == {"a"}
        assert "1970-01-01T00:07:00Z" in result.unproved["a"]


class Unreadable(MemoryStore):
    """Gives the points back one by one, and of some nothing; neither does it count these."""

    def __init__(self, bad: set[str]) -> None:
        super().__init__()
        self.bad = bad

    def read(self, source: str, points: Sequence[str], span: Interval) -> Iterator[pa.Table]:
        for point in points:
            self._try(point)
            yield from super().read(source, [point], span)

    def tally(self, source: str, points: Sequence[str], span: Interval) -> pa.Table:
        for point in points:
            self._try(point)
        return super().tally(source, points, span)

    def _try(self, point: str) -> None:
        if point in self.bad:
            raise Skip(point, f"{point} cannot be had")


def unreadable(folder: str, bad: set[str]) -> Plant:
    plant = Plant(Path(folder), [(point, minute, 10) for point in IDS for minute in range(3)])
    plant.store = Unreadable(bad)
    return plant


@pytest.mark.parametrize("few", [0, 20_000], ids=["counted", "deep"])
@pytest.mark.parametrize("bad", [{"a"}, {"b"}, {"a", "c"}, {"a", "b", "c"}])
def test_a_point_that_the_store_cannot_give_back_holds_no_other_up(
    bad: set[str], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_FEW", few)
    named = {point: f"{point} cannot be had" for point in bad}
    with tempfile.TemporaryDirectory() as folder:
        plant = unreadable(folder, bad)
        result = plant.backfill()
        assert not result.problems
        assert result.unproved == named
        held: list[pa.Table] = []
        assert read_back(plant.store, "s", IDS, WINDOW, held.append) == named
        rows = [row for each in held for row in each["point"].to_pylist()]
        assert sorted(set(rows)) == sorted(set(IDS) - bad)


@pytest.mark.parametrize("deep", [True, False])
def test_a_point_that_cannot_be_given_back_any_more_is_found_and_named(deep: bool) -> None:
    """By a recount, and by a check of the store, which withdraws what was proved of it and of nobody else."""
    with tempfile.TemporaryDirectory() as folder:
        plant = unreadable(folder, set())
        assert plant.backfill().proved
        plant.store.bad.add("b")
        counts = asyncio.run(recount(plant.transfer(), {"g000": POINTS}, [WINDOW], WINDOW, deep=deep))
        assert counts.unproved == {"b": "b cannot be had"}
        assert not counts.drift
        checks = StoreChecks(
            plant.transfer(), {"g000": POINTS}, [WINDOW], WINDOW, handover_ns=None, now_ns=lambda: WINDOW.end_ns
        )
        plant.ledger.points = POINTS
        for _ in range(2):
            asyncio.run(checks.run(float("inf"), all_deep=deep))
            excepted = {each.point: each.reason for each in plant.ledger.exclusions("s", "g000", WINDOW)}
            assert excepted == {"b": "b cannot be had"}


@settings(max_examples=20, deadline=None)
@given(st.lists(event, max_size=30))
def test_row_groups_of_the_landing_are_bounded_in_bytes(rows: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        landing, slice_id = Landing(Path(folder), group_bytes=1_000), SliceId("s", "g000", WINDOW)
        events = table_of(rows)
        manifest = landing.land(slice_id, WINDOW, events, IDS, {})
        assert landing.read(slice_id, WINDOW, manifest.generation).equals(events)
        assert manifest.text_bytes == text_bytes(events)
        file = pq.ParquetFile(landing.path(slice_id, WINDOW, manifest.generation))
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
        assert all(besides_longest(group) <= 1_000 for group in groups)
