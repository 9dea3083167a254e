"""Faults on demand, so that a client can be shown what a real server does wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulators.tds.database import HangUp, SqlError
from simulators.wonderware.events import Int64s
from simulators.wonderware.statements import Parameters
from simulators.wonderware.tagging import TOO_COMPLEX, TOO_COMPLEX_TEXT

KINDS = ("error", "hang_up", "slow", "too_long", "login")
_TEXTS = {
    1_205: "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as "
    "the deadlock victim. Rerun the transaction.",
    7_303: 'Cannot initialize the data source object of OLE DB provider "INSQL" for linked server "INSQL".',
    7_320: 'Cannot execute the query against OLE DB provider "INSQL" for linked server "INSQL".',
    7_330: 'Cannot fetch a row from OLE DB provider "INSQL" for linked server "INSQL".',
    7_399: 'The OLE DB provider "INSQL" for linked server "INSQL" reported an error. Execution terminated.',
    TOO_COMPLEX: TOO_COMPLEX_TEXT,
}
_LEVELS = {1_205: 13}


@dataclass(slots=True)
class Fault:
    """One standing order.

    `kind`: `error` (error `number` in the place of an answer), `hang_up` (the connection is cut after `rows` rows),
    `slow` (`seconds` before the answer, each time `factor` times as long), `too_long` (statements of more than
    `characters` are refused with `number`), `login` (refused); `error` only strikes statements that name `tag`, where
    one is given. Strikes statements over extension tables, the first
    `after` of them not, then `times` of them (-1: all).
    """

    kind: str
    times: int = 1
    after: int = 0
    number: int = 1_205
    rows: int = 0
    seconds: float = 1.0
    factor: float = 1.0
    characters: int = 8_000
    tag: str = ""


def read_fault(given: dict[str, Any]) -> Fault:
    """A fault from its JSON form. Raises ValueError."""
    unknown = set(given) - set(Fault.__dataclass_fields__)
    if unknown or given.get("kind") not in KINDS:
        raise ValueError(f"a fault has {', '.join(Fault.__dataclass_fields__)}; kinds are {', '.join(KINDS)}")
    defaults = {"too_long": {"number": TOO_COMPLEX, "times": -1}, "slow": {"times": -1}, "login": {"number": 18_456}}
    return Fault(**{**defaults.get(given["kind"], {}), **given})


@dataclass(slots=True)
class Faults:
    """The standing orders."""

    sleep: Callable[[float], None] = time.sleep
    orders: list[Fault] = field(default_factory=list)
    struck: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def login(self) -> None:
        """Raises SqlError 18456 where the next login is to be refused."""
        if self._pick("login"):
            raise login_failed("")

    def statement(self, sql: str, parameters: Parameters) -> None:
        """Strikes a statement over an extension table. Raises SqlError."""
        self._slow()
        long = self._pick("too_long", lambda fault: len(sql) > fault.characters)
        if long:
            raise refusal(long.number)
        given = {str(value) for value in parameters.values()}
        error = self._pick("error", lambda fault: not fault.tag or fault.tag in given or f"'{fault.tag}'" in sql)
        if error:
            raise refusal(error.number)

    def cut(self, pieces: Iterator[tuple[bytes, Int64s]]) -> Iterator[tuple[bytes, Int64s]]:
        """The pieces (bytes, and where each row ends from 0 on) up to the row at which the connection is cut."""
        fault = self._pick("hang_up")
        if fault is None:
            yield from pieces
            return
        left = fault.rows
        for data, ends in pieces:
            rows = min(left, len(ends) - 1)
            left -= rows
            yield data[: int(ends[rows])], np.asarray(ends[: rows + 1])
            if left <= 0:
                break
        raise HangUp

    def _slow(self) -> None:
        fault = self._pick("slow")
        if fault:
            seconds, fault.seconds = fault.seconds, fault.seconds * fault.factor
            self.sleep(seconds)

    def _pick(self, kind: str, meant: Callable[[Fault], bool] = lambda fault: True) -> Fault | None:
        with self._lock:
            for fault in self.orders:
                if fault.kind != kind or not fault.times or not meant(fault):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1 if fault.times > 0 else 0
                self.struck += 1
                return fault
        return None


def refusal(number: int) -> SqlError:
    """The error with this number."""
    text = _TEXTS.get(number, f"The stand-in was told to fail with error {number}.")
    return SqlError(number, text, _LEVELS.get(number, 16))


def login_failed(user: str) -> SqlError:
    """What SQL Server says to a wrong password."""
    return SqlError(18_456, f"Login failed for user '{user}'.", 14)
