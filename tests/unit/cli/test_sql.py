"""`ferry sql` without a server: forms of an answer, and what is refused before anything is opened."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cli.answers import emit_json, put_csv, rows_of, show_table
from cli.screen import Screen
from resources.iotdb.session import Answer
from tests.unit.cli.conftest import Ferry

HOSTILE = "\x1b[31mred\x9b2J\u202e\r"


def answer(columns: dict[str, tuple[str, pa.Array]], clock_ns: int | None = 1, parts: int = 1) -> Answer:
    names, types = list(columns), [each[0] for each in columns.values()]
    return Answer(names, types, iter([[each[1] for each in columns.values()]] * parts), clock_ns)


def times(*values: int | None) -> tuple[str, pa.Array]:
    return "TIMESTAMP", pa.array(values, pa.int64())


def test_times_have_nine_digits_in_any_clock() -> None:
    def read(clock_ns: int | None, plain: bool = False) -> list[Any]:
        return [row[0] for row in rows_of(answer({"t": times(1, None, -1, 2**62)}, clock_ns), plain)]

    assert read(1) == [
        "1970-01-01T00:00:00.000000001Z",
        None,
        "1969-12-31T23:59:59.999999999Z",
        "2116-02-20T23:53:38.427387904Z",
    ]
    assert read(1_000_000)[:3] == ["1970-01-01T00:00:00.001000000Z", None, "1969-12-31T23:59:59.999000000Z"]
    assert read(1_000_000)[3] == 2**62 * 1_000_000
    assert read(None) == read(1, plain=True) == [1, None, -1, 2**62]


def test_a_day_is_a_day() -> None:
    assert list(rows_of(answer({"d": ("DATE", pa.array([20260131, None], pa.int32()))}))) == [["2026-01-31"], [None]]


def test_csv_keeps_numbers_texts_and_nulls_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    values = [0.1, math.nan, -math.inf, 5e-324, None, 2.0**53]
    texts = ["", None, 'say "a",\nb', "null", HOSTILE, "läuft"]
    whole = [2**63 - 1, None, -1, 0, 1, 2]
    found = answer(
        {
            "a,b": ("DOUBLE", pa.array(values)),
            "text": ("STRING", pa.array(texts).dictionary_encode()),
            "n": ("INT64", pa.array(whole)),
        }
    )
    put_csv(Screen(), found, rows_of(found), None)
    path = tmp_path / "answer.csv"
    path.write_text(capsys.readouterr().out, encoding="utf-8", newline="")
    read = (
        duckdb.connect()
        .execute(
            "SELECT * FROM read_csv($path, allow_quoted_nulls = false, "
            "types = {'a,b': 'DOUBLE', 'text': 'VARCHAR', 'n': 'BIGINT'})",
            {"path": str(path)},
        )
        .fetchall()
    )
    assert [row[1:] for row in read] == list(zip(texts, whole, strict=True))
    assert repr([row[0] for row in read]) == repr(values)


def test_json_is_json_with_nan_and_huge_integers(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(
        {
            "v": ("DOUBLE", pa.array([math.nan, math.inf, -math.inf, None])),
            "n": ("INT64", pa.array([2**63 - 1, 0, 1, 2])),
        }
    )
    emit_json(Screen(as_json=True), found, rows_of(found), 10)

    def never(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    read = json.loads(capsys.readouterr().out, parse_constant=never)
    assert read == {
        "columns": ["v", "n"],
        "more": False,
        "rows": [["NaN", 2**63 - 1], ["Infinity", 0], ["-Infinity", 1], [None, 2]],
    }


def test_no_more_is_read_than_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    taken = 0

    def endless() -> Iterator[Sequence[pa.Array]]:
        nonlocal taken
        for part in repeat([pa.array([1, 2, 3])]):
            taken += 1
            yield part

    for form in (show_table, emit_json):
        taken, found = 0, Answer(["n"], ["INT64"], endless(), 1)  # type: ignore[arg-type]
        form(Screen(), found, rows_of(found), 5)
        assert taken == 2
    put_csv(Screen(), found, rows_of(Answer(["n"], ["INT64"], endless(), 1)), 5)  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("more rows") == 3


def test_a_table_shows_every_digit_and_nothing_that_acts(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(
        {"v": ("DOUBLE", pa.array([0.1 + 0.2, None])), HOSTILE: ("STRING", pa.array([HOSTILE, "x" * 5_000]))}
    )
    show_table(Screen(), found, rows_of(found), 10)
    out = capsys.readouterr().out
    assert "0.30000000000000004" in out
    assert "null" in out
    assert "(5,000 characters)" in out
    assert "\\u001b[31mred\\u009b2J\\u202e" in out
    assert not set(out) & set("\x1b\x9b\u202e\r")


def test_lines_and_messages_show_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say(f"point {HOSTILE}\n\tand more")
    screen.note(HOSTILE)
    screen.table("", ("a",), [(f"b\n{HOSTILE}",)])
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x9b\u202e\r")
    assert "point \\u001b[31mred" in out
    assert "\n\tand more" in out.replace("        and more", "\tand more")
    assert "b\\n\\u001b" in out


def test_a_name_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().say("UNIT1:on:RUN and PUMP:fire:A")
    assert capsys.readouterr().out == "UNIT1:on:RUN and PUMP:fire:A\n"


def test_csv_is_exact_in_a_file_and_harmless_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for kind, shown in ((io.StringIO, HOSTILE), (Terminal, "\\u001b[31mred")):
        stream = kind()
        monkeypatch.setattr("sys.stdout", stream)
        Screen().put(HOSTILE)
        assert stream.getvalue().startswith(shown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("DELETE FROM samples",), "DELETE"),
        (("SELECT 1", "--csv", "--json"), "choose one"),
        (("SELECT 1", "--limit", "0"), "--csv"),
        (("SELECT 1", "--limit", "-1"), "--limit"),
        (("SELECT 1; SELECT 2",), "2 statements"),
        (("SELECT 'open",), "never closed"),
    ],
)
def test_misuse_is_refused_before_anything_is_opened(ferry: Ferry, arguments: tuple[str, ...], said: str) -> None:
    """The unit's line has no servers at all: opening one would be another error."""
    found = ferry("sql", *arguments)
    assert found.code == 2
    assert said in found.err


def test_a_statement_may_come_from_a_pipe(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("-- why\nDROP TABLE samples;\n"))
    found = ferry("sql")
    assert found.code == 2
    assert "DROP is not a statement that only reads" in found.err
