"""An answer of IoTDB as people and programs read it: a table, CSV, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from cli.screen import Screen

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.iotdb.session import Answer

_NUMBERS = frozenset({"INT32", "INT64", "FLOAT", "DOUBLE"})
_SHOWN_CHARS = 300
"""Of a text in a table; longer ones are cut, and it is said."""


def rows_of(answer: Answer, plain_times: bool = False) -> Iterator[list[Any]]:
    """Its rows, read as they are taken: times as ISO 8601 UTC with nine digits, dates as ISO 8601.

    `plain_times` leaves times as the server's numbers: what it shows of itself has another clock than events have.
    Raises Unreachable, Stop, NoRoom as the answer does.
    """
    clock_ns = None if plain_times else answer.clock_ns
    readers = [_reader(type_name, clock_ns) for type_name in answer.types]
    for part in answer.parts:
        columns = [reader(column) for reader, column in zip(readers, part, strict=True)]
        yield from (list(row) for row in zip(*columns, strict=True))


def show_table(screen: Screen, answer: Answer, rows: Iterator[list[Any]], limit: int) -> None:
    """At most `limit` rows as a table, and whether there are more."""
    taken = list(islice(rows, limit))
    right = [index for index, name in enumerate(answer.types) if name in _NUMBERS]
    screen.table("", answer.names, [[_shown(cell) for cell in row] for row in taken], right)
    _say_how_many(screen, len(taken), next(rows, None) is not None)


def put_csv(screen: Screen, answer: Answer, rows: Iterator[list[Any]], limit: int | None) -> None:
    """At most `limit` rows (None: all) as CSV with a header, as they come: a null is empty, an empty text is ""."""
    screen.put(_csv_line(answer.names))
    written = 0
    for row in islice(rows, limit):
        screen.put(_csv_line(row))
        written += 1
    _say_how_many(screen, written, limit is not None and next(rows, None) is not None)


def emit_json(screen: Screen, answer: Answer, rows: Iterator[list[Any]], limit: int) -> None:
    """At most `limit` rows as one object; `more` is whether there are further ones. NaN and infinities are texts."""
    taken = [[_jsonable(cell) for cell in row] for row in islice(rows, limit)]
    more = next(rows, None) is not None
    _say_how_many(screen, len(taken), more)
    screen.emit({"columns": answer.names, "rows": taken, "more": more})


def _say_how_many(screen: Screen, rows: int, more: bool) -> None:
    if more:
        screen.note(
            f"{rows:,} rows, and there are more rows: --limit N shows more, --csv --limit 0 all", style="yellow"
        )
    else:
        screen.note(f"{rows:,} row{'' if rows == 1 else 's'}")


def _reader(type_name: str, clock_ns: int | None) -> Callable[[pa.Array], Iterable[Any]]:
    if type_name == "TIMESTAMP" and clock_ns is not None:
        return lambda column: [None if time is None else _moment(time * clock_ns) for time in column.to_pylist()]
    if type_name == "DATE":
        return lambda column: [None if day is None else _day(day) for day in column.to_pylist()]
    return lambda column: column.to_pylist()


def _moment(time_ns: int) -> str | int:
    """ISO 8601 UTC with nine digits; a number stays one where no calendar reaches."""
    from pipelines.timeline import SECOND_NS, iso

    seconds, fraction = divmod(time_ns, SECOND_NS)
    try:
        return f"{iso(seconds * SECOND_NS)[:-1]}.{fraction:09d}Z"
    except OverflowError:
        return time_ns


def _day(day: int) -> str:
    """IoTDB's 20260131 → 2026-01-31."""
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def _text(cell: object) -> str:
    """A number in as many digits as it has; `true` and `false`; a text as it is."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(_jsonable(cell))


def _shown(cell: object) -> str:
    text = "null" if cell is None else _text(cell)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text):,} characters)"


def _csv_line(cells: Sequence[object]) -> str:
    return ",".join(_csv_cell(cell) for cell in cells) + "\n"


def _csv_cell(cell: object) -> str:
    if cell is None:
        return ""
    text = _text(cell)
    quoted = isinstance(cell, str) and (not text or any(mark in text for mark in ',"\r\n'))
    return '"' + text.replace('"', '""') + '"' if quoted else text


def _jsonable(cell: Any) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        return json.dumps(cell)  # NaN, Infinity, -Infinity: JSON has no numbers for them
    return cell
