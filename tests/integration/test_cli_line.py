"""`ferry` as a person runs it, on real servers and a stand-in plant."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from csv import reader
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from cli.main import run
from tests.contract.stand_in import running

FERRY = [sys.executable, "-c", "from cli.main import main; main()"]
DAY = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")
LINES = {"source", "points", "source_events", "landed_events", "stored_events", "rounded_events", "unproved_points",
         "proof", "drift", "annotations"}  # fmt: skip


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


@dataclass
class Plant:
    """A plant file with its stand-in."""

    file: Path
    url: str
    read: Callable[[], tuple[str, str]]

    def ferry(self, *arguments: str) -> Done:
        """In this process: importing everything anew for every command would be most of the test."""
        code = run([*arguments, "--plant", str(self.file)])
        return Done(code, *self.read())

    def apart(self, *arguments: str) -> Done:
        """In a process of its own."""
        command = [*FERRY, *arguments, "--plant", str(self.file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def control(self, path: str, body: object) -> Any:
        answer = httpx.post(f"{self.url.removesuffix('/piwebapi')}/_plant/{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def plant(plant_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Iterator[Plant]:
    with running("--points", "40", "--hours", "24", "--auth", "basic") as url:
        yield Plant(plant_file(url), url, capsys.readouterr)


@pytest.mark.timeout(600)
def test_from_plan_to_proof_and_back(plant: Plant) -> None:
    planned = plant.ferry("plan", "--source", "pi1", *DAY, "--json")
    assert planned.code == 0, planned.err
    measured = ("minutes", "events_per_s", "bytes_per_event", "landing_bytes", "requests")
    assert [planned.json[name] for name in measured] == [None] * 5
    moved = plant.apart("backfill", "--source", "pi1", *DAY, "--json")
    assert moved.code == 0, moved.err
    found = moved.json
    assert set(found) == LINES | {"seconds", "events_per_s", "slices"}
    assert found["source_events"] == found["landed_events"] == found["stored_events"] > 10_000
    assert found["source_events"] == planned.json["events"]
    assert found["points"] == 40
    assert found["unproved_points"] == 0
    assert found["proof"]["counted"] + found["proof"]["deep"] == 40
    assert "left" in moved.err
    annotated = found["annotations"]
    assert annotated["annotations"] >= annotated["events"] == annotated["told"] > 10
    assert (annotated["lacking"], annotated["not_offered"], annotated["points"]) == (0, 0, [])

    verified = plant.ferry("verify", *DAY, "--deep", "--json")
    assert verified.code == 0, verified.err
    assert set(verified.json) == LINES
    assert verified.json["proof"] == {"counted": 0, "deep": 40}
    assert verified.json["stored_events"] == found["stored_events"]

    again = plant.ferry("backfill", *DAY, "--json")
    assert (again.code, again.json["slices"]) == (0, 0)
    assert {key: again.json[key] for key in LINES} == {key: found[key] for key in LINES}

    body = {"seed": 5, "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "count": 12}
    told = plant.control("edits", body)
    names = {each["point"] for each in (told["edits"] if isinstance(told, dict) else told)}
    drifted = plant.ferry("verify", *DAY, "--deep", "--json")
    assert drifted.code == 1
    assert len({row["point"] for row in drifted.json["drift"]}) == len(names)
    reopened = plant.ferry("restate", *DAY, "--accept-loss", "--json")
    assert reopened.code == 0, reopened.err
    assert plant.ferry("status", "--json").json["sources"][0]["covered_percent"] == 0.0
    replanned = plant.ferry("plan", *DAY, "--json").json
    landed = sum(file.stat().st_size for file in (plant.file.parent / ".ferry" / "landing").rglob("*.parquet"))
    assert replanned["bytes_per_event"] == pytest.approx(landed / found["landed_events"], rel=0.01)
    assert replanned["landing_bytes"] == pytest.approx(landed, rel=0.1)
    assert 0 < replanned["requests"] < found["source_events"] / 10
    assert plant.ferry("backfill", *DAY).code == 0
    assert plant.ferry("verify", *DAY, "--deep").code == 0
    listed = plant.ferry("points", "--json")
    assert listed.code == 0, listed.err
    assert len(listed.json["points"]) == 40
    assert {each["covered_percent"] for each in listed.json["points"]} == {100.0}
    assert sum(each["last"] is not None for each in listed.json["points"]) > 30
    status = plant.ferry("status")
    assert status.code == 0
    assert "100.0 % covered" in status.out
    here = f"of {annotated['told']:,} the annotations are here"
    assert f"annotated     {annotated['events']:>16,} events; {here}" in status.out


@pytest.mark.timeout(600)
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(plant: Plant) -> None:
    command = [*FERRY, "backfill", *DAY, "--plant", str(plant.file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "%" in line:
                child.send_signal(signal.SIGINT)
                break
        rest = child.stderr.read()
        assert child.wait(60) == 130
    assert "Nothing is lost" in rest
    assert "Traceback" not in rest
    done = plant.ferry("backfill", *DAY, "--json")
    assert done.code == 0, done.err
    assert plant.ferry("verify", *DAY, "--deep").code == 0


def test_a_wrong_password_and_an_unreachable_plant(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_TEST_PI", "wrong-4711")
    for arguments in (("discover",), ("backfill", *DAY), ("doctor",)):
        refused = plant.ferry(*arguments, "--json")
        assert refused.code == 2, refused.err
        assert "refused" in refused.err
        assert "wrong-4711" not in refused.out + refused.err
        assert "Traceback" not in refused.err
    monkeypatch.setenv("FERRY_TEST_PI", "ferry-demo")
    text = plant.file.read_text(encoding="utf-8").replace(plant.url, "http://127.0.0.1:9/piwebapi")
    plant.file.write_text(text, encoding="utf-8")
    gone = plant.ferry("doctor", "--json")
    assert gone.code == 3
    assert "127.0.0.1:9" in gone.err


def test_doctor_finds_everything_well(plant: Plant) -> None:
    found = plant.ferry("doctor", "--json")
    assert found.code == 0, found.err
    names = {check["name"] for check in found.json["checks"]}
    assert {"ledger", "store", "source pi1", "source pi1: clock", "secret FERRY_TEST_PI"} <= names
    assert "writer load" in found.err


def test_export_and_report_name_their_files(plant: Plant, tmp_path: Path) -> None:
    first = plant.ferry("discover", "--json")
    assert first.code == 0, first.err
    said = first.json["attributes"]
    assert (said["points"], said["unread"], said["refusals"], said["changes"]) == (40, 0, [], []), said
    assert said["changed"] == 40 + said["digital_sets"] > 45
    plant.control("attributes", {"point": "UNIT1.FLOW.FI001.PV", "set": {"compdev": 7.5}})
    plant.control("attributes", {"digital_set": "Valve", "states": ["Shut", "Open", "Moving"]})
    again = plant.ferry("discover")
    assert "2 of these new or changed" in again.out, again.out
    assert "UNIT1.FLOW.FI001.PV: compdev was '0.2' and is '7.5'" in again.out
    assert "digital set Valve: 0 was 'Closed' and is 'Shut'" in again.out
    assert "attributes" not in plant.ferry("discover", "--no-attributes", "--json").json
    assert plant.ferry("backfill", *DAY).code == 0
    exported = plant.ferry("export", *DAY, "--points", "*", "--to", str(tmp_path / "out"), "--json")
    assert exported.code == 0, exported.err
    assert exported.json["events"] == plant.ferry("verify", *DAY, "--json").json["stored_events"]
    assert all(Path(file).exists() for file in exported.json["files"])
    assert exported.json["without_aggregates"] == 0, "they are made first"
    assert exported.json["aggregate_rows"]["1m"] > 1_000
    written = pq.read_table(tmp_path / "out" / "annotations")
    status = plant.ferry("status", "--json").json["sources"][0]["annotations"]
    assert len(pq.read_table(tmp_path / "out" / "attributes")) > 40 * 30
    assert len(pq.read_table(tmp_path / "out" / "attribute_changes")) == 2
    assert "Shut" in pq.read_table(tmp_path / "out" / "digital_states")["state"].to_pylist()
    assert len(written) == status["annotations"] == exported.json["annotations"] > 10
    columns = ("export", *DAY, "--wide", "--every", "15min", "--tolerance", "8h", "--to", str(tmp_path / "out"))
    for rule in ("time-weighted", "last", "interpolated"):
        wide = plant.ferry(*columns, "--rule", rule, "--json")
        assert wide.code == 0, wide.err
        assert (wide.json["rows"], wide.json["points"]) == (96, 40)
        table = pq.read_table(wide.json["wide"])
        assert table.num_columns == 41
        assert wide.json["known_cells"] == sum(len(column) - column.null_count for column in table.columns[1:]) > 2_000
    csv = plant.ferry("export", *DAY, "--wide", "--csv", "--to", str(tmp_path / "out"))
    assert csv.code == 0, csv.err
    assert csv.out.count("1,440 rows of 40 points") == 1
    with (tmp_path / "out/wide/pi1-1min-time-weighted.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(reader(file))) == 1_441
    report = plant.ferry("report", *DAY, "--json")
    assert report.code == 0, report.err
    assert Path(report.json["report"]).read_text(encoding="utf-8").startswith("<!")
