"""The plant behind the PI stand-in: determinism, the promised mix, and truth."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from urllib.parse import quote

import numpy as np
import pytest

from pipelines.samples import SCHEMA, tally
from simulators.pi_web_api import Plant, Settings, truth
from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.editing import edited
from simulators.pi_web_api.edits import EditError
from simulators.pi_web_api.events import DAY_NS, HOUR_NS, TICK_NS, Flag, Shape
from simulators.pi_web_api.specs import PI_TYPES, SPECIAL_COUNT

START = parse_iso("2026-01-01T00:00:00Z")
DAY = START // DAY_NS


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant(Settings(points=60, hours=48))


def test_two_thousand_points_hold_the_promised_number_of_events() -> None:
    plant = Plant(Settings(points=2_000, hours=24))
    counts = [plant.count(number, START, START + DAY_NS - 1) for number in plant.catalogue.numbers()]
    assert 3_000_000 < sum(counts) < 3_600_000
    assert 20 <= sum(count > 50_000 for count in counts) <= 40
    assert sum(0 < count < 20 for count in counts) > 300
    assert sum(count == 0 for count in counts) >= 30


def test_every_pi_type_and_shape_occurs(plant: Plant) -> None:
    assert {plant.catalogue.spec(number).pi_type for number in range(1, SPECIAL_COUNT + 1)} == set(PI_TYPES)
    shapes: Counter[int] = Counter()
    flags = 0
    for number in plant.catalogue.numbers():
        events = plant.events(number, DAY)
        shapes.update(events.shapes.tolist())
        flags |= int(np.bitwise_or.reduce(events.flags)) if len(events) else 0
    assert set(shapes) == {*Shape} - {Shape.BOOL}
    assert flags == Flag.BAD | Flag.QUESTIONABLE | Flag.SUBSTITUTED | Flag.ANNOTATED


def test_times_are_ticks_in_order_and_inside_the_day(plant: Plant) -> None:
    fractions = {"whole": 0, "seven": 0}
    for number in plant.catalogue.numbers():
        for day in (DAY, DAY + 1):
            times = plant.events(number, day).times
            assert not np.any(np.diff(times) < 0)
            assert not np.any(times % TICK_NS)
            assert not len(times) or (times[0] >= day * DAY_NS and times[-1] < (day + 1) * DAY_NS)
            fractions["whole"] += int(np.count_nonzero(times % 1_000_000_000 == 0))
            fractions["seven"] += int(np.count_nonzero(times % 1_000))
    assert min(fractions.values()) > 1_000


def test_history_ends_where_the_settings_say_and_only_future_points_go_on(plant: Plant) -> None:
    for number in plant.catalogue.numbers():
        spec = plant.catalogue.spec(number)
        assert plant.count(number, START - 40 * DAY_NS, START - 1) == 0
        beyond = plant.count(number, START + 48 * HOUR_NS, START + 100 * DAY_NS)
        assert (beyond > 0) == spec.future


def test_odd_points_show_their_oddity(plant: Plant) -> None:
    def events(name: str) -> object:
        return plant.events(plant.catalogue.find(name).number, DAY)

    ties = plant.events(12, DAY)
    assert max(Counter(ties.times.tolist()).values()) >= 5_000
    edges = set(plant.events(23, DAY).times.tolist())
    assert {START, START + 5 * HOUR_NS, START + DAY_NS - TICK_NS} <= edges
    big = plant.events(16, DAY)
    assert any(abs(code) > 2**53 for code in big.codes.tolist())
    assert any(np.signbit(number) and number == 0 for number in big.numbers.tolist())
    assert np.isnan(big.numbers).any() and np.isinf(big.numbers).any()
    created = plant.events(3, DAY)
    assert (created.shapes[0], created.codes[0]) == (Shape.SYSTEM, 253)
    assert {251, 252} <= set(plant.events(3, DAY).codes.tolist())
    assert len(plant.events(13, DAY)) == 0
    assert "An error occurred" in plant.events(24, DAY).names
    assert any(not name.isascii() for name in (plant.catalogue.spec(n).name for n in range(1, 27)))
    assert {0, 32_767} <= set(plant.events(6, DAY).codes.tolist())
    assert events("unit1.ties.ti012.pv") is ties


def test_nonfinite_values_can_be_left_out() -> None:
    big = Plant(Settings(points=20, hours=24, nonfinite="none")).events(16, DAY)
    assert np.isfinite(big.numbers).all()


def test_truth_is_samples_and_half_open(plant: Plant) -> None:
    whole = truth(plant, None, START, START + 48 * HOUR_NS)
    assert whole.schema.equals(SCHEMA)
    cut = START + 24 * HOUR_NS
    parts = [len(truth(plant, None, START, cut)), len(truth(plant, None, cut, START + 48 * HOUR_NS))]
    assert sum(parts) == len(whole) and min(parts) > 0
    valued = whole["value"].is_valid().to_numpy()
    assert (valued == whole["text"].is_null().to_numpy()).all()
    assert (valued == whole["code"].is_null().to_numpy()).all()
    names = set(whole["point"].to_pylist())
    assert "50%25%20load%20%2B%203%20%7C%20A%231%20%26%20B.20" in names


def test_the_same_seed_gives_the_same_plant_in_another_process() -> None:
    script = (
        "from simulators.pi_web_api import *; from pipelines.samples import tally; p = Plant(Settings(points=30));"
        f"print(sum(tally(truth(p, None, {START}, {START + DAY_NS}))['digest'].to_pylist()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    def digest(seed: int) -> int:
        return sum(
            tally(truth(Plant(Settings(points=30, seed=seed)), None, START, START + DAY_NS))["digest"].to_pylist()
        )

    assert int(done.stdout) == digest(1) != digest(2)


def test_a_bounded_memory_changes_nothing(plant: Plant) -> None:
    small = Plant(Settings(points=60, hours=48, columns_bytes=50_000))
    tables = [truth(each, None, START, START + 48 * HOUR_NS) for each in (small, plant)]
    assert tally(tables[0]).equals(tally(tables[1]))


def test_live_plants_hold_nothing_later_than_their_clock() -> None:
    plant = Plant(Settings(points=20, hours=72, live=True, clock_ns=START + 30 * HOUR_NS))
    assert plant.window(2, START, START + 72 * HOUR_NS).times[-1] <= plant.clock.now_ns()
    forecast = plant.catalogue.find("UNIT1.FORECAST.FC014.PV").number
    assert plant.window(forecast, START, START + 72 * HOUR_NS).times[-1] > START + 71 * HOUR_NS
    before = plant.count(2, START, START + 72 * HOUR_NS)
    plant.clock.advance(10 * HOUR_NS)
    assert plant.count(2, START, START + 72 * HOUR_NS) > before


class TestEdits:
    name = "UNIT1.TEMP.TI002.PV"

    @pytest.fixture
    def fresh(self) -> Plant:
        return Plant(Settings(points=40, hours=24))

    def rows(self, plant: Plant) -> list[tuple[int, float]]:
        table = truth(plant, [self.name], START, START + DAY_NS)
        return list(zip(table["time"].cast("int64").to_pylist(), table["value"].to_pylist(), strict=True))

    def test_add_change_and_remove(self, fresh: Plant) -> None:
        before = self.rows(fresh)
        second, third = iso(before[1][0]), iso(before[2][0])
        told = edited(
            fresh,
            [
                {"point": self.name, "op": "add", "time": second, "value": 7.5, "questionable": True},
                {"point": self.name, "op": "change", "time": third, "value": 1},
                {"point": self.name, "op": "remove", "time": iso(before[4][0])},
            ],
        )
        after = self.rows(fresh)
        assert after[:4] == [before[0], before[1], (before[1][0], 7.5), (before[2][0], 1.0)]
        assert len(after) == len(before) and before[4] not in after
        assert [(one["op"], one["time"], one["tie"]) for one in told[:2]] == [("add", second, 1), ("change", third, 0)]
        assert np.float32(told[1]["before"]["Value"]) == before[2][1] and told[1]["after"]["Value"] == 1

    def test_an_edit_without_its_event_is_refused_and_nothing_is_applied(self, fresh: Plant) -> None:
        before = self.rows(fresh)
        with pytest.raises(EditError):
            edited(
                fresh,
                [
                    {"point": self.name, "op": "remove", "time": iso(before[0][0])},
                    {"point": self.name, "op": "remove", "time": "2026-01-01T00:00:00.0000001Z"},
                ],
            )
        assert self.rows(fresh) == before

    def test_a_generated_set_says_what_it_did(self, fresh: Plant) -> None:
        window = {"start": iso(START), "end": iso(START + DAY_NS)}
        before = tally(truth(fresh, None, START, START + DAY_NS)).to_pylist()
        told = edited(fresh, {"seed": 3, "count": 40, **window})
        kinds = Counter(one["kind"] for one in told)
        assert kinds["add"] == kinds["change"] == kinds["remove"] == 10 and kinds["swap"] == 20
        after = {row["point"]: row for row in tally(truth(fresh, None, START, START + DAY_NS)).to_pylist()}
        changed = {row["point"] for row in before if row != after.get(row["point"])}
        assert changed == {quote(one["point"], safe="") for one in told}
        gained = sum(row["events"] for row in after.values()) - sum(row["events"] for row in before)
        assert gained == 0  # ten more, ten fewer
        again = edited(Plant(Settings(points=40, hours=24)), {"seed": 3, "count": 40, **window})
        assert again == told

    def test_a_swap_keeps_count_and_sum(self, fresh: Plant) -> None:
        window = {"start": iso(START), "end": iso(START + DAY_NS), "points": [self.name], "kinds": ["swap"]}
        before = self.rows(fresh)
        edited(fresh, {"seed": 1, "count": 3, **window})
        after = self.rows(fresh)
        assert after != before
        assert sorted(value for _, value in after) == sorted(value for _, value in before)

    def test_hidden_windows_are_empty_but_not_forgotten(self, fresh: Plant) -> None:
        before = self.rows(fresh)
        fresh.hide(START + HOUR_NS, START + 2 * HOUR_NS)
        times = [time for time, _ in self.rows(fresh)]
        assert len(times) < len(before)
        assert not any(START + HOUR_NS <= time < START + 2 * HOUR_NS for time in times)
        assert len(truth(fresh, [self.name], START, START + DAY_NS, hidden=True)) == len(before)
        fresh.unhide()
        assert self.rows(fresh) == before


def test_many_edits_of_one_point_do_not_pile_up_its_texts() -> None:
    """Each edit is made of the events as they stand; their texts once doubled with every one."""
    plant = Plant(Settings(points=300, hours=24))
    number = next(n for n in plant.catalogue.numbers() if plant.catalogue.spec(n).pi_type == "Digital")
    name = plant.catalogue.spec(number).name
    start_ns = plant.settings.start_ns
    for turn in range(40):
        span = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
        edited(plant, {"seed": turn, "count": 1, "kinds": ["add"], "points": [name], **span})
    assert len(plant.window(number, start_ns, start_ns + DAY_NS).names) < 50
