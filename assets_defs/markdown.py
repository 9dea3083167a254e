"""Markdown tables for metadata that a person reads in the UI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ROWS = 25


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; long ones are cut, with the number of rows left out. 'none' for no rows."""
    every = list(rows)
    if not every:
        return "none"
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in every[:_ROWS]]
    if len(every) > _ROWS:
        lines.append(f"\n… and {len(every) - _ROWS:,} more")
    return "\n".join(lines)
