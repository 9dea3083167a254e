"""Markdown for metadata that a person reads in the UI: tables and lists of texts that are nobody's Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ROWS = 25
_ESCAPED = {"\\": "\\\\", "`": "\\`", "<": "\\<", "![": "\\!\\[", "](": "]\\(", "|": "\\|"}
"""What would make a text code, HTML, a picture that a browser fetches, a link or another column."""


def plain(text: object) -> str:
    """A text that may be a source's own, in one line: shown as it stands, with control characters made visible."""
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(text))
    for mark, escaped in _ESCAPED.items():
        shown = shown.replace(mark, escaped)
    return shown


def bullets(texts: Iterable[object]) -> str:
    """A list, a line each."""
    return "\n".join(f"- {plain(each)}" for each in texts)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; long ones are cut, with the number of rows left out. 'none' for no rows."""
    every = list(rows)
    if not every:
        return "none"
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in every[:_ROWS]]
    if len(every) > _ROWS:
        lines.append(f"\n… and {len(every) - _ROWS:,} more")
    return "\n".join(lines)
