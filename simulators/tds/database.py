"""What the server asks of whatever answers the queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from simulators.tds.columns import Column
from simulators.tds.rows import Block

LOGIN_FAILED = 18456
FATAL_LEVEL = 20  # from here on an error ends the connection


class SqlError(Exception):
    """An ERROR token. The connection stays usable, but after an error at login or of level 20 and more."""

    def __init__(self, number: int, message: str, level: int = 16, state: int = 1) -> None:
        super().__init__(f"{number}: {message}")
        self.number, self.message, self.level, self.state = number, message, level, state


class HangUp(Exception):
    """The connection is to be cut at once, without a word; also from inside a result's blocks."""


@dataclass(slots=True)
class Result:
    """What one statement gave: a rowset, or with no columns the number of rows that it changed.

    `blocks` are taken one by one while they are sent, and hold whole ROW tokens each; where all of them are `Block`,
    or `rows` says the total, the client is told how many rows there were. A cancel is seen between two blocks.
    """

    columns: tuple[Column, ...] = ()
    blocks: Iterable[bytes | memoryview | Block] = ()
    rows: int | None = None  # of the rowset, where known
    affected: int | None = None  # rows changed by a statement without a rowset; None for none to speak of


class Database(Protocol):
    """Logs people in and answers queries. Called from a thread per connection."""

    def login(self, user: str, password: str, database: str) -> object:
        """A session, opaque to the server. Raises SqlError(18456, "Login failed for user 'x'.", level=14)."""
        ...

    def execute(self, session: object, sql: str, parameters: Mapping[str, object]) -> Iterable[Result]:
        """The results of a query, consumed lazily; parameters by name, "@P1".

        Values are None, bool, int, float, Decimal, str, bytes, or np.datetime64[ns] for dates and times.
        Raises SqlError or HangUp, here, from the iterator, or from the blocks of a result.
        """
        ...
