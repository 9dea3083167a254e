from __future__ import annotations

import pytest

from simulators.tds.statements import Setup, leading


@pytest.mark.parametrize(
    ("sql", "kinds", "rest"),
    [
        ("SELECT 1", [], "SELECT 1"),
        ("", [], ""),
        (" ;; -- nothing\n/* at\nall */ ;", [], ""),
        ("SET NOCOUNT ON SELECT 1", ["set"], "SELECT 1"),
        ("set nocount on; set textsize 7\nuse [a]]b] select 'SET X ON'", ["set", "set", "use"], "select 'SET X ON'"),
        ("SET ANSI_NULLS, QUOTED_IDENTIFIER ON", ["set"], ""),
        ("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SELECT 1;", ["set"], "SELECT 1;"),
        ("BEGIN TRAN SELECT 1", ["begin"], "SELECT 1"),
        ("BEGIN TRANSACTION t1; SELECT 1; COMMIT", ["begin"], "SELECT 1; COMMIT"),
        ("IF @@TRANCOUNT > 0 COMMIT BEGIN TRANSACTION", ["commit", "begin"], ""),
        ("IF @@TRANCOUNT > 0 ROLLBACK TRAN", ["rollback"], ""),
        ("SET LANGUAGE 'us_english' SET DATEFORMAT ymd", ["set", "set"], ""),
        ("SET ROWCOUNT 10 SELECT 1", [], "SET ROWCOUNT 10 SELECT 1"),
        ("SET @a = 1", [], "SET @a = 1"),
        ("USER_TABLES", [], "USER_TABLES"),
        ("BEGIN SELECT 1 END", [], "BEGIN SELECT 1 END"),
        ("-- note\nSELECT 1", [], "SELECT 1"),
    ],
)  # fmt: skip
def test_only_set_up_statements_in_front_are_taken(sql: str, kinds: list[str], rest: str) -> None:
    found, left = leading(sql)
    assert [each.kind for each in found] == kinds
    assert left == rest


def test_what_they_say() -> None:
    assert leading("USE [a]]b]")[0] == [Setup("use", frozenset([""]), database="a]b")]
    assert leading("SET ANSI_NULLS , NOCOUNT ON")[0] == [Setup("set", frozenset(["ANSI_NULLS", "NOCOUNT"]), on=True)]
    assert leading("IF @@TRANCOUNT > 0 COMMIT TRAN")[0][0].only_within
