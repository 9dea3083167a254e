"""Statements that people write: cut apart at `;`, and only those that read.

The server runs whatever it is sent as a query, a DELETE too, so what may be sent is decided here.
"""

from __future__ import annotations

import re

from pipelines.ports import Stop

_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<comment>--[^\r\n]*|/\*.*?\*/)|(?P<end>;)|(?P<open>(?:'|"|/\*).*)""",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_READING = frozenset({"SELECT", "WITH", "SHOW", "DESC", "DESCRIBE", "COUNT", "LIST"})
_EXPLAINING = frozenset({"EXPLAIN", "ANALYZE", "VERBOSE"})
_WRITING = frozenset({"INSERT", "INTO", "UPDATE", "DELETE", "MERGE"})  # behind EXPLAIN or WITH they would still write
_SUCH_AS = '"SELECT point, count(*) FROM samples GROUP BY point"'
_INSTEAD = "Nothing is ever written from here: use SELECT, SHOW, DESCRIBE or EXPLAIN"


def statements(text: str) -> tuple[list[str], str]:
    """The statements that end with `;`, and what follows the last one; comments have become blanks."""
    found, start, kept = [], 0, []
    for piece in _PIECE.finditer(text):
        if piece["comment"] is not None:
            kept += [text[start : piece.start()], re.sub(r"[^\r\n]", " ", piece[0])]
            start = piece.end()
        elif piece["end"] is not None:
            kept.append(text[start : piece.start()])
            found.append("".join(kept).strip())
            start, kept = piece.end(), []
    return [each for each in found if each], "".join([*kept, text[start:]]).strip()


def only_statement(text: str) -> str:
    """The one statement of a text, which only reads. Raises Stop for none, for several, and for one that writes."""
    found, rest = statements(text)
    if rest:
        found.append(rest)
    if len(found) != 1:
        many = f"{len(found)} statements stand" if found else "no statement stands"
        raise Stop(f"{many} there: give one, such as {_SUCH_AS}")
    return reading(found[0])


def reading(statement: str) -> str:
    """The statement, if it only reads. Raises Stop, which names the word that it stopped at."""
    words = []
    for piece in re.finditer(f"{_PIECE.pattern}|(?P<word>{_WORD.pattern})", statement, re.DOTALL):
        if piece["open"] is not None:
            raise Stop(f"what begins with {piece['open'][:20]!r} is never closed")
        if piece["word"] is not None:
            words.append(piece["word"].upper())
    told = next((word for word in words if word not in _EXPLAINING), None)
    if told is None:
        raise Stop(f"{statement[:40]!r} is no statement. {_INSTEAD}")
    if told not in _READING:
        raise Stop(f"{told} is not a statement that only reads. {_INSTEAD}")
    written = next((word for word in words if word in _WRITING), None)
    if written is not None:
        raise Stop(f'{written} stands in it. {_INSTEAD}; a name such as "{written.lower()}" stands in double quotes')
    return statement
