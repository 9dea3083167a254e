"""Servers for the tests: real ones, started once a session on free ports, stopped by pid at its end."""

from __future__ import annotations

import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from resources.embedded import EmbeddedIoTDB, EmbeddedPostgres, IoTDBAddress, PostgresAddress
from resources.iotdb.sessions import Sessions
from tests.plants import PLANT

# A shell's `&` ignores Ctrl-C, and so do all who are started from there: also commands that a test presses it for.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast a machine is, or is not while something else runs on it, is no property of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ferry-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(state_dir: Path) -> Iterator[PostgresAddress]:
    server = EmbeddedPostgres(state_dir)
    yield server.ensure()
    server.stop()


@pytest.fixture(scope="session")
def iotdb_server(state_dir: Path) -> Iterator[EmbeddedIoTDB]:
    server = EmbeddedIoTDB(state_dir, short_lived=True)
    server.ensure()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def iotdb(iotdb_server: EmbeddedIoTDB) -> IoTDBAddress:
    return iotdb_server.ensure()


@pytest.fixture(scope="session")
def iotdb_staging(iotdb_server: EmbeddedIoTDB) -> Path:
    return iotdb_server.staging_dir


@pytest.fixture
def iotdb_names(iotdb: IoTDBAddress) -> Iterator[Callable[[], str]]:
    """Gives names of databases of the test's own, and drops them: some seventeen at once are all that the server takes
    with the memory that it has here (facts/iotdb.md, section 1)."""
    given: list[str] = []

    def name() -> str:
        given.append(f"t{uuid.uuid4().hex[:12]}")
        return given[-1]

    yield name
    drop_databases(iotdb, given)


def drop_databases(iotdb: IoTDBAddress, names: list[str]) -> None:
    """Frees their regions."""
    sessions = Sessions([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, "")
    for name in names:
        sessions.administer(
            lambda session, name=name: session.run(f'DROP DATABASE IF EXISTS "{name}"'), "dropping a test's database"
        )
    sessions.close()


@pytest.fixture
def postgres_dsn(postgres: PostgresAddress) -> Iterator[str]:
    """A database of the test's own."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def plant_file(
    tmp_path: Path,
    iotdb: IoTDBAddress,
    iotdb_staging: Path,
    iotdb_names: Callable[[], str],
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Writes a plant file that uses the session's servers, with a database, a ledger and a landing of its own."""
    monkeypatch.setenv("FERRY_TEST_DSN", postgres_dsn)
    monkeypatch.setenv("FERRY_TEST_IOTDB", iotdb.password)
    monkeypatch.setenv("FERRY_TEST_PI", "ferry-demo")

    def write(url: str, *, start: str = "2026-01-01", end: str = "2026-01-02", groups: int = 2, more: str = "") -> Path:
        path = tmp_path / "ferry.toml"
        path.write_text(
            f"""
            [plant]
            name = "{iotdb_names()}"
            [[source]]
            name = "pi1"
            kind = "pi_web_api"
            url = "{url}"
            auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_PI" }}
            point_groups = {groups}
            window = "day"
            start = {start}T00:00:00Z
            end = {end}T00:00:00Z
            requests_per_s = 500
            [store]
            iotdb = "{iotdb.host}:{iotdb.port}"
            username = "{iotdb.user}"
            password_env = "FERRY_TEST_IOTDB"
            staging = "{iotdb_staging}"
            [ledger]
            postgres = {{ dsn_env = "FERRY_TEST_DSN" }}
            {more}
            """,
            encoding="utf-8",
        )
        return path

    return write


@pytest.fixture
def write_plant(
    tmp_path: Path,
    iotdb: IoTDBAddress,
    iotdb_staging: Path,
    iotdb_names: Callable[[], str],
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    monkeypatch.setenv("FERRY_TEST_DSN", postgres_dsn)
    monkeypatch.setenv("FERRY_TEST_IOTDB", iotdb.password)
    monkeypatch.setenv("FERRY_TEST_SOURCE", "ferry-demo")

    def plant(*sources: str) -> Path:
        path = tmp_path / "ferry.toml"
        text = PLANT.format(name=iotdb_names(), sources="\n".join(sources), iotdb=iotdb, staging=iotdb_staging)
        path.write_text(text, encoding="utf-8")
        return path

    return plant
