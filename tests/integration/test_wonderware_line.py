"""A Historian's history on the whole line: proved to the last row, through lost connections, deadlocks and logins that
end in the middle, and beside a PI server in one plant."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pymssql
import pytest

from assets_defs.line import Line, open_line
from cli.main import run
from pipelines import samples
from pipelines.plant import load_plant
from pipelines.ports import SliceId, Stop
from pipelines.timeline import Interval, parse
from pipelines.transfer import PairResult
from tests.contract.stand_in import running
from tests.plants import SOURCE, Historian

FERRY = str(Path(sys.executable).with_name("ferry"))
DAYS = Interval(parse("2026-01-01"), parse("2026-01-03"))


@pytest.fixture
def historian() -> Iterator[Historian]:
    with running("--points", "60", "--hours", "48", "--zone", "Europe/Berlin", kind="wonderware") as address:
        yield Historian(address)


def wonderware(historian: Historian, more: str = "end = 2026-01-03T00:00:00Z\ntls = false") -> str:
    return SOURCE.format(name="wonderware1", kind="wonderware", place="address", where=historian.address, more=more)


@pytest.fixture
def line(write_plant: Any, historian: Historian) -> Iterator[Line]:
    with open_line(load_plant(write_plant(wonderware(historian)))) as opened:
        opened.discover(opened.plant.source[0])
        yield opened


def backfill(line: Line) -> list[PairResult]:
    settings = line.plant.source[0]
    return line.run_pairs(settings, [(g, w) for w in line.windows(settings, DAYS) for g in line.groups(settings)])


def restate(line: Line, *, accept: bool = False) -> None:
    for group in line.groups(line.plant.source[0]):
        if accept:
            line.ledger.accept_loss("wonderware1", group, DAYS, "a test")
        line.ledger.withdraw(SliceId("wonderware1", group, DAYS), "restated")


def stored(line: Line, source: str = "wonderware1") -> pa.Table:
    ids = sorted(point.id for point in line.ledger.known_points(source))
    return samples.ordered(pa.concat_tables(list(line.store.read(source, ids, DAYS))).unify_dictionaries())


def assert_stored(line: Line, expected: pa.Table) -> None:
    columns = ["point", "events", "numbers", "good", "digest"]
    assert samples.tally(stored(line)).select(columns).equals(samples.tally(expected).select(columns))


def assert_proved(results: list[PairResult]) -> None:
    assert [result.problems for result in results if result.problems] == []
    assert {point: why for result in results for point, why in result.unproved.items()} == {}


def test_every_row_of_every_kind_is_stored_and_proved(line: Line, historian: Historian) -> None:
    assert_proved(backfill(line))
    expected = historian.truth()
    assert_stored(line, expected)
    qualities = set(expected["quality"].to_pylist())
    assert any(quality < 64 for quality in qualities) and any(64 <= quality < 192 for quality in qualities)
    assert set(line.ledger.proofs("wonderware1", DAYS)["origin"].to_pylist()) == {"independent"}
    again = backfill(line)
    assert sum(len(result.slices) for result in again) == 0
    for deep in (False, True):
        found = line.verify(line.plant.source[0], DAYS, deep=deep)
        assert not found.drift and not found.unproved
        assert found.source_events == found.landed_events == found.stored_events == len(expected)


def test_lost_connections_deadlocks_and_a_server_that_gets_slower(line: Line, historian: Historian) -> None:
    orders = [
        {"kind": "hang_up", "rows": 700, "times": 3},
        {"kind": "error", "number": 1205, "times": 3, "after": 4},
        {"kind": "error", "number": 7399, "times": 1, "after": 9},
        {"kind": "too_long", "characters": 900, "times": 4},
        {"kind": "slow", "seconds": 0.02, "factor": 1.3, "times": 12},
    ]
    historian.control("faults", faults=orders)
    assert_proved(backfill(line))
    assert historian.control("faults_left")[0]["struck"] >= 20
    assert_stored(line, historian.truth())


def test_a_login_that_ends_in_the_middle(line: Line, historian: Historian) -> None:
    """What was proved stays, one error says what to do, and the next run goes on."""
    historian.control(
        "faults", faults=[{"kind": "hang_up", "rows": 100, "after": 6, "times": -1}, {"kind": "login", "times": 40}]
    )
    with pytest.raises(Stop, match="login as ferry was refused"):
        backfill(line)
    for _ in range(40):
        left = None
        try:
            left = historian.control("faults_clear")
        except pymssql.Error:
            continue
        assert left[0]["faults"] == []
        break
    assert_proved(backfill(line))
    assert_stored(line, historian.truth())


def test_edits_are_named_and_mended(line: Line, historian: Historian) -> None:
    assert_proved(backfill(line))
    told = historian.control("edits", seed=3, start="2026-01-01T00:00:00Z", end="2026-01-03T00:00:00Z", count=30)
    settings = line.plant.source[0]
    names = {point.name: point.id for point in line.ledger.known_points("wonderware1")}
    edited = {(names[each["point"]], each["time"][:10]) for each in told if each["point"] in names}
    assert set(line.verify(settings, DAYS, deep=True).drift) == edited
    restate(line, accept=True)
    assert_proved(backfill(line))
    assert_stored(line, historian.truth())
    clean = line.verify(settings, DAYS, deep=True)
    assert not clean.drift and not clean.unproved


def test_a_historian_that_shows_nothing_is_not_believed(line: Line, historian: Historian) -> None:
    backfill(line)
    before = stored(line)
    historian.control("hide", start="2026-01-01T00:00:00Z", end="2026-01-03T00:00:00Z")
    restate(line)
    assert all("quarantined" in result.problems[0] for result in backfill(line))
    assert stored(line).equals(before)


def test_a_deleted_and_a_renamed_tag(line: Line, historian: Historian) -> None:
    """Neither looks empty; a renamed one keeps its id."""
    first, second = [point for point in line.catalogue(line.plant.source[0]) if point.kind == "number"][-2:]
    historian.control("tags", op="delete", name=first.name)
    historian.control("tags", op="rename", name=second.name, to="New.Name'; --")
    results = backfill(line)
    assert {point for result in results for point in result.unproved} == {first.id, second.id}
    line.discover(line.plant.source[0])
    results = backfill(line)
    assert {point for result in results for point in result.unproved} == {first.id}
    assert second.id in pc.unique(stored(line)["point"].cast(pa.string())).to_pylist()


def test_the_doctor_asks_the_historian(
    write_plant: Any, historian: Historian, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plant(wonderware(historian))
    code = run(["doctor", "--plant", str(path), "--json"])
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert code == 0, found
    assert "tags, as ferry" in found["source wonderware1"]["detail"]
    assert found["source wonderware1: clock"]["well"]
    assert found["SQL Server driver"]["detail"].startswith(("mssql-python", "pymssql; "))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_kinds_of_sources_in_one_plant_at_once(write_plant: Any, historian: Historian) -> None:
    with running("--points", "40", "--hours", "48", "--auth", "basic") as url:
        pi = SOURCE.format(name="pi1", kind="pi_web_api", place="url", where=url, more="end = 2026-01-03T00:00:00Z")
        path = write_plant(wonderware(historian), pi)
        runs = [
            subprocess.Popen(
                [FERRY, "backfill", "--source", source, "--plant", str(path), "--json"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for source in ("wonderware1", "pi1")
        ]  # fmt: skip
        outputs = [run.communicate(timeout=400) for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        found = [json.loads(out) for out, _ in outputs]
        for each in found:
            assert each["source_events"] == each["landed_events"] == each["stored_events"] > 30_000
        assert found[0]["source_events"] == len(historian.truth())
        with open_line(load_plant(path)) as line:
            for settings in line.plant.source:
                deep = line.verify(settings, DAYS, deep=True)
                assert not deep.drift and not deep.unproved
