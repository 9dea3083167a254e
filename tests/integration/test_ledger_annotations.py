"""Annotations in a real PostgreSQL: those of a slice that is proved again take the place of those before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pipelines.ports import ANNOTATION_SCHEMA, AnnotationCounts
from pipelines.timeline import Interval
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.ledger import proof_table, schema_dsn, verified

ALL = Interval(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def dsn(postgres: PostgresAddress) -> Iterator[str]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def ledger(dsn: str) -> Iterator[PostgresLedger]:
    with contextlib.closing(PostgresLedger(dsn)) as ledger:
        ledger.migrate()
        yield ledger


def note(point: str, time_ns: int, text: str = "", tie: int = 0, place: int = 0, **more: Any) -> dict[str, Any]:
    nothing = {each.name: "" for each in ANNOTATION_SCHEMA if each.type == pa.string()}
    return {
        **nothing,
        "state": "told",
        "point": point,
        "time_ns": time_ns,
        "text": text,
        "tie": tie,
        "place": place,
        **more,
    }


def lacking(point: str, time_ns: int, state: str = "lacking", reason: str = "refused") -> dict[str, Any]:
    return note(point, time_ns, state=state, reason=reason)


def commit(
    ledger: PostgresLedger, source: str, start: int, end: int, *rows: dict[str, Any], group: str = "g000"
) -> None:
    table = pa.Table.from_pylist(list(rows), schema=ANNOTATION_SCHEMA)
    ledger.commit(verified(source, start, end, group), proof_table({"a": 1}), annotations=table)


def texts(ledger: PostgresLedger, source: str, span: Interval = ALL) -> list[tuple[str, int, int, int, str]]:
    rows = ledger.annotations(source, span).to_pylist()
    return [(row["point"], row["time_ns"], row["tie"], row["place"], row["text"] or row["reason"]) for row in rows]


def test_every_text_survives(ledger: PostgresLedger) -> None:
    given = [
        note("a", -5, 'He said "no",\n; ✎ ', author="P\\x", created_ns=-(2**63), modified_ns=2**63 - 1, id="1"),
        note("a", -5, "", place=1), note("a", -5, "tie", tie=1, title="n", description="d", modified_by="m"),
    ]  # fmt: skip
    commit(ledger, "whole", -10, 0, *given)
    expected = pa.Table.from_pylist(given, schema=ANNOTATION_SCHEMA)
    assert ledger.annotations("whole", ALL).equals(expected.sort_by([("tie", "ascending"), ("place", "ascending")]))
    commit(ledger, "nul", 0, 10, note("a", 5, "a\x00b"))
    assert texts(ledger, "nul")[0][-1] == "a\ufffdb"


def test_a_slice_that_is_proved_again_brings_its_own(ledger: PostgresLedger) -> None:
    source = "again"
    commit(ledger, source, 0, 10, note("a", 3, "one"), note("b", 9, "two"))
    commit(ledger, source, 0, 10, note("c", 3, "other group"), group="g001")
    commit(ledger, source, 0, 10, note("a", 3, "ONE"), note("b", 9, "two"))  # edited, and the same again
    assert texts(ledger, source) == [("a", 3, 0, 0, "ONE"), ("b", 9, 0, 0, "two"), ("c", 3, 0, 0, "other group")]
    commit(ledger, source, 5, 20, note("b", 12, "new"))  # cut otherwise: what was at 9 is gone
    assert [row[:2] for row in texts(ledger, source)] == [("a", 3), ("b", 12), ("c", 3)]
    assert texts(ledger, source, Interval(4, 13)) == [("b", 12, 0, 0, "new")]
    commit(ledger, source, 0, 30)  # no event is flagged any more
    assert texts(ledger, source) == [("c", 3, 0, 0, "other group")]


def test_a_commit_that_does_not_speak_of_them_lets_them_stand(ledger: PostgresLedger, dsn: str) -> None:
    source = "silent"
    commit(ledger, source, 0, 10, note("a", 3, "one"))
    ledger.commit(verified(source, 0, 10), proof_table({"a": 1}))
    assert [row[-1] for row in texts(ledger, source)] == ["one"]
    commit(ledger, source, 40, 50)
    with psycopg.connect(dsn) as connection:  # nor is a word kept of slices that have none
        spans = connection.execute("SELECT span::text FROM annotation_slices WHERE source = 'silent'").fetchall()
        assert spans == [("[0,10)",)]
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("DELETE FROM annotations")


def test_what_is_lacking_is_counted_and_named(ledger: PostgresLedger) -> None:
    source = "counted"
    commit(
        ledger, source, 0, 10,
        note("a", 1, "one"), note("a", 1, "two", place=1), note("a", 2, "x"), note("a", 2, "y", tie=1),
        lacking("b", 3), lacking("b", 4), lacking("c", 5, "not_offered", "the server tells none"),
    )  # fmt: skip
    assert ledger.annotation_counts(source, ALL) == AnnotationCounts(6, 3, 1, 4, {"b": (2, "refused")})
    assert ledger.annotation_counts(source, ALL).missing == 2
    assert ledger.annotation_counts(source, Interval(0, 3)) == AnnotationCounts(3, 3, 0, 4, {})
    assert ledger.annotation_counts("nobody", ALL) == AnnotationCounts()


def test_what_was_told_before_stays_where_it_is_lacking_now(ledger: PostgresLedger) -> None:
    source = "kept"
    commit(ledger, source, 0, 10, note("a", 1, "one", created_ns=7), note("a", 1, "two", place=1), note("a", 2, "x"))
    commit(ledger, source, 0, 10, lacking("a", 1), note("a", 2, "X"), lacking("a", 3))
    assert texts(ledger, source) == [
        ("a", 1, 0, 0, "one"), ("a", 1, 0, 1, "two"), ("a", 2, 0, 0, "X"), ("a", 3, 0, 0, "refused"),
    ]  # fmt: skip
    assert ledger.annotations(source, ALL)["created_ns"].to_pylist()[0] == 7
    assert ledger.annotation_counts(source, ALL) == AnnotationCounts(3, 2, 0, 3, {"a": (1, "refused")})
