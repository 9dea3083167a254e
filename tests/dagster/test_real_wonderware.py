"""A Historian through the UI: its samples and its journal, backfilled over GraphQL with a real daemon."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from resources.embedded import IoTDBAddress, PostgresAddress
from tests.conftest import drop_databases
from tests.contract.stand_in import running
from tests.dagster.real_plant import PLANT, RealPlant, running_ui

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]
SAMPLES, JOURNAL = ("wonderware1", "samples"), ("wonderware1", "journal")
DAYS = [f"2026-01-0{day}" for day in (1, 2, 3)]
KEYS = [f"g00{group}|{day}" for group in (0, 1) for day in DAYS]


@pytest.fixture
def plant(
    tmp_path_factory: pytest.TempPathFactory, iotdb: IoTDBAddress, iotdb_staging: object, postgres: PostgresAddress
) -> Iterator[RealPlant]:
    name = f"w{uuid.uuid4().hex[:12]}"
    file = tmp_path_factory.mktemp("plant") / "ferry.toml"
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(postgres.dsn("postgres"), autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")
        patch.setenv("FERRY_TEST_DSN", postgres.dsn(name))
        patch.setenv("FERRY_TEST_IOTDB", iotdb.password)
        patch.setenv("FERRY_TEST_PI", "ferry-demo")
        with running("--points", "60", "--hours", "72", "--zone", "Europe/Berlin", kind="wonderware") as address:
            text = PLANT.replace('"pi1"', '"wonderware1"').replace('"pi_web_api"', '"wonderware"')
            text = text.replace('url = "{url}"', 'address = "{url}"\ntls = false')
            file.write_text(text.format(name=name, url=address, iotdb=iotdb, staging=iotdb_staging), encoding="utf-8")
            yield RealPlant(file, address)
        database.execute(f"DROP DATABASE {name} WITH (FORCE)")
    drop_databases(iotdb, [name])


def test_samples_and_journal_over_graphql_and_once_more(plant: RealPlant) -> None:
    with running_ui(plant, plant.file.with_name("ui.log")) as webserver:
        for _ in range(2):
            moving = webserver.backfill(SAMPLES, KEYS), webserver.backfill(JOURNAL, DAYS)
            assert [webserver.wait_for_backfill(each) for each in moving] == ["COMPLETED_SUCCESS"] * 2
        for key, partitions in ((SAMPLES, KEYS), (JOURNAL, DAYS)):
            asset = webserver.asset(key)
            stats = asset["partitionStats"]
            assert (stats["numMaterialized"], stats["numFailed"]) == (len(partitions), 0)
            assert sorted(each["partition"] for each in asset["assetMaterializations"]) == sorted(2 * partitions)
    counts = plant.recount()
    assert not counts.drift
    assert not counts.unproved
    assert counts.source_events == counts.landed_events == counts.stored_events > 100_000
