"""The oracle and the scheduler themselves: they would find what they are to find, and play a seed again."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.plant import load_plant
from pipelines.samples import SCHEMA
from pipelines.timeline import HOUR_NS, Interval, iso, parse
from resources.embedded import EmbeddedIoTDB, IoTDBAddress
from tests.contract.stand_in import running
from tests.faults import kinds
from tests.faults.ground import Plant, Servers
from tests.faults.middleman import DEEP, MARK, Middleman, between
from tests.faults.oracle import Claims, Truth, Version, bits, exported, held_of, inside
from tests.faults.scheduler import program

START = parse("2026-01-06T03:00:00Z")
SPAN = Interval(START, START + HOUR_NS)
POINT = "UNIT1.TEMP.TI002.PV"


def test_numbers_are_compared_by_their_bits() -> None:
    assert bits(float("nan")) == bits(-float("nan"))
    assert bits(0.0) != bits(-0.0)
    rows = [{"point": "p", "time": 5, "tie": tie, "value": 1.0, "quality": 192, "detail": 0} for tie in (0, 1)]
    held = held_of(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert held["p"].total() == 2, "ties that are equal are two events"
    assert inside(held, "p", [Interval(0, 5)]) == Counter()


def test_an_export_that_holds_an_event_twice_is_found(tmp_path: Path) -> None:
    row = {"point": "p", "time_ns": 5, "tie": 0, "value": 1.0, "text": None, "code": None, "quality": 192, "detail": 0}
    for group in ("g000", "g001"):
        folder = tmp_path / "samples" / "date=2026-01-06"
        folder.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([("point", pa.string()), ("time_ns", pa.int64()), ("tie", pa.int32()),
                            *((name, SCHEMA.field(name).type) for name in SCHEMA.names[3:])])  # fmt: skip
        pq.write_table(pa.Table.from_pylist([row], schema=schema), folder / f"pi1-{group}.parquet")
    held, twice = exported(tmp_path)
    assert held["p"].total() == 2
    assert twice == [("p", 5, 0)]


def test_the_states_of_the_source_between_two_instants() -> None:
    truth = Truth(
        "", (SPAN,), [Version(since_ns, {"p": Counter(), str(since_ns): Counter()}) for since_ns in (0, 10, 20)]
    )
    assert ["10" in each for each in truth.between(12, 15)] == [True]
    assert len(truth.between(5, 10)) == 2
    assert len(truth.between(0, 99)) == 3


def test_a_claim_is_coverage_less_exceptions() -> None:
    span = Interval(0, 100)
    found = Claims({"p", "q"}, {"g000": [Interval(0, 60)]}, {("g000", "p"): [Interval(10, 20)]}, ())
    assert found.proved("p", 1, span) == [("g000", Interval(0, 10)), ("g000", Interval(20, 60))]
    assert found.proved("nobody", 1, span) == []
    assert found.proved("q", 1, Interval(50, 100)) == [("g000", Interval(50, 60))]


def test_a_seed_has_one_program_and_every_kind_is_played_by_some_seed() -> None:
    known = list(kinds.names())
    assert program(7, known) == program(7, known[::-1])
    played = {name for seed in range(200) for step in program(seed, known)[1] for name in (*step.before, step.during)}
    assert played - {""} == set(known)


def test_the_plant_files_of_the_faults_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_FAULTS_DSN", "postgresql://127.0.0.1/nothing")
    monkeypatch.setenv("FERRY_FAULTS_IOTDB", "nothing")
    address = IoTDBAddress("127.0.0.1", 1, "root", "nothing")
    servers = Servers(tmp_path, EmbeddedIoTDB(tmp_path), address, None, None)  # type: ignore[arg-type]
    config = {"points": ["*"], "exclude": [], "groups": 2, "window": "day", "believe_shrink": 0.01,
              "start": iso(START), "end": f"end = {iso(SPAN.end_ns)}"}  # fmt: skip
    url = "http://127.0.0.1:1/piwebapi"
    plant = Plant(tmp_path, "f1", servers, "", Middleman(url), url, Truth("", (SPAN,)), SPAN, False, config)
    for seed in range(4):
        for name in sorted(kinds.BEFORE):
            if name.startswith("config_"):
                kinds.BEFORE[name](plant, random.Random(seed))
                assert load_plant(plant.file).source[0].point_groups == plant.groups


@pytest.fixture(scope="module")
def stand_in():
    options = ("--points", "26", "--start", "2026-01-06T00:00:00Z", "--hours", "24", "--rate-limit", "0")
    with running(*options) as origin, between(origin) as pair:
        yield pair


def test_the_truth_is_taken_down_once_a_change(stand_in: tuple[Middleman, str]) -> None:
    man, _ = stand_in
    truth = Truth(man.upstream, (SPAN,))
    truth.look(time.time_ns())
    truth.look(time.time_ns())
    assert len(truth.versions) == 1
    edit = {"op": "add", "point": POINT, "time": iso(START + 1000), "value": 3.5}
    httpx.post(f"{man.upstream}/_plant/edits", json=[edit]).raise_for_status()
    truth.look(time.time_ns())
    assert truth.now[POINT] - truth.versions[0].held[POINT] == Counter(
        {(START + 1000, bits(3.5), None, None, 192, 0): 1}
    )
    assert truth.now["UNIT1.SILENT.XI013.PV"] == Counter()


def test_the_middleman_says_what_the_stand_in_does_not(stand_in: tuple[Middleman, str]) -> None:
    man, url = stand_in
    server = httpx.get(f"{url}/dataservers").json()["Items"][0]
    listed = f"{url}/dataservers/{server['WebId']}/points"
    items = httpx.get(listed).json()["Items"]
    [stream] = [each["WebId"] for each in items if each["Name"] == POINT]
    asked = f"startTime={iso(SPAN.start_ns)}&endTime={iso(SPAN.end_ns)}"
    count = f"{url}/streams/{stream}/summary?{asked}&calculationBasis=EventWeighted&summaryType=Count"

    def counted() -> float:
        return float(httpx.get(count).json()["Items"][0]["Value"]["Value"])

    true = counted()
    man.lie, man.hidden, man.poison, man.guid = 3, {POINT}, DEEP, (server["Id"].encode(), b"another")
    assert counted() == true + 3
    assert POINT not in {each["Name"] for each in httpx.get(listed).json()["Items"]}
    assert httpx.get(f"{url}/dataservers").json()["Items"][0]["Id"] == "another"
    edit = {"op": "add", "point": POINT, "time": iso(START + 2000), "value": MARK}
    httpx.post(f"{man.upstream}/_plant/edits", json=[edit]).raise_for_status()
    assert DEEP in httpx.get(f"{url}/streams/{stream}/recorded?{asked}").content
    held: list[str] = []
    man.calm()
    man.hold, man.hold_after = lambda: held.append("once"), 1
    for _ in range(3):
        httpx.get(f"{url}/streams/{stream}/recorded?{asked}")
    assert held == ["once"]
    assert counted() == true + 1
