"""The prompt of `ferry sql`: statements over several lines until `;`, with a history that lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_HISTORY_LINES = 1_000
_FIRST, _FURTHER = "ferry> ", "   ..> "
_LEAVING = frozenset({"quit", "exit", "\\q"})


def typed(history: Path, note: Callable[[str], None]) -> Iterator[str]:
    """The statements that somebody types, until `quit` or the end of the input; Ctrl-C drops what was begun."""
    from resources.iotdb.queries import statements

    with _remembered(history) as remember:
        begun = ""
        while True:
            try:
                line = input(_FURTHER if begun else _FIRST)
            except KeyboardInterrupt:
                begun = ""
                note("")
                continue
            except EOFError:
                note("")
                return
            if not begun and line.strip().rstrip(";").lower() in _LEAVING:
                return
            begun = f"{begun}\n{line}" if begun else line
            whole, rest = statements(begun)
            if not whole:
                begun = begun if rest else ""
                continue
            remember(" ".join(begun.split()))
            begun = ""
            yield from whole
            if rest:
                note(f"left out, because no ; ends it: {rest}")


@contextlib.contextmanager
def _remembered(history: Path) -> Iterator[Callable[[str], None]]:
    """Lends the terminal's line editing, and its history of earlier prompts."""
    try:
        import readline
    except ImportError:  # Windows
        yield lambda _: None
        return
    readline.set_auto_history(False)  # a statement is one entry, however many lines it had
    readline.clear_history()
    readline.set_history_length(_HISTORY_LINES)
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        yield readline.add_history
    finally:
        with contextlib.suppress(OSError):  # a folder of another user: then there is no history
            history.touch(mode=0o600)
            readline.write_history_file(history)
