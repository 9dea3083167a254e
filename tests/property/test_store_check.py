"""The store asked alone: whatever happens to it or to the landing, a check finds it without the source."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.ports import SliceId
from pipelines.sync import WHOLE_STORE, CheckResult, StoreChecks
from pipelines.timeline import DAY_NS, MINUTE_NS, Interval
from tests.property.test_transfer import IDS, POINTS, WINDOW, Killed, Killer, Plant, plants

WINDOWS = [WINDOW, Interval(WINDOW.end_ns, DAY_NS)]
REACH = Interval(0, DAY_NS)
SOME = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
harms = st.lists(
    st.tuples(st.sampled_from(["delete", "value", "text", "quality", "add", "move"]), st.integers(0, 99)), max_size=6
)


def no_source(what: str) -> None:
    if what in ("pull", "tally"):
        raise AssertionError("the source was asked")


def checks(plant: Plant) -> StoreChecks:
    plant.ledger.points = POINTS
    return StoreChecks(plant.transfer(), {"g000": POINTS}, WINDOWS, REACH, handover_ns=None, now_ns=lambda: DAY_NS)


def check(plant: Plant, *, deep: bool = False) -> CheckResult:
    return asyncio.run(checks(plant).run(float("inf"), all_deep=deep))


def harm(plant: Plant, kind: str, draw: int) -> None:
    """Somebody else writes into our tables."""
    rows = plant.store.rows
    keys = sorted(rows, key=str)
    if kind == "add":
        time_ns = draw % 60 * MINUTE_NS + 11
        like = next(iter(rows.values()), None)
        if like is not None:
            key = ("s", IDS[draw % 3], time_ns, 0, True)
            stamp = type(like["time"])(time_ns, unit="ns", tz="UTC")
            more = {"point": key[1], "time": stamp, "tie": 0, "value": 1.5, "text": None, "code": None}
            rows[key] = {**like, **more}
        return
    if not keys:
        return
    key = keys[draw % len(keys)]
    row = rows[key]
    if kind in ("delete", "move"):
        del rows[key]
    if kind == "move":
        other = (*key[:2], key[2] + 1, *key[3:])
        rows[other] = {**row, "time": type(row["time"])(key[2] + 1, unit="ns", tz="UTC")}
    if kind == "value" and row["value"] is not None:
        rows[key] = {**row, "value": row["value"] + 1.0}
    if kind == "text" and row["text"] is not None:
        rows[key] = {**row, "text": row["text"] + "!"}
    if kind == "quality":
        rows[key] = {**row, "quality": 0}


@SOME
@given(plants, harms, st.lists(st.integers(1, 60), max_size=2))
def test_what_the_store_lost_or_altered_is_put_back(rows: list[tuple], harmed: list[tuple], kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), rows)
        assert plant.backfill().proved
        before = plant.stored()
        for each in harmed:
            harm(plant, *each)
        altered = plant.stored() != before
        plant.source.hook = no_source
        for after in kills:
            plant.store.hook = plant.ledger.hook = Killer(after)
            with contextlib.suppress(Killed):
                check(plant)
            plant.ledger.held.clear()
        plant.store.hook = plant.ledger.hook = lambda _: None
        asyncio.run(checks(plant).restore({"g000": [WINDOW]}))  # what a kill left uncovered
        found = check(plant)
        assert plant.stored() == before
        assert plant.ledger.coverage("s", "g000") == [WINDOW]
        assert not plant.ledger.open
        assert not found.problems
        if altered and not kills:
            proved = plant.ledger.proof_rows[-1][1].to_pylist()
            assert {row["proof"] for row in proved} <= {"counted", "deep"}


@SOME
@given(plants, st.booleans())
def test_another_store_is_filled_from_the_landing(rows: list[tuple], older: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), rows[: len(rows) // 2])
        assert plant.backfill().proved
        old = dict(plant.store.rows)
        plant.source.events = Plant(Path(folder), rows).source.events
        plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "restate")
        plant.ledger.accepted.append(SliceId("s", "g000", WINDOW))
        assert plant.backfill().proved
        before = plant.stored()
        plant.source.hook = no_source
        plant.store.rows = old if older else {}
        plant.ledger.withdraw(SliceId("s", "g000", WINDOW), "rebuild")
        asyncio.run(checks(plant).restore({"g000": [WINDOW]}))
        assert plant.stored() == before
        assert plant.ledger.coverage("s", "g000") == [WINDOW]


@SOME
@given(plants.filter(bool), st.integers(0, 10**6), st.booleans())
def test_a_damaged_landing_is_landed_anew_or_named(rows: list[tuple], place: int, also_store: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), rows)
        assert plant.backfill().proved
        plant.source.hook = no_source
        files = sorted(Path(folder).rglob("*.parquet"))
        file = files[place % len(files)]
        content = bytearray(file.read_bytes())
        content[place % len(content)] ^= 1 << place % 8
        file.write_bytes(content)
        if also_store:
            plant.store.rows.pop(sorted(plant.store.rows, key=str)[place % len(plant.store.rows)])
        found = check(plant)
        covered = plant.ledger.coverage("s", "g000") == [WINDOW]
        assert covered or found.problems
        assert covered or also_store, "the store had what was proved, and was not believed"
        if covered:
            assert not check(plant, deep=True).problems


@SOME
@given(plants, st.sampled_from(["unknown", "before", "after"]))
def test_what_was_never_moved_is_named_until_it_is_gone(rows: list[tuple], where: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder), [*rows, ("a", 7, 1.0)])
        assert plant.backfill().proved
        like = next(iter(plant.store.rows.values()))
        point, time_ns = {"unknown": ("x", 5), "before": ("a", -5), "after": ("a", WINDOW.end_ns)}[where]
        stamp = type(like["time"])(time_ns, unit="ns", tz="UTC")
        key = ("s", point, time_ns, 0, True)
        plant.store.rows[key] = {**like, "point": point, "time": stamp, "value": 1.0, "text": None, "code": None}
        found = check(plant)
        assert set(found.strangers) == {point}
        assert found.problems
        looks = plant.ledger.looks("s", WHOLE_STORE, "store")
        assert [look.differing for look in looks if not look.group] == [1]
        del plant.store.rows[key]
        assert not check(plant).problems
