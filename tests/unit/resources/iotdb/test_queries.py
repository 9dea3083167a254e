"""Statements that people write: cut apart, and only those that read."""

from __future__ import annotations

import pytest

from pipelines.ports import NoRoom, Stop
from resources.iotdb.faults import Fault, complaint_of
from resources.iotdb.queries import only_statement, reading, statements


@pytest.mark.parametrize(
    ("text", "whole", "rest"),
    [
        ("SELECT 1;", ["SELECT 1"], ""),
        ("SELECT 1; \n SELECT 'a;b' ; x", ["SELECT 1", "SELECT 'a;b'"], "x"),
        ("SELECT 'it''s;' FROM x", [], "SELECT 'it''s;' FROM x"),
        ('SELECT "a;b" -- ; not here\nFROM x;', [f'SELECT "a;b" {"":13}\nFROM x'], ""),
        ("/* ; ' */ SELECT 1 ;;", ["SELECT 1"], ""),
        ("SELECT 'never closed; x", [], "SELECT 'never closed; x"),
        ("-- only words\r", [], ""),
    ],
)
def test_statements_end_at_a_semicolon_that_is_one(text: str, whole: list[str], rest: str) -> None:
    assert statements(text) == (whole, rest)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        " (select time from x)",
        "SHOW TABLES",
        "DESC samples",
        "describe x",
        "EXPLAIN SELECT 1",
        "COUNT DEVICES FROM x",
        "explain analyze verbose select 1",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "LIST USER",
        "SELECT 'DELETE', \"update\" FROM x",
    ],
)
def test_what_reads_is_let_through(statement: str) -> None:
    assert reading(statement) == statement
    assert only_statement(f"{statement} ; ") == statement.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM x",
        "(delete from x)",
        "INSERT INTO x VALUES (1)",
        "DROP TABLE x",
        "CREATE TABLE x (a STRING TAG)",
        "FLUSH",
        "UPDATE x SET a = 1",
        "ALTER TABLE x ADD COLUMN a",
        "LOAD 'x'",
        "USE other",
        "SET SYSTEM TO READONLY",
        "KILL QUERY 'x'",
        "EXPLAIN ANALYZE INSERT INTO a SELECT * FROM b",
        "explain analyze verbose delete from x",
        "WITH a AS (SELECT 1) DELETE FROM x",
        "SELECT * INTO y FROM x",
        "/* SELECT */ DROP TABLE x",
        "-- SELECT\rDELETE FROM x --\n",
        "'SELECT' DELETE FROM x",
        "42",
        "EXPLAIN",
        "SELECT 'open",
    ],
)
def test_what_writes_or_is_no_statement_is_refused(statement: str) -> None:
    with pytest.raises(Stop):
        only_statement(statement)


@pytest.mark.parametrize("text", ["", ";", "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM x"])
def test_one_statement_is_one(text: str) -> None:
    with pytest.raises(Stop, match="stand"):
        only_statement(text)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (700, Stop, "mismatched"),
        (550, Stop, "mismatched"),
        (305, Stop, "mismatched"),
        (719, NoRoom, "ask for a shorter time"),
        (803, Stop, "grant this user SELECT"),
        (801, Stop, "password_env"),
    ],
)
def test_a_complaint_is_one_line_and_theirs_to_mend(code: int, kind: type[Exception], said: str) -> None:
    error = complaint_of(Fault(code, "mismatched\n input " + "x" * 5_000), "IoTDB h:1, database d")
    assert type(error) is kind
    assert said in str(error)
    assert f"(IoTDB code {code})" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 800
