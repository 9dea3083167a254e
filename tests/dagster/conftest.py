"""A plant of which every part is in memory, as Dagster sees it through `build_defs`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import psycopg
import pyarrow as pa
import pytest

from assets_defs.definitions import build_defs
from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.partitions import RANGE_END, RANGE_START
from pipelines import samples
from pipelines.plant import SourceSettings, load_plant
from pipelines.points import Point
from pipelines.timeline import HOUR_NS, MINUTE_NS, parse
from resources.embedded import IoTDBAddress, PostgresAddress
from tests.conftest import drop_databases
from tests.contract.stand_in import running
from tests.dagster.real_plant import PLANT as REAL_PLANT
from tests.dagster.real_plant import RealPlant, running_ui
from tests.dagster.webserver import Webserver
from tests.memory import MemorySource, MemoryStore
from tests.unit.cli.conftest import CatalogueLedger, MemoryOutside

PLANT = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
end = 2026-01-04T00:00:00Z
{source}
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = {{ dsn_env = "FERRY_UNIT_DSN" }}
"""
KEYS = [f"g00{group}|2026-01-0{day}" for day in (1, 2, 3) for group in (0, 1)]
POINTS = [Point(name, name, "number", source_key=name) for name in ("A1", "A2", "B1", "B2")]
EVERY_NS = 10 * MINUTE_NS


class MemoryFerry(FerryResource):
    """Opens the line of the plant in memory instead of a real one."""

    lines: ClassVar[dict[str, Line]] = {}

    @contextmanager
    def line(self, run_id: str, urgent: bool = False) -> Iterator[Line]:
        line = self.lines[self.plant_file]
        line.run_id = run_id
        yield line


@dataclass
class MemoryPlant:
    """The plant in memory and its definitions."""

    file: Path
    line: Line
    source: MemorySource
    store: MemoryStore
    ledger: CatalogueLedger
    outside: MemoryOutside

    @property
    def settings(self) -> SourceSettings:
        return self.line.plant.source[0]

    @cached_property
    def defs(self) -> dg.Definitions:
        return build_defs(self.file, MemoryFerry(plant_file=str(self.file)))

    def run(
        self, instance: dg.DagsterInstance, job: str, first: str = "", last: str = "", run_config: Any = None
    ) -> dg.ExecuteInProcessResult:
        """Executes a job over the rectangle between two keys."""
        tags = {RANGE_START: first, RANGE_END: last} if first else {}
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False, run_config=run_config
        )


def events_of(points: Sequence[Point], hours: int) -> pa.Table:
    """An event every ten minutes, for every point."""
    start_ns = parse("2026-01-01")
    rows = [
        {"point": p.id, "time": start_ns + at, "tie": 0, "value": float(at // EVERY_NS), "quality": 192, "detail": 0}
        for p in points
        for at in range(0, hours * HOUR_NS, EVERY_NS)
    ]
    return samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))


@pytest.fixture
def write_plant(tmp_path: Path) -> Any:
    """Writes a plant file; nothing that it names exists."""

    def write(source: str = "", text: str = PLANT) -> Path:
        path = tmp_path / "ferry.toml"
        path.write_text(text.format(source=source), encoding="utf-8")
        return path

    return write


@pytest.fixture
def memory_plant(write_plant: Any) -> Iterator[MemoryPlant]:
    with in_memory(write_plant()) as plant:
        yield plant


@contextmanager
def in_memory(file: Path) -> Iterator[MemoryPlant]:
    """The plant of a file, every part of it in memory."""
    source = MemorySource("pi1", POINTS, events_of(POINTS, 72))
    store, ledger, outside = MemoryStore(), CatalogueLedger(), MemoryOutside(source)
    line = Line(load_plant(file))
    line.__dict__.update(store=store, ledger=ledger, outside=outside)
    MemoryFerry.lines[str(file)] = line
    yield MemoryPlant(file, line, source, store, ledger, outside)
    del MemoryFerry.lines[str(file)]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of the test's own, in memory."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def stored_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One on disk, with pools."""
    home = tmp_path / "instance"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as found:
        yield found


@pytest.fixture(scope="module")
def real_plant(
    tmp_path_factory: pytest.TempPathFactory, iotdb: IoTDBAddress, iotdb_staging: Path, postgres: PostgresAddress
) -> Iterator[RealPlant]:
    name = f"d{uuid.uuid4().hex[:12]}"
    file = tmp_path_factory.mktemp("plant") / "ferry.toml"
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(postgres.dsn("postgres"), autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")
        patch.setenv("FERRY_TEST_DSN", postgres.dsn(name))
        patch.setenv("FERRY_TEST_IOTDB", iotdb.password)
        patch.setenv("FERRY_TEST_PI", "ferry-demo")
        with running("--points", "60", "--hours", "72", "--auth", "basic", "--rate-limit", "0") as url:
            text = REAL_PLANT.format(name=name, url=url, iotdb=iotdb, staging=iotdb_staging)
            file.write_text(text, encoding="utf-8")
            yield RealPlant(file, url)
        database.execute(f"DROP DATABASE {name} WITH (FORCE)")
    drop_databases(iotdb, [name])


@pytest.fixture(scope="module")
def webserver(real_plant: RealPlant) -> Iterator[Webserver]:
    with running_ui(real_plant, real_plant.file.with_name("ui.log")) as found:
        yield found
