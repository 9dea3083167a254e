"""Addresses, the choice of a driver, and what the drivers' errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import mssql_python
import pyarrow as pa
import pymssql
import pytest

from pipelines.plant import SourceSettings
from pipelines.ports import Stop
from resources.wonderware import browser, driver, freetds, odbc
from resources.wonderware.browser import located
from resources.wonderware.login import Address, Login, address
from resources.wonderware.refusals import DriverMissing, Faltered, TooMuch
from resources.wonderware.source import login_of
from simulators.tds.browser import Browser

LOGIN = Login("w1", "historian.example", 1433, "Runtime", "ferry", "s3cret;}'", statement_s=30)


class NoSession:
    def read(self, statement: str, values: Sequence[str | int]) -> Iterator[pa.Table]:
        raise AssertionError(statement)

    def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("historian.example", ("historian.example", 1433)),
        ("historian.example:14330", ("historian.example", 14330)),
        ("10.0.0.7,1444", ("10.0.0.7", 1444)),
        ("h, 1444", ("h", 1444)),
        ("HOST\\WINCC", ("HOST", 1433, "WINCC")),
        ("HOST\\mssqlserver", ("HOST", 1433)),
        ("HOST\\WINCC,1444", ("HOST", 1444)),
    ],
)
def test_addresses(text: str, found: tuple[Any, ...]) -> None:
    assert address("w1", text) == Address(*found)


@pytest.mark.parametrize("text", ["HOST\\", "\\\\HOST\\X", "HOST\\A\\B", "host:port", ":1433", ""])
def test_what_is_no_address_says_what_to_write(text: str) -> None:
    with pytest.raises(Stop, match=r"w1.*expected host, host:port or host\\INSTANCE"):
        address("w1", text)


def test_a_password_is_not_shown_and_not_read_as_part_of_the_connection_string() -> None:
    assert "s3cret" not in repr(LOGIN)
    assert odbc._braced(LOGIN.password) == "{s3cret;}}'}"


def test_without_the_driver_pymssql_serves(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def missing(login: Login) -> NoSession:
        raise DriverMissing("the ODBC driver of mssql-python does not load")

    monkeypatch.setattr(odbc, "connect", missing)
    assert driver.chosen(LOGIN) == ("pymssql", freetds.connect)
    assert "libssl.so.3" in caplog.text
    monkeypatch.setattr(odbc, "load_fault", lambda: "it does not load")
    assert "libssl.so.3" in driver.missing_driver()


def test_with_the_driver_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odbc, "connect", lambda login: NoSession())
    assert driver.chosen(LOGIN)[0] == "mssql-python"
    monkeypatch.setattr(odbc, "load_fault", lambda: "")
    assert driver.missing_driver() == ""


@pytest.mark.parametrize(
    ("state", "text", "kind"),
    [
        ("Invalid authorization specification", "Login failed for user 'ferry'.", Stop),
        ("Client unable to establish connection", "SSL Provider: certificate verify failed", Stop),
        ("Client unable to establish connection", "TCP Provider: Error code 0x2749", Faltered),
        ("Client unable to establish connection", "TLS handshake failed while connecting to 'h': self-signed", Stop),
        ("Client unable to establish connection", "Protocol Error: Server does not support encryption but", Stop),
        ("Client unable to establish connection", "IO error: Connection refused (os error 111)", Faltered),
        ("Connection timeout expired", "too late", Faltered),
        ("", "Failed to load the driver. Please read the documentation", DriverMissing),
        ("Invalid catalog name", "Cannot open database", Stop),
    ],
)
def test_odbc_at_connecting(state: str, text: str, kind: type[Exception]) -> None:
    found = odbc._connect_error(mssql_python.OperationalError(state, text), LOGIN)
    assert type(found) is kind
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("state", "who", "kind", "reason"),
    [
        ("Serialization failure", "[SQL Server]", Faltered, ""),
        ("Communication link failure", "", Faltered, ""),
        ("General error", "", Faltered, ""),  # the connection was closed
        ("General error", "[SQL Server]", TooMuch, "unknown"),
        ("Timeout expired", "", TooMuch, "time"),
        ("Syntax error or access violation", "[SQL Server]", TooMuch, "unknown"),
        ("Invalid authorization specification", "[SQL Server]", Stop, ""),
    ],
)
def test_odbc_at_a_statement(state: str, who: str, kind: type[Exception], reason: str) -> None:
    found = odbc._error_of(mssql_python.OperationalError(state, f"[Microsoft][driver]{who}its own words"), LOGIN)
    assert type(found) is kind
    assert getattr(found, "reason", "") == reason


@pytest.mark.parametrize(
    ("number", "spent_s", "kind", "reason"),
    [
        (1205, 0.1, Faltered, ""),
        (20047, 0.1, Faltered, ""),
        (20047, 31.0, TooMuch, "time"),
        (8623, 0.1, TooMuch, "statement"),
        (229, 0.1, Stop, ""),
        (18456, 0.1, Stop, ""),
        (208, 0.1, Stop, ""),
        (50000, 0.1, TooMuch, "unknown"),
        (20004, 0.1, Faltered, ""),
        (7399, 0.1, TooMuch, "unknown"),
    ],
)
def test_freetds_at_a_statement(number: int, spent_s: float, kind: type[Exception], reason: str) -> None:
    error = pymssql.OperationalError(number, b"its own words\xd0\xb6DB-Lib error message 20018, severity 13:\n")
    found = freetds._error_of(error, LOGIN, spent_s)
    assert type(found) is kind
    assert getattr(found, "reason", "") == reason
    assert "DB-Lib" not in str(found)


def test_freetds_at_connecting() -> None:
    refused = freetds._connect_error(pymssql.OperationalError((18456, b"Login failed for user 'ferry'.")), LOGIN)
    assert isinstance(refused, Stop) and "refused" in str(refused)
    gone = freetds._connect_error(pymssql.OperationalError((20009, b"Unable to connect")), LOGIN)
    assert isinstance(gone, Faltered) and not gone.reached


def test_freetds_verifies_certificates_unless_told_not_to() -> None:
    text = freetds._configuration("x", LOGIN)
    assert "encryption = require" in text and "ca file = system" in text and "check certificate hostname = yes" in text
    plain = Login("w1", "h", 1433, "Runtime", "u", "p", tls=False)
    assert "encryption = off" in freetds._configuration("x", plain)


def test_a_ca_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_UNIT_SQL", "x")
    settings = SourceSettings(
        name="w1", kind="wonderware", address="h", start="2026-01-01T00:00:00Z", ca_file="/nowhere/ca.pem",
        auth={"kind": "basic", "username": "u", "password_env": "FERRY_UNIT_SQL"},
    )  # fmt: skip
    for connect in driver.DRIVERS.values():
        with pytest.raises(Stop, match=r"/nowhere/ca\.pem is not there"):
            connect(login_of(settings))


def test_the_port_of_a_named_instance_is_told_by_sql_server_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_WAIT_S", 0.05)
    told = Browser({"WinCC": 50_123, "PIPES": 0})
    monkeypatch.setattr(browser, "PORT", told.port)
    named = replace(LOGIN, host="127.0.0.1", instance="wincc")
    assert "127.0.0.1\\wincc" in named.where
    try:
        assert located(named) == replace(LOGIN, host="127.0.0.1", port=50_123)
        assert located(LOGIN) is LOGIN
        with pytest.raises(Stop, match="does not listen on TCP"):
            located(replace(named, instance="pipes"))
        with pytest.raises(Faltered, match=r"'nowhere'.*127\.0\.0\.1:PORT"):
            located(replace(named, instance="nowhere"))
    finally:
        told.stop()
    with pytest.raises(Faltered, match="says nothing of instance"):
        located(named)
    with pytest.raises(Faltered, match="no address is known"):
        located(replace(named, host="x" * 70))
