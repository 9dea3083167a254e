"""Texts of a source in Markdown: shown, and nothing more."""

from __future__ import annotations

import pytest

from assets_defs.markdown import bullets, plain, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PUMP_1 [bar] (a*b)", "PUMP_1 [bar] (a*b)"),
        ("![x](http://127.0.0.1/a.png)", "\\!\\[x]\\(http://127.0.0.1/a.png)"),
        ("[x](http://127.0.0.1)", "[x]\\(http://127.0.0.1)"),
        ("<img src=x>", "\\<img src=x>"),
        ("a`b`", "a\\`b\\`"),
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("one\ntwo\x1b[31m\u202e", "one\\u000atwo\\u001b[31m\\u202e"),
        ("Kessel é 🌡 温度", "Kessel é 🌡 温度"),
    ],
)
def test_a_text_is_shown_as_it_stands(text: str, shown: str) -> None:
    assert plain(text).replace("\\\\u", "\\u") == shown


def test_tables_and_lists_are_made_of_such_texts() -> None:
    assert table(["point"], [["![a](b)"]]).splitlines()[2] == "| \\!\\[a]\\(b) |"
    assert bullets(["a|b", "c"]) == "- a\\|b\n- c"
