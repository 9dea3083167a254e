"""Servers for the tests: real ones, started once a session on free ports, stopped by pid at its end."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from resources.embedded import EmbeddedIoTDB, EmbeddedPostgres, IoTDBAddress, PostgresAddress


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
    server = EmbeddedIoTDB(state_dir)
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
def postgres_dsn(postgres: PostgresAddress) -> Iterator[str]:
    """A database of the test's own."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def plant_file(
    tmp_path: Path, iotdb: IoTDBAddress, iotdb_staging: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
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
            name = "t{uuid.uuid4().hex[:12]}"
            [[source]]
            name = "pi1"
            kind = "pi_web_api"
            url = "{url}"
            auth = {{ kind = "basic", username = "ferry", password_env = "FERRY_TEST_PI" }}
            point_groups = {groups}
            window = "day"
            start = {start}
            end = {end}
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
