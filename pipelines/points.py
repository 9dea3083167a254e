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
    return [point for point in points if is_selected(point.name, include, exclude)]


def is_selected(name: str, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()) -> bool:
    """Whether a point of this name is selected."""
    return any(_matches(name, glob) for glob in include) and not any(_matches(name, glob) for glob in exclude)


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


def may_vanish(points: int, share: float) -> int:
    """How many of so many points may go at once and be believed gone: a share of them or one, never all."""
    return min(max(int(points * share), 1), max(points - 1, 0))


def rekeyed(known: Iterable[Point], found: Iterable[Point]) -> list[tuple[Point, Point]]:
    """The known points that are found under another source key with the same name and type: (known, found).

    Many such pairs are another numbering of the same points, as a server has that was restored or moved. Not one whose
    key is found under another name, while the key that has its name now is new: that point was renamed, and replaced.
    """
    before, now = _by_name(known), _by_name(found)
    old, keys = {point.source_key for point in before.values()}, {point.source_key for point in now.values()}
    pairs = ((point, now[name]) for name, point in before.items() if name in now)
    return [
        (point, other)
        for point, other in pairs
        if other.source_key != point.source_key
        and other.kind == point.kind
        and (point.source_key not in keys or other.source_key in old)
    ]


def rebound(known: Iterable[Point], found: Iterable[Point]) -> list[Point]:
    """The known points with the source keys that their names have among the found ones, and without a key where their
    name is not found: what the keys said before counts no more. Of points of one name the last one has it."""
    before = list(known)
    keys = {name: point.source_key for name, point in _by_name(found).items()}
    owners = {point.name: point.id for point in before}
    return [
        replace(point, source_key=keys.get(point.name, "") if owners[point.name] == point.id else "")
        for point in before
    ]


def _by_name(points: Iterable[Point]) -> dict[str, Point]:
    """The points whose name no other one has."""
    named: dict[str, list[Point]] = {}
    for point in points:
        named.setdefault(point.name, []).append(point)
    return {name: each[0] for name, each in named.items() if len(each) == 1}


def _matches(name: str, glob: str) -> bool:
    return fnmatch.fnmatchcase(name.casefold(), glob.casefold())
