"""Statements that only set a session up: every client sends some of its own, and no database is asked about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["set", "use", "begin", "commit", "rollback", "save"]

_GAP = re.compile(r"(?:\s|;|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_VERBS = (
    r"SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|EXEC|EXECUTE|DECLARE|SET|IF|WHILE|PRINT|COMMIT|ROLLBACK|USE|BEGIN|SAVE"
)
_NAME = rf"(?:\s+(?!(?:{_VERBS})\b)[\w@#$]+)?"  # of a transaction
_TRANSACTION = rf"(?:\s+(?:TRAN(?:SACTION)?|WORK)\b{_NAME})?"
_TEXT = r"N?'(?:[^']|'')*'"
_FORMS: tuple[tuple[Kind, str], ...] = (
    ("set", r"SET\s+TRANSACTION\s+ISOLATION\s+LEVEL\s+"
            r"(?:READ\s+COMMITTED|READ\s+UNCOMMITTED|REPEATABLE\s+READ|SNAPSHOT|SERIALIZABLE)\b"),
    ("set", r"SET\s+(?P<option>(?:STATISTICS\s+)?[A-Z_]+(?:\s*,\s*[A-Z_]+)*)\s+(?P<value>ON|OFF)\b"),
    ("set", r"SET\s+(?:TEXTSIZE|DATEFIRST|LOCK_TIMEOUT|DEADLOCK_PRIORITY|QUERY_GOVERNOR_COST_LIMIT)\s+-?\d+\b"),
    ("set", r"SET\s+ROWCOUNT\s+0\b"),  # any other number would change what a query answers
    ("set", rf"SET\s+(?:LANGUAGE|DATEFORMAT|DEADLOCK_PRIORITY|CONTEXT_INFO)\s+(?:{_TEXT}|\w+)"),
    ("use", r"USE\s+(?P<database>\[(?:[^\]]|\]\])+\]|\"[^\"]+\"|\w+)"),
    ("begin", rf"BEGIN\s+TRAN(?:SACTION)?\b{_NAME}"),
    ("save", rf"SAVE\s+TRAN(?:SACTION)?\b{_NAME}"),
    ("commit", rf"(?P<only_if>IF\s+@@TRANCOUNT\s*>\s*0\s+)?COMMIT\b{_TRANSACTION}"),
    ("rollback", rf"(?P<only_if>IF\s+@@TRANCOUNT\s*>\s*0\s+)?ROLLBACK\b{_TRANSACTION}"),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(form, re.IGNORECASE)) for kind, form in _FORMS)


@dataclass(frozen=True, slots=True)
class Setup:
    """One such statement."""

    kind: Kind
    options: frozenset[str] = frozenset()  # of SET … ON or OFF, in capitals
    on: bool = False
    database: str = ""  # of USE
    only_within: bool = False  # nothing happens outside a transaction: IF @@TRANCOUNT > 0


def leading(sql: str) -> tuple[list[Setup], str]:
    """The statements of this kind that a batch begins with, and the rest of its text; '' where nothing is left.

    The rest is given as it stands, whatever it says: what stands behind a query is the database's.
    """
    found, place = [], _after_gap(sql, 0)
    while place < len(sql):
        for kind, pattern in _PATTERNS:
            match = pattern.match(sql, place)
            if match:
                found.append(_setup(kind, match.groupdict()))
                place = _after_gap(sql, match.end())
                break
        else:
            return found, sql[place:]
    return found, ""


def _setup(kind: Kind, parts: dict[str, str | None]) -> Setup:
    options = (parts.get("option") or "").upper().split(",")
    database = parts.get("database") or ""
    if database[:1] in ("[", '"'):
        database = database[1:-1].replace("]]", "]")
    return Setup(
        kind,
        frozenset(option.strip() for option in options),
        (parts.get("value") or "").upper() == "ON",
        database,
        bool(parts.get("only_if")),
    )


def _after_gap(sql: str, place: int) -> int:
    match = _GAP.match(sql, place)
    assert match is not None  # it matches nothing, too
    return match.end()
