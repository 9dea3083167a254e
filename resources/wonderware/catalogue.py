"""Discovery: analog, discrete and string tags with what the plant wants to know of them (facts/historians.md 2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.points import Kind, Point, point_id, selected
from resources.wonderware.asking import tags
from resources.wonderware.server import Server

_TYPES: dict[int, tuple[Kind, str]] = {1: ("number", "analog"), 2: ("digital", "discrete"), 3: ("string", "string")}
_SYSTEM = "sys"
_STORAGE = {0: "not stored", 1: "cyclic", 2: "delta", 3: "forced"}


async def discover(server: Server, include: Sequence[str], exclude: Sequence[str]) -> list[Point]:
    """The selected tags, by their ids. Raises Stop, Retry.

    Tags of the Historian itself begin with `Sys` and are left out, unless a glob of `include` begins so, too.
    """
    table = await server.ask(*tags())
    rows = [] if table is None else table.to_pylist()
    points = [_point(row) for row in rows]
    if not any(glob.casefold().startswith(_SYSTEM) for glob in include):
        points = [point for point in points if not point.name.casefold().startswith(_SYSTEM)]
    return sorted(selected(points, include, exclude), key=lambda point: point.id)


def _point(row: Mapping[str, Any]) -> Point:
    name = str(row["TagName"])
    kind, source_type = _TYPES[int(row["TagType"])]
    low, high = row["MinEU"], row["MaxEU"]
    number = kind == "number"
    messages = {"message0": row["Message0"] or "", "message1": row["Message1"] or ""} if kind == "digital" else {}
    storage = row["StorageType"]
    attributes = {**messages, "storage": "" if storage is None else _STORAGE.get(int(storage), f"type {storage}")}
    return Point(
        id=point_id(name),
        name=name,
        kind=kind,
        source_key=str(row["wwTagKey"]),
        address=name,
        source_type=source_type,
        unit=row["Unit"] or "",
        description=row["Description"] or "",
        step=not number,
        zero=float(low) if number and low is not None else None,
        span=float(high) - float(low) if number and low is not None and high is not None else None,
        digital_set=" / ".join(text for text in messages.values() if text),
        attributes={key: text for key, text in attributes.items() if text},
    )
