from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pymssql
import pytest

from simulators.tds import Server
from tests.unit.simulators.tds.stage import PASSWORD, USER, Stage

Connect = Callable[..., Any]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def server(stage: Stage) -> Iterator[Server]:
    server = Server(stage)
    server.start()
    yield server
    server.stop()


def _kept(open_ones: ExitStack, connection: Any) -> Any:
    """Closed when the test is over; a connection that a test has cut may complain."""

    def close() -> None:
        with suppress(Exception):
            connection.close()

    open_ones.callback(close)
    return connection


@pytest.fixture
def freetds(server: Server) -> Iterator[Connect]:
    """Connects pymssql."""
    with ExitStack() as open_ones:

        def connect(**options: Any) -> Any:
            given = {"user": USER, "password": PASSWORD, "database": "Runtime", "login_timeout": 20, **options}
            return _kept(open_ones, pymssql.connect(server="127.0.0.1", port=str(server.port), **given))

        yield connect


@pytest.fixture(scope="session")
def odbc_driver() -> Any:
    """mssql_python with the driver that the product takes, where that loads."""
    mssql_python = pytest.importorskip("mssql_python")
    mssql_python.native_provider = "mssql-odbc"
    try:
        mssql_python.connect("Server=127.0.0.1,9;UID=a;PWD=b;Encrypt=no", timeout=1)
    except ImportError as error:
        pytest.skip(f"mssql_python's ODBC driver does not load: {error}")
    except Exception as error:
        if "Failed to load the driver" in str(error):
            pytest.skip("mssql_python's ODBC driver does not load")
    mssql_python.pooling(enabled=False)
    return mssql_python


@pytest.fixture
def odbc(server: Server, odbc_driver: Any) -> Iterator[Connect]:
    """Connects mssql_python."""
    with ExitStack() as open_ones:

        def connect(**options: Any) -> Any:
            words = {"UID": USER, "PWD": "{" + PASSWORD + "}", "Database": "Runtime", "Encrypt": "no"}
            text = ";".join(f"{name}={value}" for name, value in {**words, **options}.items())
            connection = odbc_driver.connect(f"Server=127.0.0.1,{server.port};{text}", timeout=20)
            return _kept(open_ones, connection)

        yield connect


@pytest.fixture(params=["freetds", "odbc"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Each client in turn."""
    found: Connect = request.getfixturevalue(request.param)
    return found
