"""The plant behind the Historian stand-in: determinism, the promised mix, oddities, and truth."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from pipelines.samples import SCHEMA, tally, times_ns
from simulators.pi_web_api.clock import parse_iso
from simulators.wonderware import Plant, Settings, truth
from simulators.wonderware.editing import edited
from simulators.wonderware.edits import EditError
from simulators.wonderware.events import DAY_NS, HOUR_NS, Events, Version, blank
from simulators.wonderware.specs import NAME_CHARACTERS, SPECIAL_COUNT, default_spec
from simulators.wonderware.truth import qualities

START = parse_iso("2026-01-01T00:00:00Z")
DAY = START // DAY_NS
ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant(Settings(points=120, hours=72))


def rows(plant: Plant, name: str, days: int = 3) -> Events:
    return plant.window(plant.catalogue.find(name).number, START, START + days * DAY_NS - 1, Version.BOTH)


def test_two_thousand_tags_hold_about_three_million_events_in_the_promised_mix() -> None:
    plant = Plant(Settings(points=2_000, hours=24))
    counts = [len(plant.events(number, DAY)) for number in plant.catalogue.numbers()]
    assert 3_000_000 < sum(counts) < 3_700_000
    assert 20 <= sum(count > 50_000 for count in counts) <= 40
    assert sum(0 < count < 20 for count in counts) > 300
    assert sum(count == 0 for count in counts) >= 30
    kinds = Counter(plant.catalogue.spec(number).kind for number in plant.catalogue.numbers())
    assert 0.55 < kinds["analog"] / 2_000 < 0.65
    assert 0.2 < kinds["discrete"] / 2_000 < 0.3
    assert 0.1 < kinds["string"] / 2_000 < 0.2


def test_the_same_seed_gives_the_same_plant_in_another_process() -> None:
    script = (
        "from simulators.wonderware import Plant, Settings, truth\n"
        "from pipelines.samples import tally\n"
        f"print(tally(truth(Plant(Settings(points=60, seed=7, hours=30)), {START}, "
        f"{START + 30 * HOUR_NS})).to_pydict())"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    here = truth(Plant(Settings(points=60, seed=7, hours=30)), START, START + 30 * HOUR_NS)
    assert told.stdout.strip() == str(tally(here).to_pydict())
    other = truth(Plant(Settings(points=60, seed=8, hours=30)), START, START + 30 * HOUR_NS)
    assert tally(other) != tally(here)


def test_a_day_is_the_same_however_long_history_is() -> None:
    short, long = Plant(Settings(points=50, hours=48)), Plant(Settings(points=50, hours=480))
    assert truth(short, START, START + DAY_NS).equals(truth(long, START, START + DAY_NS))


def test_stamps_are_milliseconds_but_for_replicated_tags(plant: Plant) -> None:
    for number in plant.catalogue.numbers():
        times = plant.events(number, DAY).times
        assert not np.any(np.diff(times) < 0)
        assert not len(times) or (times[0] >= DAY * DAY_NS and times[-1] < (DAY + 1) * DAY_NS)
        fine = bool(np.any(times % 1_000_000))
        assert fine == (plant.catalogue.spec(number).role == "replica" and len(times) > 0)
        assert not np.any(times % 100)


def test_names_are_awkward_and_differ_in_more_than_case() -> None:
    names = [default_spec(number, 1).name for number in range(1, 2_001)]
    assert len({name.lower() for name in names}) == 2_000
    assert max(map(len, names)) == NAME_CHARACTERS
    together = "".join(names[:SPECIAL_COUNT])
    for mark in (".", "[", "]", "$", " ", "'", '"', ";", "--", "%", "_", "\\", "ж"[:0] + "У", "🚰", "°"):
        assert mark in together, mark
    assert any(name.startswith("Sys") for name in names)


def test_bad_rows_carry_the_quality_details_of_the_facts(plant: Plant) -> None:
    seen: set[int] = set()
    flags = 0
    kept_values = opc_null = uncertain = doubtful = 0
    for number in plant.catalogue.numbers():
        for day in range(3):
            events = plant.events(number, DAY + day)
            seen |= set((events.detail[~events.valid] & 0xFF).tolist())
            flags |= int(np.bitwise_or.reduce(events.detail)) & 0x700 if len(events) else 0
            kept_values += int(np.count_nonzero((events.quality == 1) & events.valid))
            opc_null += int(np.count_nonzero(events.opc < 0))
            uncertain += int(np.count_nonzero((events.opc >= 64) & (events.opc <= 91) & (events.quality == 0)))
            doubtful += int(np.count_nonzero(events.quality == 16))
    assert {24, 249, 10, 1, 0, 64} <= seen
    assert flags == 0x700
    assert min(kept_values, opc_null, uncertain, doubtful) > 0


def test_good_rows_carry_the_quality_details_of_the_facts(plant: Plant) -> None:
    trouble = rows(plant, "UNIT1.TROUBLE.TI007.PV")
    good = (trouble.quality == 0) & trouble.valid
    assert {44, 150, 151, 252, 202, 212, 192} <= set((trouble.detail[good] & 0xFF).tolist())


def test_runs_of_null_change_their_quality_detail_within_the_run(plant: Plant) -> None:
    nulls = rows(plant, "UNIT1.NULLS.TI015.PV")
    both = ~nulls.valid[1:] & ~nulls.valid[:-1]
    pairs = set(zip((nulls.detail[:-1][both] & 0xFF).tolist(), (nulls.detail[1:][both] & 0xFF).tolist(), strict=True))
    assert (249, 24) in pairs


def test_strings_are_empty_null_long_and_beyond_the_basic_plane(plant: Plant) -> None:
    found: set[str] = set()
    nulls = 0
    for number in plant.catalogue.numbers():
        if plant.catalogue.spec(number).kind != "string":
            continue
        for day in range(3):
            events = plant.events(number, DAY + day)
            found |= {events.names[place] for place in events.texts[events.valid].tolist()}
            nulls += int(np.count_nonzero(~events.valid))
    assert "" in found
    assert nulls
    assert any("🏭" in text for text in found)
    assert max(len(text.encode("utf-16-le")) // 2 for text in found) == 4_000


def test_ties_lie_at_midnight_and_some_are_equal(plant: Plant) -> None:
    for name in ("UNIT1.TIES.TI005.PV", "UNIT1.TIES.ID019.TXT", "UNIT1.TIES.XV020.ST"):
        events = rows(plant, name)
        at_midnight = events.take(events.times == START + DAY_NS)
        before = events.take(events.times == START + DAY_NS - 1_000_000)
        assert len(at_midnight) > 1
        assert len(before) > 1
    ties = rows(plant, "UNIT1.TIES.TI005.PV")
    same = (np.diff(ties.times) == 0) & (np.diff(ties.numbers) == 0)
    assert same.any()


def test_edges_have_an_event_at_every_hour(plant: Plant) -> None:
    times = set(rows(plant, "UNIT1.EDGES.TI012.PV", 1).times.tolist())
    assert {START + hour * HOUR_NS for hour in range(24)} <= times


def test_numbers_reach_the_limit_of_whole_doubles_and_no_zero_is_negative(plant: Plant) -> None:
    big = rows(plant, "UNIT1.BIG.QI010.PV")
    assert 2.0**53 in big.numbers.tolist()
    for number in plant.catalogue.numbers():
        numbers = plant.events(number, DAY).numbers
        assert not np.any((numbers == 0) & np.signbit(numbers))


def test_truth_is_ordered_samples_with_ties_from_zero(plant: Plant) -> None:
    table = truth(plant, START, START + 2 * DAY_NS)
    assert table.schema == SCHEMA
    assert pc.max(table["tie"]).as_py() >= 2
    value, text = np.asarray(table["value"].is_valid()), np.asarray(table["text"].is_valid())
    assert (value != text).all()
    times = times_ns(table)
    assert times.min() >= START
    assert times.max() < START + 2 * DAY_NS


def test_truth_has_messages_of_discretes_and_percent_encoded_names(plant: Plant) -> None:
    valve = truth(plant, START, START + DAY_NS, ["UNIT1.VALVE.XV003.ST"])
    pairs = set(zip(valve["code"].to_pylist(), valve["text"].to_pylist(), strict=True))
    assert {(0, "Closed"), (1, "Open")} <= pairs <= {(0, "Closed"), (1, "Open"), (-1, "")}
    bare = truth(plant, START, START + DAY_NS, ["UNIT1.NOMESSAGE.XV034.ST"])
    assert set(bare["text"].to_pylist()) == {""}
    assert {0, 1} <= set(bare["code"].to_pylist())
    assert truth(plant, START, START + DAY_NS, ["Reactor[21].Temp.PV"])["point"][0].as_py() == "Reactor%5B21%5D.Temp.PV"


@pytest.mark.parametrize(
    ("quality", "detail", "opc", "valid", "expected"),
    [
        (0, 192, 192, True, 192),
        (0, 202, 192, True, 216),
        (0, 202 | 0x100, 192, True, 216),
        (0, 202, 217, True, 217),
        (0, 202, None, True, 216),
        (0, 44, None, True, 192),
        (0, 192, 448, True, 192),
        (0, 192, 68, True, 68),
        (16, 192, 192, True, 64),
        (16, 192, 72, True, 72),
        (16, 192, None, True, 64),
        (1, 24, None, False, 24),
        (1, 24, 0, False, 24),
        (1, 10, 0, True, 24),
        (1, 249, 0, False, 0),
        (1, 1, 0, False, 8),
        (1, 64, 192, True, 4),
        (1, 0, 12, False, 12),
        (1, 17, 0, False, 0),
        (0, 192, 0, True, 0),
        (0, 192, 20, True, 20),
        (1, 24 | 0x200, 0, False, 24),
    ],
)
def test_quality_follows_opc_then_detail(
    quality: int, detail: int, opc: int | None, valid: bool, expected: int
) -> None:
    event = blank(np.array([START]))
    event.quality[0], event.detail[0], event.opc[0], event.valid[0] = quality, detail, -1 if opc is None else opc, valid
    assert qualities(event).tolist() == [expected]


def test_edits_show_in_truth_and_keep_the_original() -> None:
    plant = Plant(Settings(points=60, hours=24))
    before = truth(plant, START, START + DAY_NS)
    told = edited(plant, {"seed": 3, "count": 40, "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"})
    kinds = Counter(record["kind"] for record in told)
    assert set(kinds) == {"add", "change", "swap", "remove"}
    after = truth(plant, START, START + DAY_NS)
    assert len(after) == len(before) + kinds["add"] - kinds["remove"]
    changed = next(record for record in told if record["kind"] == "change")
    number = plant.catalogue.find(changed["point"]).number
    at = parse_iso(changed["time"])
    original = plant.window(number, at, at, Version.ORIGINAL)
    latest = plant.window(number, at, at, Version.LATEST)
    assert len(original) == len(latest) == 1
    assert latest.detail.tolist() == [202]
    assert changed["before"]["detail"] == original.detail[0]


def test_an_edit_that_finds_no_row_changes_nothing() -> None:
    plant = Plant(Settings(points=20, hours=24))
    before = truth(plant, START, START + DAY_NS)
    good = {"point": "UNIT1.TEMP.TI002.PV", "op": "add", "time": "2026-01-01T03:00:00.0005Z", "value": 5}
    bad = {"point": "UNIT1.SILENT.XI006.PV", "op": "remove", "time": "2026-01-01T03:00:00Z"}
    with pytest.raises(EditError):
        edited(plant, {"edits": [good, bad]})
    assert truth(plant, START, START + DAY_NS).equals(before)
    edited(plant, {"edits": [good]})
    assert len(truth(plant, START, START + DAY_NS)) == len(before) + 1


def test_hidden_windows_are_empty_until_unhidden() -> None:
    plant = Plant(Settings(points=20, hours=24))
    before = truth(plant, START, START + DAY_NS)
    plant.hide(START + HOUR_NS, START + 2 * HOUR_NS)
    times = times_ns(truth(plant, START, START + DAY_NS))
    assert not ((times >= START + HOUR_NS) & (times < START + 2 * HOUR_NS)).any()
    assert truth(plant, START, START + DAY_NS, hidden=True).equals(before)
    plant.unhide()
    assert truth(plant, START, START + DAY_NS).equals(before)


def test_a_renamed_tag_keeps_its_id_and_history() -> None:
    plant = Plant(Settings(points=20, hours=24))
    before = truth(plant, START, START + DAY_NS)
    plant.rename("UNIT1.TEMP.TI002.PV", "unit1.temp.moved")
    assert truth(plant, START, START + DAY_NS).equals(before)
    with pytest.raises(LookupError):
        plant.catalogue.find("UNIT1.TEMP.TI002.PV")
    with pytest.raises(ValueError, match="already"):
        plant.rename("unit1.temp.moved", "UNIT1.flow.FI001.PV")
