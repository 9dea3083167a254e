"""A package of text files: every SQL statement that is longer than a name. Bound parameters only.

A file is one script (a migration, a mart), or several statements, each under a line `-- name: <name>`.
Names of files are relative to this package, with `/`: `ledger/slices.sql`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_ABOUT_THE_NEXT = re.compile(r"(?:^--.*\s*)+\Z", re.MULTILINE)


@cache
def text(name: str) -> str:
    """The text of one file. Raises FileNotFoundError."""
    return files(__name__).joinpath(*name.split("/")).read_text(encoding="utf-8")


def statements(name: str) -> dict[str, str]:
    """The named statements of one file. Raises FileNotFoundError, and ValueError when a name stands there twice."""
    # A comment above a name is about what the name stands for, and ends the statement before.
    _, *parts = _NAME.split(text(name))
    named = dict(zip(parts[::2], (_ABOUT_THE_NEXT.sub("", part).strip() for part in parts[1::2]), strict=True))
    if len(named) * 2 != len(parts):
        raise ValueError(f"{name}: a statement's name stands there twice")
    return named


def names(folder: str) -> list[str]:
    """The .sql files right in one folder, sorted, as `text` takes them. Raises FileNotFoundError."""
    found = files(__name__).joinpath(*folder.split("/"))
    return sorted(f"{folder}/{each.name}" for each in found.iterdir() if each.name.endswith(".sql"))
