"""The Historian client against the stand-in over TDS, with both drivers, with TLS, and in zones whose clocks change."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.plant import SourceSettings
from pipelines.ports import Source
from pipelines.timeline import HOUR_NS, Interval, parse
from resources.wonderware import WonderwareSource
from resources.wonderware.driver import DRIVERS, missing_driver
from resources.wonderware.pace import Bounds
from simulators.wonderware.plant import Plant
from simulators.wonderware.settings import Settings
from simulators.wonderware.truth import truth
from tests.contract.source_contract import SourceCase, SourceContract
from tests.contract.stand_in import running

POINTS, HOURS = 90, 6
TINY = Bounds(rows=300, first_names=2, names=5)


@pytest.fixture(scope="module", autouse=True)
def _password() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERRY_TEST_SQL", "ferry-demo")
        yield


def source_at(
    address: str, driver: str, start: str, ca_file: str, bounds: Bounds | None = None
) -> Callable[[], AbstractAsyncContextManager[Source]]:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Source]:
        settings = SourceSettings(
            name="wonderware1", kind="wonderware", address=address, start=start, requests_per_s=10_000, concurrency=3,
            auth={"kind": "basic", "username": "ferry", "password_env": "FERRY_TEST_SQL"},
            tls=bool(ca_file), ca_file=ca_file,
        )  # fmt: skip
        source = WonderwareSource.from_settings(settings, bounds=bounds, connect=DRIVERS[driver])
        try:
            yield source
        finally:
            await source.close()

    return connect


@contextlib.contextmanager
def case_of(
    driver: str, start: str = "2026-01-01T00:00:00Z", ca_file: str = "", zone: str = "UTC"
) -> Iterator[SourceCase]:
    if driver == "mssql-python" and missing_driver():
        pytest.skip(missing_driver())
    begin = parse(start)
    plant = Plant(Settings(points=POINTS, hours=HOURS, start_ns=begin))
    tls = ("--tls", "required", "--ca-file", ca_file) if ca_file else ()

    def of_the_plant(span: Interval) -> pa.Table:
        """Without the Historian's own tags."""
        return truth(plant, span.start_ns, span.end_ns, system=False)

    with running(
        "--points", str(POINTS), "--hours", str(HOURS), "--start", start, "--zone", zone, "--max-in-list", "40", *tls,
        kind="wonderware",
    ) as found:  # fmt: skip
        address = found.replace("127.0.0.1", "localhost") if ca_file else found  # certificates are for names
        span = Interval(begin, begin + HOURS * HOUR_NS)
        yield SourceCase(
            connect=source_at(address, driver, start, ca_file),
            connect_tiny=source_at(address, driver, start, ca_file, TINY),
            truth=of_the_plant,
            span=span,
            empty=Interval(begin - 48 * HOUR_NS, begin - 24 * HOUR_NS),
            point_count=sum(
                not spec.is_system and not spec.other_type
                for spec in map(plant.catalogue.spec, plant.catalogue.numbers())
            ),
            missing=lambda point: replace(point, address=point.address + " of another plant"),
        )


@pytest.fixture(scope="module")
def odbc() -> Iterator[SourceCase]:
    with case_of("mssql-python") as case:
        yield case


@pytest.fixture(scope="module")
def freetds() -> Iterator[SourceCase]:
    with case_of("pymssql") as case:
        yield case


@pytest.fixture(scope="module")
def berlin_in_autumn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceCase]:
    """The hour that the wall clock shows twice, 2026-10-25 00:00 to 02:00 UTC, over TLS."""
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    with case_of("mssql-python", "2026-10-24T22:00:00Z", str(ca_file), "Europe/Berlin") as case:
        yield case


@pytest.fixture(scope="module")
def new_york_in_spring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceCase]:
    """The hour that the wall clock leaves out, 2026-03-08 07:00 UTC, over TLS."""
    ca_file: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    with case_of("pymssql", "2026-03-08T05:00:00Z", str(ca_file), "America/New_York") as case:
        yield case


class TestWonderwareByMssqlPython(SourceContract):
    @pytest.fixture
    def case(self, odbc: SourceCase) -> SourceCase:
        return odbc


class TestWonderwareByPymssql(SourceContract):
    @pytest.fixture
    def case(self, freetds: SourceCase) -> SourceCase:
        return freetds


class TestWonderwareInBerlinInAutumn(SourceContract):
    @pytest.fixture
    def case(self, berlin_in_autumn: SourceCase) -> SourceCase:
        return berlin_in_autumn


class TestWonderwareInNewYorkInSpring(SourceContract):
    @pytest.fixture
    def case(self, new_york_in_spring: SourceCase) -> SourceCase:
        return new_york_in_spring
