"""The point catalogue: points with stable ids, and the fixed point groups they are scheduled in."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote, unquote

Kind = Literal["number", "integer", "boolean", "digital", "string", "timestamp", "blob"]
NUMERIC_KINDS = frozenset({"number", "integer", "boolean"})


@dataclass(frozen=True, slots=True)
class Point:
    """One signal in a source.

    `id` is the percent-encoded first-seen name and never changes; `source_key` is what the source itself keeps
    through a rename (PI: server GUID and point id); `address` is what a read of it needs now (PI: the WebId).
    """

    id: str
    name: str
    kind: Kind
    source_key: str = ""
    address: str = ""
    source_type: str = ""
    unit: str = ""
    description: str = ""
    step: bool = False
    future: bool = False
    digital_set: str = ""
    zero: float | None = None
    span: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)


def point_id(name: str) -> str:
    """The stable id of a point first seen under `name`: percent-encoded UTF-8, safe in every writer."""
    return quote(name, safe="")


def point_name(identifier: str) -> str:
    """The first-seen name behind an id."""
    return unquote(identifier)


def group_of(identifier: str, groups: int) -> int:
    """The bucket of a point, 0 ≤ bucket < groups, by a hash of its id: discovery never moves a point."""
    digest = hashlib.blake2b(identifier.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % groups


def group_label(index: int) -> str:
    """The point group as the UI, the ledger and the folders call it."""
    return f"g{index:03d}"


def group_index(label: str) -> int:
    """The inverse of `group_label`. Raises ValueError for another text."""
    if not (label.startswith("g") and label[1:].isdigit()):
        raise ValueError(f"{label!r} is not a point group: expected a label such as g000")
    return int(label[1:])


def in_group(points: Iterable[Point], label: str, groups: int) -> list[Point]:
    """The points of one group, in the order of their ids."""
    index = group_index(label)
    return sorted((p for p in points if group_of(p.id, groups) == index), key=lambda p: p.id)


def selected(points: Iterable[Point], include: Sequence[str] = ("*",), exclude: Sequence[str] = ()) -> list[Point]:
    """The points whose name matches a glob of `include` and none of `exclude`; case counts as in no historian."""
    return [
        point
        for point in points
        if any(_matches(point.name, glob) for glob in include)
        and not any(_matches(point.name, glob) for glob in exclude)
    ]


def merge_catalogue(known: Iterable[Point], found: Iterable[Point]) -> list[Point]:
    """The found points under the ids they had before: a renamed point keeps its id, a newcomer never takes one.

    A newcomer whose name another point was first seen under gets that name with `~2`, `~3`, … appended.
    """
    by_key = {p.source_key: p.id for p in known if p.source_key}
    taken = {p.id for p in known}
    merged: list[Point] = []
    for point in sorted(found, key=lambda p: (p.source_key not in by_key, p.source_key)):
        identifier = by_key.get(point.source_key) or (point.id if not point.source_key else None)
        if identifier is None:
            identifier, suffix = point_id(point.name), 2
            while identifier in taken:
                identifier, suffix = f"{point_id(point.name)}~{suffix}", suffix + 1
        taken.add(identifier)
        merged.append(replace(point, id=identifier))
    return merged


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name.casefold(), glob.casefold())
