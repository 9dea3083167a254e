"""The stand-in as a database that simulators.tds can serve: logins and statements."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlglot import exp

from simulators.tds.database import Result, SqlError
from simulators.tds.rows import encode
from simulators.wonderware.control import PROCEDURE, Control
from simulators.wonderware.events import Int64s
from simulators.wonderware.faults import Faults, login_failed
from simulators.wonderware.outside import Outside, as_columns
from simulators.wonderware.plant import Plant
from simulators.wonderware.press import Press
from simulators.wonderware.selects import Plan, outside_rows, pass_of, plan_of, sheet_of
from simulators.wonderware.statements import UNSUPPORTED, Parameters, constant, is_global, parsed, value_of

DATABASES = ("", "runtime", "master")
_MOST_PARAMETERS = 2_100
_SILENT = (exp.Set, exp.Use, exp.Transaction, exp.Commit, exp.Rollback, exp.IfBlock)


@dataclass(frozen=True, slots=True)
class Session:
    """One connection."""

    user: str
    database: str


@dataclass(slots=True)
class Counts:
    """What clients did since the start, or since the last reset."""

    logins: int = 0
    statements: int = 0
    history_statements: int = 0  # over extension tables
    rows: int = 0
    bytes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **more: int) -> None:
        """Adds to the counts named."""
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def reset(self) -> None:
        """Sets all to zero but what is in flight."""
        with self._lock:
            self.logins = self.statements = self.history_statements = self.rows = self.bytes = 0
            self.most_in_flight = self.in_flight


class Historian:
    """A Runtime database over a plant."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.faults = Faults()
        self.counts = Counts()
        self.outside = Outside(plant)
        self.press = Press(plant, self.outside)
        self.control = Control(plant, self.faults, self.counts)

    def login(self, user: str, password: str, database: str) -> Session:
        """Raises SqlError 18456, 4060."""
        self.counts.add(logins=1)
        self.faults.login()
        settings = self.plant.settings
        if user != settings.username or password != settings.password:
            raise login_failed(user)
        if database.lower() not in DATABASES:
            raise SqlError(4_060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)
        return Session(user, database or "master")

    def execute(self, session: object, sql: str, parameters: Mapping[str, Any]) -> Iterator[Result]:
        """The results of a batch, one a statement. Raises SqlError, HangUp."""
        del session
        self.counts.add(statements=1, in_flight=1)
        try:
            if len(parameters) > _MOST_PARAMETERS:
                raise SqlError(8_003, f"Too many parameters were provided: the most is {_MOST_PARAMETERS}.")
            for place in range(len(parsed(sql))):
                yield self._result(sql, place, parameters)
        finally:
            self.counts.add(in_flight=-1)

    def _result(self, sql: str, place: int, parameters: Parameters) -> Result:
        statement = parsed(sql)[place]
        if isinstance(statement, exp.Query):
            plan = _plan(sql, place)
            return self._printed(sql, plan, parameters) if plan else self._computed(sql, statement, parameters)
        if isinstance(statement, exp.Execute):
            return self._controlled(statement, parameters)
        if isinstance(statement, _SILENT):
            return Result()
        raise SqlError(UNSUPPORTED, f"The stand-in runs no {type(statement).__name__.upper()} statement.")

    def _printed(self, sql: str, plan: Plan, parameters: Parameters) -> Result:
        self._struck(sql, parameters)
        asked = pass_of(self.plant, self.outside, plan.select, plan.criteria, parameters)
        sheet = sheet_of(plan, self.outside, asked.options, parameters)
        pieces = self.press.pieces(sheet, asked.numbers, asked.span)
        return Result(tuple(self.press.columns(sheet)), self._counted(self.faults.cut(pieces)))

    def _computed(self, sql: str, statement: exp.Expr, parameters: Parameters) -> Result:
        remote: list[bool] = []

        def told() -> None:
            if not remote:
                remote.append(True)
                self._struck(sql, parameters)

        titles, table = outside_rows(self.plant, self.outside, statement, parameters, told)
        columns, table = as_columns(titles, table)
        encoded = encode(columns, table)
        pieces: Iterable[tuple[bytes, Int64s]] = [(encoded.data, encoded.offsets)]
        counted = self._counted(self.faults.cut(iter(pieces)) if remote else iter(pieces))
        return Result(tuple(columns), counted, rows=len(table))

    def _controlled(self, statement: exp.Execute, parameters: Parameters) -> Result:
        procedure = statement.this.name.lower() if isinstance(statement.this, exp.Table) else ""
        if procedure != PROCEDURE:
            raise SqlError(2_812, f"Could not find stored procedure '{procedure}'.")
        arguments = [_argument(node, parameters) for node in statement.expressions]
        if not arguments:
            raise SqlError(201, f"Procedure '{PROCEDURE}' expects parameter '@op', which was not supplied.")
        columns, table = self.control.run(str(arguments[0]), str(arguments[1]) if len(arguments) > 1 else "{}")
        encoded = encode(columns, table)
        return Result(tuple(columns), [encoded.data] if len(table) else [], rows=len(table))

    def _struck(self, sql: str, parameters: Parameters) -> None:
        self.counts.add(history_statements=1)
        self.faults.statement(sql, parameters)

    def _counted(self, pieces: Iterator[tuple[bytes, Int64s]]) -> Iterator[bytes]:
        for data, ends in pieces:
            self.counts.add(rows=len(ends) - 1, bytes=len(data))
            yield data


@lru_cache(maxsize=512)
def _plan(sql: str, place: int) -> Plan | None:
    return plan_of(parsed(sql)[place])


def _argument(node: exp.Expr, parameters: Parameters) -> Any:
    """A value, or `@name = value`."""
    if isinstance(node, exp.EQ):
        node = node.expression
    if isinstance(node, exp.Parameter) and not is_global(node):
        return value_of(node, parameters)
    return constant(node, parameters)
