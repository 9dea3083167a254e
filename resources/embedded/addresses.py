"""Where an embedded server is, and how it is."""

from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Login of the embedded PostgreSQL; the password stays out of reprs and thus out of logs."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def dsn(self, database: str) -> str:
        """URL for `database`, with the password in it: for drivers, never for messages."""
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{quote(database, safe='')}"


@dataclass(frozen=True, slots=True)
class IoTDBAddress:
    """Login of the embedded IoTDB; the password stays out of reprs and thus out of logs."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is right now: `pids` of its live processes, `detail` for a person."""

    name: str
    running: bool
    pids: tuple[int, ...]
    address: str
    detail: str
