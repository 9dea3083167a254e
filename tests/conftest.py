"""Servers for the tests: real ones, started once a session on free ports, stopped by pid at its end."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
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
