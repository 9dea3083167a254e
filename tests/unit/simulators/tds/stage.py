"""A database whose answers the test writes, and clients of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from simulators.tds import Column, Result, SqlError, encode

USER, PASSWORD = "ferry", "пароль'%;--😀x"
Answer = Callable[[Mapping[str, object]], Iterable[Result]]


@dataclass
class Stage:
    """Answers by the exact text of a query; remembers what was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def login(self, user: str, password: str, database: str) -> object:
        if (user, password) != (USER, PASSWORD):
            raise SqlError(18456, f"Login failed for user '{user}'.", level=14)
        self.databases.append(database)
        return user

    def execute(self, session: object, sql: str, parameters: Mapping[str, object]) -> Iterable[Result]:
        assert session == USER
        with self.lock:
            self.asked.append((sql, dict(parameters)))
        return self.answers.get(sql, one)(parameters)


def one(_: Mapping[str, object]) -> Iterable[Result]:
    yield rowset(1)


def rowset(*numbers: int) -> Result:
    import pyarrow as pa

    columns = (Column("n", "int"),)
    return Result(columns, encode(columns, pa.table({"n": pa.array(numbers, pa.int32())})).blocks())
