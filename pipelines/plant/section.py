"""What every table of the plant file is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# The description of a field is what an error says that was expected (complaints).
Word = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="a word of lower-case letters, digits and _ that begins with a letter, at most 63 long",
    ),
]
Cron = Annotated[
    str, Field(pattern=r"^\S+( \S+){4}$", description='the five fields of cron, UTC, such as "*/5 * * * *"')
]


class Section(BaseModel):
    """A table of the plant file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def nearest(word: str, known: Iterable[str]) -> str:
    """The part of an error that names the known word most like `word`; nothing where none is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
