"""Where output goes: results on stdout and progress on stderr; with --json one object on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TextIO

from cli.outcome import without_secrets

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 160
"""Columns of a table that goes into a file or a pipe, where nobody's window is the limit."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What would act on a terminal or turn its text round; lines and tabs are not among them."""


class Screen:
    """What one command shows. `secrets` are values that must never be shown."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.secrets: set[str] = set()
        self.emitted = False
        self._stdout: TextIO = sys.stdout

    @cached_property
    def aside(self) -> Console:
        """The console of progress and messages: stderr."""
        return _console(sys.stderr)

    @cached_property
    def results(self) -> Console:
        """The console of what was asked for: stdout, or stderr beside JSON."""
        return self.aside if self.as_json else _console(sys.stdout)

    @property
    def live(self) -> bool:
        """Whether progress may move on a terminal."""
        return self.aside.is_terminal and not self.aside.is_dumb_terminal

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Beside JSON, nothing but `emit` reaches stdout, whatever libraries and child processes print."""
        if not self.as_json:
            yield
            return
        before: TextIO = sys.stdout
        self._stdout = before
        with contextlib.ExitStack() as stack:
            stack.callback(setattr, self, "_stdout", before)
            if before is sys.__stdout__:
                before.flush()
                self._stdout = stack.enter_context(os.fdopen(os.dup(1), "w", encoding="utf-8"))
                stack.callback(os.dup2, self._stdout.fileno(), 1)
                os.dup2(2, 1)
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
            yield

    def emit(self, result: dict[str, Any]) -> None:
        """Writes the one JSON object, when it is asked for."""
        if self.as_json and not self.emitted:
            self.emitted = True
            print(self._clean(json.dumps(result, ensure_ascii=False)), file=self._stdout, flush=True)

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line of the result."""
        self.results.print(self._clean(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str, style: str | None = "dim") -> None:
        """A line about what goes on."""
        self.aside.print(self._clean(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def fail(self, text: str) -> None:
        """The one message of a command that failed."""
        self.note(f"ferry: {text}", style="bold red")

    def put(self, text: str) -> None:
        """What other programs read, to stdout as it is; a terminal gets it with nothing that would act on it."""
        self._stdout.write(visible(text) if self._stdout.isatty() else text)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        right: Collection[int] | None = None,
    ) -> None:
        """Rows under their names; to the right the columns that `right` counts up, or those of numbers."""
        from rich.table import Table
        from rich.text import Text

        body = [list(row) for row in rows]
        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for index, name in enumerate(columns):
            numbers = bool(body) and all(isinstance(row[index], int | float | None) for row in body)
            justify: Literal["left", "right"] = "right" if (numbers if right is None else index in right) else "left"
            table.add_column(Text(self._clean(name)), justify=justify, header_style="dim", overflow="fold")
        for row in body:
            table.add_row(*(Text(_one_line(self._clean(_cell(cell)))) for cell in row))
        self.results.print(table)

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[Callable[[str], None]]:
        """Says what takes a while: a spinner on a terminal, a line elsewhere. The body may tell what it is at."""
        if not self.live:
            self.note(f"{what} …")
            yield lambda _: None
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.aside, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda at: progress.update(task, description=f"{what}: {at}" if at else what)

    def _clean(self, text: str) -> str:
        return visible(without_secrets(text, self.secrets))


def visible(text: str) -> str:
    """The text with every control character as its number, such as \\u001b."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")


def _console(file: TextIO) -> Console:
    from rich.console import Console

    console = Console(file=file, emoji=False)  # a name such as UNIT1:on:RUN stays one
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _cell(cell: object) -> str:
    if cell is None:
        return "?"
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.1f}"
