"""Where a Historian is, and as whom it is asked."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from pipelines.ports import Stop

DEFAULT_PORT = 1_433
_UNNAMED = "mssqlserver"
_environment = threading.Lock()


@dataclass(frozen=True, slots=True)
class Login:
    """Where and as whom. `ca_file` '' trusts the system's authorities; without `tls` nothing is encrypted."""

    source: str
    host: str
    port: int
    database: str
    user: str
    password: str
    tls: bool = True
    ca_file: str = ""
    connect_s: int = 15
    statement_s: int = 120
    instance: str = ""
    """A named instance, whose port SQL Server Browser tells (browser.py)."""

    def __repr__(self) -> str:
        return f"Login({self.where})"

    @property
    def where(self) -> str:
        """For messages."""
        place = f"{self.host}\\{self.instance}" if self.instance else f"{self.host}:{self.port}"
        return f"source {self.source} at {place}"


class Session(Protocol):
    """One connection. Used by one thread at a time."""

    def read(self, statement: str, values: Sequence[str | int]) -> Iterator[pa.Table]:
        """Rows of a statement with `?` for each value, in parts. Raises TooMuch, Faltered, Stop."""
        ...

    def close(self) -> None:
        """May be called twice, and of a connection that is dead."""
        ...


class Address(NamedTuple):
    """Of a SQL Server."""

    host: str
    port: int = DEFAULT_PORT
    instance: str = ""


def address(source: str, text: str) -> Address:
    """'server', 'server:1433', SQL Server's own 'server,1433', or 'server\\INSTANCE'. Raises Stop.

    An instance beside a port says nothing more; MSSQLSERVER is the one without a name.
    """
    place, _, port = text.replace(",", ":").rpartition(":") if ("," in text or ":" in text) else (text, "", "")
    host, separator, instance = (part.strip() for part in place.partition("\\"))
    if not host or (separator and not instance) or "\\" in instance or (port and not port.strip().isdigit()):
        raise Stop(
            f"source {source}: address {text!r} is not a server: expected host, host:port or host\\INSTANCE (in a TOML "
            "file between single quotes: 'host\\INSTANCE')"
        )
    named = "" if port or instance.casefold() == _UNNAMED else instance
    return Address(host, int(port or DEFAULT_PORT), named)


def trusted_file(login: Login) -> str:
    """The CA file. Raises Stop when it is not there."""
    if login.ca_file and not Path(login.ca_file).is_file():
        raise Stop(f"{login.where}: ca_file {login.ca_file} is not there")
    return login.ca_file


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """An environment variable for the body of the `with`, while a driver connects: its only way to learn of it."""
    with _environment:
        before = os.environ.get(name)
        os.environ[name] = value
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before
