"""The tag map of a PLC source: rows of the plant file and of a CSV file beside it, checked whole before anything is
connected."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipelines.plant.section import nearest
from pipelines.plant.sources import SourceSettings
from pipelines.plant.spans import duration_ns
from pipelines.points import Kind
from pipelines.ports import CLOCKS, CYCLES, Stop, Tag
from pipelines.timeline import MILLISECOND_NS

COLUMNS = (
    "name", "connection", "address", "type", "scale", "offset", "unit", "deadband", "interval", "group", "description",
)  # fmt: skip
INTERVAL_MIN_NS = 10 * MILLISECOND_NS
KINDS: Mapping[str, Kind] = {
    "BOOL": "boolean",
    **dict.fromkeys(
        ("BYTE", "WORD", "DWORD", "LWORD", "SINT", "USINT", "INT", "UINT", "DINT", "UDINT", "LINT", "ULINT"), "integer"
    ),
    **dict.fromkeys(("REAL", "LREAL"), "number"),
    **dict.fromkeys(("CHAR", "WCHAR", "STRING", "WSTRING"), "string"),
}  # IEC 61131-3, section 6.4.2, elementary data types
_TYPE = re.compile(r"([A-Z]+)(\(\d+\))?(?:\[(\d+)\])?")
_OWN = "[[source.tag]]"
_Row = Mapping[str, str]


def load_tags(settings: SourceSettings, folder: Path) -> list[Tag]:
    """The tags of the source, in the order of the rows. Raises Stop with one line for each mistake."""
    mistakes: list[str] = []
    tags: list[Tag] = []
    taken: dict[str, str] = {}
    intervals: dict[tuple[str, str], tuple[int, str]] = {}
    for place, row in [*_own_rows(settings), *_rows_of_file(settings, folder, mistakes)]:
        wrong = _Wrong()
        tag = _tag(row, settings, wrong)
        for name in tag.names:
            wrong.unless(name not in taken, f"name {name!r} is that of {taken.get(name)}, too")
            taken.setdefault(name, place)
        interval_ns, first = intervals.setdefault((tag.connection, tag.group), (tag.interval_ns, place))
        wrong.unless(
            tag.interval_ns == interval_ns,
            f"another interval than {first} in group {tag.group!r} of the connection: a group is read at once",
        )
        where = f"source {settings.name!r}" if place.startswith(_OWN) else f"{folder / settings.tags}"
        mistakes += [f"{where}: {place}: {each}" for each in wrong]
        tags.append(tag)
    if not tags and not mistakes:
        mistakes.append(f"{folder / settings.tags}: no tag in it")
    if mistakes:
        raise Stop("\n".join(mistakes))
    return tags


def _own_rows(settings: SourceSettings) -> Iterator[tuple[str, _Row]]:
    """Where a row stands, and the row as a file would have it."""
    for number, each in enumerate(settings.tag, 1):
        given = each.model_dump(exclude_none=True, exclude_defaults=True)
        yield f"{_OWN} number {number}", {name: str(value).strip() for name, value in given.items()}


def _rows_of_file(settings: SourceSettings, folder: Path, mistakes: list[str]) -> Iterator[tuple[str, _Row]]:
    """The same of the CSV file; what is wrong with its shape joins the mistakes. Raises Stop if it cannot be read."""
    if not settings.tags:
        return
    path = folder / settings.tags
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise Stop(f"{path}: no such tag map, which source {settings.name!r} names") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Stop(f"{path}: cannot be read as CSV in UTF-8: {error}") from None
    mistakes += [f"{path}: {each}" for each in _wrong_columns(columns)]
    for line, given in rows if not mistakes else ():
        if None in given:
            mistakes.append(f"{path}: line {line}: more cells than the {len(columns)} columns of the first line")
            continue
        row = {name.strip(): (cell or "").strip() for name, cell in given.items()}
        if any(row.values()):
            yield f"line {line}", row


def write_tags(path: Path, rows: Iterable[_Row]) -> None:
    """Writes a tag map with all columns. Raises Stop where the file is there already, or cannot be written."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise Stop(f"{path}: cannot be written: {error.strerror}") from None


class _Wrong(list[str]):
    """What is wrong with a line."""

    def unless(self, right: bool, what: str) -> None:
        if not right:
            self.append(what)

    def number(self, row: _Row, column: str, default: float) -> float:
        text = row.get(column, "")
        if not text:
            return default
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        self.unless(math.isfinite(found), f"{column} is {text!r}: expected a number with a decimal point")
        return found


def _wrong_columns(columns: list[str]) -> Iterator[str]:
    for name in columns:
        if name not in COLUMNS:
            yield f"line 1: unknown column {name!r}{nearest(name, COLUMNS)}; the columns are {', '.join(COLUMNS)}"
        if columns.count(name) > 1:
            yield f"line 1: column {name!r} stands there twice"
    for name in ("name", "address"):
        if name not in columns:
            yield f"line 1: no column {name!r}"


def _tag(row: _Row, settings: SourceSettings, wrong: _Wrong) -> Tag:
    known = [connection.name for connection in settings.connection]
    connection = row.get("connection") or (known[0] if len(known) == 1 else "")
    wrong.unless(bool(row["name"]), "no name")
    for ours, what in ((CYCLES, "cycles"), (CLOCKS, "clocks")):
        wrong.unless(not row["name"].startswith(ours), f"names that begin with {ours!r} tell of {what}")
    wrong.unless(bool(row["address"]), "no address")
    wrong.unless(
        connection in known,
        f"connection {connection!r}{nearest(connection, known)}; the plant file has {', '.join(known)}",
    )
    type_text = row.get("type", "")
    match = _TYPE.fullmatch(type_text) if type_text else None
    wrong.unless(
        not type_text or (match is not None and match[1] in KINDS),
        f"type {type_text!r}{nearest(type_text, KINDS)}: expected one of {', '.join(KINDS)}, with [n] for an array",
    )
    kind = KINDS.get(match[1], "number") if match else "number"
    length = int(match[3]) if match and match[3] else 1
    wrong.unless(length > 0, f"type {type_text!r}: an array has at least one element")
    scale, offset = wrong.number(row, "scale", 1.0), wrong.number(row, "offset", 0.0)
    wrong.unless(scale != 0, "scale is 0: every value would be the same")
    scaled = (scale, offset) != (1.0, 0.0)
    wrong.unless(not scaled or kind in ("number", "integer"), f"scale and offset are for numbers, not for {type_text}")
    deadband = wrong.number(row, "deadband", math.nan) if row.get("deadband") else None
    if deadband is not None:
        wrong.unless(not deadband < 0, f"deadband {deadband:g} is below 0")
        wrong.unless(
            not deadband > 0 or kind in ("number", "integer"), f"a deadband is for numbers, not for {type_text}"
        )
    return Tag(
        name=row["name"], connection=connection, address=row["address"], type=type_text,
        kind="number" if scaled else kind, interval_ns=_interval_ns(row, settings, wrong),
        group=row.get("group") or "all", length=max(length, 1), scale=scale, offset=offset, unit=row.get("unit", ""),
        description=row.get("description", ""), deadband=deadband,
    )  # fmt: skip


def _interval_ns(row: _Row, settings: SourceSettings, wrong: _Wrong) -> int:
    text = row.get("interval", "")
    if not text:
        return settings.interval
    try:
        found = duration_ns(text)
    except ValueError as error:
        wrong.append(f"interval: {error}")
        return settings.interval
    wrong.unless(found >= INTERVAL_MIN_NS, f"interval {text!r} is below {INTERVAL_MIN_NS // MILLISECOND_NS} ms")
    return found
