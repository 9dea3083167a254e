"""Statements over lists of tags: the SQL of sql/wonderware with a marker for every value."""

from __future__ import annotations

from collections.abc import Sequence

import sql
from pipelines.timeline import Interval, to_datetime

_MS_NS = 1_000_000
_HISTORY = sql.statements("wonderware/history.sql")
_TAGS = sql.statements("wonderware/tags.sql")
_JOURNAL = sql.statements("wonderware/journal.sql")

Statement = tuple[str, list[str | int]]


def around(span: Interval) -> Interval:
    """What is asked for: (start, end], whole milliseconds, with all of the half-open span inside."""
    start_ns = (span.start_ns - 1) // _MS_NS * _MS_NS
    end_ns = -(-(span.end_ns - 1) // _MS_NS) * _MS_NS
    return Interval(start_ns, max(end_ns, start_ns + _MS_NS))


def history(name: str, names: Sequence[str], asked: Interval) -> Statement:
    """Rows of the tags in (start, end] of `asked`."""
    return _listed(_HISTORY[name], names), [*names, literal(asked.start_ns), literal(asked.end_ns)]


def count(names: Sequence[str], asked: Interval, span: Interval) -> Statement:
    """Rows and sum of each tag that has any in the half-open span."""
    bounds: list[str | int] = [literal(asked.start_ns), literal(asked.end_ns), span.start_ns, span.end_ns]
    return _listed(_HISTORY["count"], names), [*names, *bounds]


def engine() -> Statement:
    """Something that the retrieval engine answers whatever it holds."""
    return _HISTORY["engine"], []


def keys(names: Sequence[str]) -> Statement:
    """The keys of the tags that there are."""
    return _listed(_TAGS["keys"], names), list(names)


def tags() -> Statement:
    """The whole catalogue."""
    return _TAGS["tags"], []


def probe() -> Statement:
    """How many tags there are, and the server's clock."""
    return _TAGS["probe"], []


def journal(asked: Interval) -> Statement:
    """Alarms and writes in (start, end] of `asked`."""
    return _JOURNAL["entries"], [literal(asked.start_ns), literal(asked.end_ns)]


def count_journal(asked: Interval, span: Interval) -> Statement:
    """How many there are in the half-open span."""
    return _JOURNAL["count"], [literal(asked.start_ns), literal(asked.end_ns), span.start_ns, span.end_ns]


def literal(time_ns: int) -> str:
    """A whole millisecond in the form that the Historian documents, whatever the login's language (HIST/67150)."""
    return f"{to_datetime(time_ns):%Y%m%d %H:%M:%S}.{time_ns // _MS_NS % 1_000:03d}"


def _listed(statement: str, names: Sequence[str]) -> str:
    return statement.replace("{names}", ", ".join("?" * len(names)))
