"""The package of SQL texts, and what the ledger's statements may look like."""

from __future__ import annotations

import re

import pytest

import sql
from resources.postgres import migrations

LEDGER = [name for name in sql.names("ledger") if not re.search(r"/\d{4}_", name)]


def test_text_is_the_file() -> None:
    assert "CREATE TABLE slices" in sql.text("ledger/0001_history.sql")


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        sql.text("ledger/9999_none.sql")
    with pytest.raises(FileNotFoundError):
        sql.names("nowhere")


@pytest.mark.parametrize("name", LEDGER)
def test_statements_are_named_and_single(name: str) -> None:
    found = sql.statements(name)
    assert found
    for statement in found.values():
        assert statement
        assert ";" not in statement


@pytest.mark.parametrize("name", sorted(set(LEDGER) - {"ledger/watches.sql", "ledger/locks.sql"}))
def test_the_ledger_is_only_added_to(name: str) -> None:
    """But for markers of change feeds, a place to read on from, which says nothing of history and is new every pass;
    and for who works on what now."""
    for statement in sql.statements(name).values():
        assert not re.search(r"\b(UPDATE|DELETE|TRUNCATE|DROP TABLE|MERGE)\b", statement)


@pytest.mark.parametrize("name", LEDGER)
def test_values_are_bound_by_name(name: str) -> None:
    for statement in sql.statements(name).values():
        assert not re.search(r"%(?!\()", statement)
        assert "{" not in statement.replace("'{}'", "")


def test_a_name_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "text", lambda name: "-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    with pytest.raises(ValueError, match="twice"):
        sql.statements("x.sql")


def test_a_comment_above_a_name_is_not_the_statement_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sql, "text", lambda name: "-- about\n\n-- name: a\n-- why\nSELECT 1\n\n-- b\n-- is\n-- name: b\nSELECT 2"
    )
    assert sql.statements("x.sql") == {"a": "-- why\nSELECT 1", "b": "SELECT 2"}


def test_migrations_are_numbered_without_gaps() -> None:
    assert [each.version for each in migrations.packaged()] == list(range(1, len(migrations.packaged()) + 1))
