"""README's sequence on an own plant that goes on running: at five moments every face says the same, to the event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from assets_defs.definitions import build_defs
from assets_defs.instance import home_of
from assets_defs.samples import samples_key
from pipelines.plant import load_plant
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, iso
from resources.embedded import IoTDBAddress, PostgresAddress
from tests.conftest import drop_databases
from tests.contract.stand_in import running

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]

PLANT = """
[plant]
name = "{name}"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "{url}"
auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_PI" }}
point_groups = 2
window = "day"
start = {start}
lateness = "2 h"
requests_per_s = 500
sync = {{ lag = "5 s" }}
[store]
iotdb = "{iotdb.host}:{iotdb.port}"
username = "{iotdb.user}"
password_env = "FERRY_TEST_IOTDB"
staging = "{staging}"
[ledger]
postgres = {{ dsn_env = "FERRY_TEST_DSN" }}
"""


@dataclass
class OwnPlant:
    """A plant file and what an engineer does with it in a shell."""

    file: Path
    stand_in: str
    start_ns: int

    def ferry(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ferry")), *arguments],
            capture_output=True, text=True, check=False, cwd=self.file.parent, timeout=600,
            env={**os.environ, "FERRY_PLANT": str(self.file)},
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def asked(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self.ferry(*arguments, "--json", code=code).stdout.splitlines()[-1])

    def edit(self, count: int, end_ns: int) -> int:
        """Late and changed events; of a point with few of them a removed one would rightly not be believed."""
        url = f"{self.stand_in.removesuffix('/piwebapi')}/_plant/edits"
        end = iso(end_ns // MINUTE_NS * MINUTE_NS)
        body = {"seed": 7, "count": count, "kinds": ["add", "change"], "start": iso(self.start_ns), "end": end}
        return len(httpx.post(url, json=body, timeout=60, trust_env=False).raise_for_status().json()["edits"])

    def stored(self) -> int:
        """Rows of the source in IoTDB, asked in SQL."""
        counts = [
            self.asked("sql", f"SELECT count(*) AS n FROM {table} WHERE source = 'pi1'")["rows"][0][0]
            for table in ("samples", "states")
        ]
        return sum(counts)

    def metric(self, name: str) -> float:
        families = text_string_to_metric_families(self.ferry("metrics").stdout)
        return next(s.value for family in families for s in family.samples if s.name == name and s.labels["source"])

    def partitions(self) -> dict[str, str]:
        """The state of every partition that Dagster shows."""
        defs = build_defs(self.file)
        asset = defs.resolve_assets_def(samples_key(load_plant(self.file).source[0]))
        with dg.DagsterInstance.from_config(str(home_of(load_plant(self.file)))) as instance:
            partitions = asset.partitions_def
            assert partitions is not None
            keys = partitions.get_partition_keys(dynamic_partitions_store=instance)
            found = instance.get_status_by_partition(asset.key, keys, partitions)
        return {key: status.value for key, status in (found or {}).items() if status}

    def coverage_check(self) -> dg.AssetCheckEvaluation:
        """The check `coverage` of the samples, evaluated now as the UI's button does."""
        defs = build_defs(self.file)
        key = dg.AssetCheckKey(samples_key(load_plant(self.file).source[0]), "coverage")
        job = dg.define_asset_job("look", selection=dg.AssetSelection.checks(key), executor_def=dg.in_process_executor)
        with dg.DagsterInstance.ephemeral() as instance:
            done = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("look")
            [found] = done.execute_in_process(instance=instance).get_asset_check_evaluations()
        return found


@pytest.fixture(scope="module")
def plant(
    tmp_path_factory: pytest.TempPathFactory, iotdb: IoTDBAddress, iotdb_staging: Path, postgres: PostgresAddress
) -> Iterator[OwnPlant]:
    name = f"j{uuid.uuid4().hex[:12]}"
    file = tmp_path_factory.mktemp("own plant") / "ferry.toml"
    start_ns = (time.time_ns() - DAY_NS) // DAY_NS * DAY_NS
    options = ("--points", "40", "--hours", "96", "--start", iso(start_ns), "--live", "--auth", "basic")
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(postgres.dsn("postgres"), autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")
        patch.setenv("FERRY_TEST_DSN", postgres.dsn(name))
        patch.setenv("FERRY_TEST_IOTDB", iotdb.password)
        patch.setenv("FERRY_TEST_PI", "ferry-demo")
        with running(*options, "--rate-limit", "0") as url:
            text = PLANT.format(name=name, url=url, iotdb=iotdb, staging=iotdb_staging, start=iso(start_ns))
            file.write_text(text, encoding="utf-8")
            yield OwnPlant(file, url, start_ns)
        database.execute(f"DROP DATABASE {name} WITH (FORCE)")
    drop_databases(iotdb, [name])


def all_say_the_same(plant: OwnPlant, *, reopened: bool = False) -> int:
    """Compares status, verify, report, metrics, SQL and Dagster's check; returns the events that are proved."""
    [status] = plant.asked("status", code=0)["sources"]
    verify = plant.asked("verify", code=1 if reopened else 0)
    report = plant.asked("report")
    check = plant.coverage_check()
    assert status["landed_events"] == verify["landed_events"] == verify["stored_events"] == plant.stored()
    assert verify["source_events"] == verify["landed_events"]
    assert verify["drift"] == []
    proved = {status["events"], report["proved_events"], int(plant.metric("ferry_events")),
              check.metadata["proved_events"].value}  # fmt: skip
    assert len(proved) == 1, proved
    assert check.passed is not reopened, check.description
    unproved = {bool(verify["unproved_points"]), bool(report["unproved_points"])}
    assert unproved == {reopened}
    page = Path(report["report"]).read_text(encoding="utf-8")
    assert ("<h1>Proved</h1>" in page) is not reopened
    assert (status["events"] < status["landed_events"]) is reopened
    return int(status["events"])


def test_every_face_says_the_same_at_every_moment(plant: OwnPlant) -> None:
    assert plant.asked("discover")["points"] == 40
    moved = plant.asked("backfill")
    assert moved["unproved_points"] == 0
    yesterday = iso(plant.start_ns)[:10]
    first = all_say_the_same(plant)
    assert first == moved["stored_events"] > 5_000
    shown = plant.partitions()
    assert shown[f"g000|{yesterday}"] == shown[f"g001|{yesterday}"] == "MATERIALIZED"

    assert plant.asked("sync")["problems"] == []
    followed = all_say_the_same(plant)
    assert followed > first

    assert plant.edit(60, time.time_ns() - 10 * MINUTE_NS) > 30
    doubted = plant.asked("verify", code=1)
    assert doubted["drift"], "nothing was edited: the test shows nothing"
    assert plant.asked("sweep", "--deep", "--restate")["mended"] > 0
    all_say_the_same(plant)

    span = ("--start", iso(plant.start_ns + 6 * HOUR_NS), "--end", iso(plant.start_ns + 7 * HOUR_NS))
    assert plant.asked("restate", *span)["reopened"] == 2
    assert all_say_the_same(plant, reopened=True) < followed
    shown = plant.partitions()
    assert shown[f"g000|{yesterday}"] == shown[f"g001|{yesterday}"] == "FAILED"

    assert plant.asked("backfill")["unproved_points"] == 0
    assert all_say_the_same(plant) >= followed - 60
    shown = plant.partitions()
    assert shown[f"g000|{yesterday}"] == shown[f"g001|{yesterday}"] == "MATERIALIZED"


def test_the_way_out(plant: OwnPlant) -> None:
    made = plant.asked("export")
    [status] = plant.asked("status")["sources"]
    assert made["events"] == status["events"]
