from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.tds import Server, Tls
from tests.unit.simulators.tds import tls_client
from tests.unit.simulators.tds.eavesdropper import Eavesdropper
from tests.unit.simulators.tds.stage import PASSWORD, USER, Stage, rowset

COUNT = 100_000
QUERY = tls_client.SQL.encode("utf-16-le")
HIDDEN = bytes((((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5) for byte in PASSWORD.encode("utf-16-le"))


@pytest.fixture(params=["freetds", "odbc"])
def client(request: pytest.FixtureRequest) -> str:
    if request.param == "odbc":
        request.getfixturevalue("odbc_driver")
    return str(request.param)


class Line:
    """A server, what it trusts, and somebody who listens."""

    def __init__(self, policy: Any, folder: Path) -> None:
        self.stage = Stage({tls_client.SQL: lambda _: [rowset(*range(COUNT))]})
        self.ca = folder / f"{policy}.pem"
        self.server = Server(self.stage, tls=Tls(policy, self.ca, folder / "leaf.pem"))
        self.server.start()
        self.wire = Eavesdropper(self.server.port)

    def ask(self, client: str, encrypt: str, ca: Path | None = None, password: str = PASSWORD) -> str:
        arguments = [client, str(self.wire.port), encrypt, str(ca or self.ca), USER, password]
        command = [sys.executable, str(Path(tls_client.__file__)), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
        return done.stdout.strip()


@pytest.fixture
def required(tmp_path: Path) -> Iterator[Line]:
    line = Line("required", tmp_path)
    yield line
    line.wire.close()
    line.server.stop()


@pytest.fixture
def optional(tmp_path: Path) -> Iterator[Line]:
    line = Line("optional", tmp_path)
    yield line
    line.wire.close()
    line.server.stop()


WHOLE = f"rows {sum(range(COUNT))}"


def test_everything_is_hidden_and_the_certificate_verified(client: str, required: Line) -> None:
    assert required.ask(client, "on") == WHOLE
    assert QUERY not in required.wire.heard
    assert HIDDEN not in required.wire.heard
    assert len(required.wire.heard) > COUNT * 6


def test_a_certificate_of_somebody_else_is_refused(client: str, required: Line, optional: Line) -> None:
    answer = required.ask(client, "on", ca=optional.ca)
    assert answer.startswith("error")
    assert required.stage.databases == [], "nobody has logged in"
    assert required.ask(client, "on") == WHOLE


def test_a_refused_login_is_told_through_tls(client: str, required: Line) -> None:
    answer = required.ask(client, "on", password="wrong")
    assert "Login failed for user 'ferry'" in answer
    assert "Login failed".encode("utf-16-le") not in required.wire.heard


def test_where_it_is_optional_the_client_decides(client: str, optional: Line) -> None:
    assert optional.ask(client, "on") == WHOLE
    assert QUERY not in optional.wire.heard


def test_the_login_alone_is_hidden_from_a_client_that_wants_no_more(odbc_driver: Any, optional: Line) -> None:
    assert optional.ask("odbc", "off") == WHOLE
    assert QUERY in optional.wire.heard
    assert HIDDEN not in optional.wire.heard


def test_pymssql_in_the_clear(optional: Line) -> None:
    assert optional.ask("freetds", "off") == WHOLE
    assert QUERY in optional.wire.heard


def test_who_wants_no_tls_where_it_is_required_is_not_served_in_the_clear(client: str, required: Line) -> None:
    required.ask(client, "off")
    assert QUERY not in required.wire.heard
    assert HIDDEN not in required.wire.heard


def test_certificates_are_written(tmp_path: Path) -> None:
    tls = Tls("required", tmp_path / "ca.pem", tmp_path / "leaf.pem")
    server = Server(Stage(), tls=tls)
    server.start()
    server.stop()
    for name in ("ca.pem", "leaf.pem"):
        assert (tmp_path / name).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert (tmp_path / "ca.pem").read_text() != (tmp_path / "leaf.pem").read_text()
