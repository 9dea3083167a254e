"""Discovery: analog, discrete and string tags with what the plant wants to know of them (facts/historians.md 2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.points import Kind, Point, is_selected, point_id
from resources.wonderware.asking import tags
from resources.wonderware.server import Server
from resources.wonderware.texts import text_of

_TYPES: dict[int, tuple[Kind, str]] = {1: ("number", "analog"), 2: ("digital", "discrete"), 3: ("string", "string")}
_SYSTEM_DRIVER = 3
"""AcquisitionType of the Historian's own tags (HIST/1220349)."""
_SYSTEM = "of the Historian itself (system driver); a glob of `points` that begins with their name asks for them"
_OTHERS = {
    4: "structures: values of several fields, which History does not show",
    5: "events: detections, which stand in EventHistory and not in History",
    7: "summaries: aggregates of another tag, several numbers a cycle; that tag's own history is read where it is",
}
_NO_NAME = "whose names are no Unicode text"
_WILD = ("*", "?", "[")
_STORAGE = {0: "not stored", 1: "cyclic", 2: "delta", 3: "forced"}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a Historian has of what is asked for."""

    points: list[Point]
    left_out: dict[str, tuple[str, ...]]
    """Names of tags that are not read, by why."""


async def discover(server: Server, include: Sequence[str], exclude: Sequence[str]) -> Catalogue:
    """The selected tags, by their ids, and what is left out of them and why. Raises Stop, Retry."""
    table = await server.ask_whole(*tags())
    points: list[Point] = []
    left_out: dict[str, list[str]] = {}
    asked_for = [glob for glob in include if not glob.startswith(_WILD)]
    for row in [] if table is None else table.to_pylist():
        name = text_of(row["Name"], lenient=False)
        if not is_selected(name, include, exclude):
            continue
        own = row["AcquisitionType"] == _SYSTEM_DRIVER and not is_selected(name, asked_for, ())
        why = _unread(row["TagType"]) or (_SYSTEM if own else "") or ("" if _is_text(name) else _NO_NAME)
        if why:
            left_out.setdefault(why, []).append(name if _is_text(name) else ascii(name))
        else:
            points.append(_point(name, row))
    points.sort(key=lambda point: point.id)
    return Catalogue(points, {why: tuple(sorted(names)) for why, names in left_out.items()})


def _unread(tag_type: int | None) -> str:
    """Why tags of a type are not read; '' for those that are."""
    if tag_type in _TYPES:
        return ""
    return _OTHERS.get(tag_type or 0, f"of type {tag_type}, which is not known here")


def _is_text(name: str) -> bool:
    """Whether it can be written down at all: SQL Server takes a lone surrogate for a character."""
    return all(not "\ud800" <= character <= "\udfff" for character in name)


def _point(name: str, row: Mapping[str, Any]) -> Point:
    kind, source_type = _TYPES[int(row["TagType"])]
    low, high = row["MinEU"], row["MaxEU"]
    number = kind == "number"
    messages = {key.casefold(): text_of(row[key]) for key in ("Message0", "Message1")} if kind == "digital" else {}
    storage = row["StorageType"]
    attributes = {**messages, "storage": "" if storage is None else _STORAGE.get(int(storage), f"type {storage}")}
    return Point(
        id=point_id(name),
        name=name,
        kind=kind,
        source_key=str(row["wwTagKey"]),
        address=name,
        source_type=source_type,
        unit=text_of(row["Unit"]),
        description=text_of(row["Description"]),
        step=not number,
        zero=float(low) if number and low is not None else None,
        span=float(high) - float(low) if number and low is not None and high is not None else None,
        digital_set=" / ".join(text for text in messages.values() if text),
        attributes={key: text for key, text in attributes.items() if text},
    )
