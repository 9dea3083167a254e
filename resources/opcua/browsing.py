"""Browsing a server: its variables below Objects, each with what it says of itself.

Source: OPC 10000-3, 5.6 (variables), 7.4 (HasProperty); OPC 10000-8, 5.3 (EngineeringUnits, EURange, EnumStrings,
TrueState); OPC 10000-6, 5.1.2 (built-in types).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asyncua import ua

from resources.opcua.client import Session, wanted

_OBJECTS, _HIERARCHICAL, _HAS_PROPERTY, _HAS_SUBTYPE = (ua.NodeId(ua.Int32(i)) for i in (85, 33, 46, 45))
_TYPES = {
    1: "BOOL", 2: "SINT", 3: "USINT", 4: "INT", 5: "UINT", 6: "DINT", 7: "UDINT", 8: "LINT", 9: "ULINT", 10: "REAL",
    11: "LREAL", 26: "LREAL", 27: "LINT", 28: "ULINT", 29: "DINT",
}  # fmt: skip
"""IEC 61131-3 type by built-in data type; STRING for all others, whose values are stored as text."""
_ATTRIBUTES = ("DataType", "ValueRank", "ArrayDimensions", "UserAccessLevel", "Description", "Value")
_PROPERTIES = ("EngineeringUnits", "EURange", "EnumStrings", "EnumValues", "TrueState", "FalseState")
_READ, _HISTORY = 1, 4  # bits of AccessLevel, OPC 10000-3, 8.57


@dataclass(frozen=True, slots=True)
class Variable:
    """`name` is its path, `type` IEC 61131-3, `length` > 1 an array, `states` the names of its numbers."""

    address: str
    name: str
    type: str
    length: int
    readable: bool
    historical: bool
    unit: str = ""
    description: str = ""
    low: float | None = None
    high: float | None = None
    states: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    node: ua.NodeId
    path: tuple[str, ...]
    properties: dict[str, ua.NodeId] = field(default_factory=dict)


async def browse(opened: Session) -> list[Variable]:
    """Every variable below Objects, by its name, but for the server's own."""
    found = await _walk(opened)
    values = await opened.read([wanted(each.node, ua.AttributeIds[name]) for each in found for name in _ATTRIBUTES])
    step = len(_ATTRIBUTES)
    attributes = [
        dict(zip(_ATTRIBUTES, map(_plain, values[at : at + step]), strict=True)) for at in range(0, len(values), step)
    ]
    places = [(place, name, node) for place, each in enumerate(found) for name, node in each.properties.items()]
    for (place, name, _), value in zip(places, await opened.read([wanted(node) for *_, node in places]), strict=True):
        attributes[place][name] = _plain(value)
    kinds = _Kinds(opened)
    made = [await _variable(opened, each, of, kinds) for each, of in zip(found, attributes, strict=True)]
    return sorted(_unique(made), key=lambda each: each.name)


async def _walk(opened: Session) -> list[_Found]:
    """The variables and where their properties are, nearest first; each node once, however many ways lead to it."""
    front: list[_Found] = [_Found(_OBJECTS, ())]
    seen, variables = {_OBJECTS}, list[_Found]()
    while front:
        following: list[_Found] = []
        for parent, reference in await _children(opened, front):
            node = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex)
            name = str(reference.BrowseName.Name)
            if reference.ReferenceTypeId == _HAS_PROPERTY:
                if name in _PROPERTIES:
                    parent.properties[name] = node
            elif node.NamespaceIndex and node not in seen:  # namespace 0 is the standard's own
                seen.add(node)
                child = _Found(node, (*parent.path, name))
                following.append(child)
                if reference.NodeClass == ua.NodeClass.Variable:
                    variables.append(child)
        front = following
    return variables


async def _children(opened: Session, parents: Sequence[_Found]) -> list[tuple[_Found, ua.ReferenceDescription]]:
    found: list[tuple[_Found, ua.ReferenceDescription]] = []
    for at in range(0, len(parents), opened.most("browse")):
        some = parents[at : at + opened.most("browse")]
        asked = ua.BrowseParameters(
            View=ua.ViewDescription(), RequestedMaxReferencesPerNode=0,
            NodesToBrowse=[_wish(each.node, _HIERARCHICAL, ua.BrowseDirection.Forward) for each in some],
        )  # fmt: skip
        open_ends = list(zip(some, await opened.asked.browse(asked), strict=True))
        while open_ends:
            found += [(parent, reference) for parent, result in open_ends for reference in result.References or ()]
            open_ends = [(parent, result) for parent, result in open_ends if result.ContinuationPoint]
            if open_ends:
                following = ua.BrowseNextParameters(
                    ReleaseContinuationPoints=False,
                    ContinuationPoints=[result.ContinuationPoint for _, result in open_ends],
                )
                results = await opened.asked.browse_next(following)
                open_ends = [(parent, result) for (parent, _), result in zip(open_ends, results, strict=True)]
    return found


def _wish(node: ua.NodeId, kind: ua.NodeId, direction: ua.BrowseDirection) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node, BrowseDirection=direction, ReferenceTypeId=kind, IncludeSubtypes=True, NodeClassMask=0,
        ResultMask=63,
    )  # fmt: skip


class _Kinds:
    """The built-in type behind a data type that a server has made of it."""

    def __init__(self, opened: Session) -> None:
        self._opened = opened
        self._known: dict[ua.NodeId, int] = {}

    async def of(self, kind: ua.NodeId) -> int:
        if kind.NamespaceIndex == 0 and kind.Identifier in range(1, 30):
            return int(kind.Identifier)
        if kind not in self._known:
            self._known[kind] = 0  # a circle ends here
            asked = ua.BrowseParameters(
                View=ua.ViewDescription(), RequestedMaxReferencesPerNode=0,
                NodesToBrowse=[_wish(kind, _HAS_SUBTYPE, ua.BrowseDirection.Inverse)],
            )  # fmt: skip
            [result] = await self._opened.asked.browse(asked)
            for reference in result.References or ():
                parent = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex)
                self._known[kind] = await self.of(parent)
        return self._known[kind]


async def _variable(opened: Session, found: _Found, of: Mapping[str, Any], kinds: _Kinds) -> Variable:
    kind = await kinds.of(of["DataType"]) if isinstance(of["DataType"], ua.NodeId) else 0
    access = of["UserAccessLevel"] or 0
    unit, limits = of.get("EngineeringUnits"), of.get("EURange")
    return Variable(
        address=opened.address(found.node),
        name="/".join(found.path),
        type=_TYPES.get(kind, "STRING"),
        length=_length(of),
        readable=bool(access & _READ),
        historical=bool(access & _HISTORY),
        unit=_text(getattr(unit, "DisplayName", None)),
        description=_text(of["Description"]),
        low=getattr(limits, "Low", None),
        high=getattr(limits, "High", None),
        states=dict(_states(of)),
    )


def _length(of: Mapping[str, Any]) -> int:
    """Elements of an array: by its dimensions, else by the value that it has now."""
    if (of["ValueRank"] if isinstance(of["ValueRank"], int) else -1) < 1:
        return 1
    length = 1
    for dimension in of["ArrayDimensions"] or ():
        length *= dimension
    if length > 1:
        return length
    return max(1, len(of["Value"])) if isinstance(of["Value"], list) else 1


def _states(of: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    if isinstance(of.get("EnumStrings"), list):
        yield from enumerate(map(_text, of["EnumStrings"]))
    for each in of.get("EnumValues") or ():
        yield int(getattr(each, "Value", 0)), _text(getattr(each, "DisplayName", None))
    for number, name in enumerate(("FalseState", "TrueState")):
        if _text(of.get(name)):
            yield number, _text(of[name])


def _unique(made: Sequence[Variable]) -> Iterator[Variable]:
    """Of two variables of one path the second one is called by its address, too."""
    taken: set[str] = set()
    for each in made:
        name = each.name if each.name not in taken else f"{each.name} [{each.address}]"
        taken.add(name)
        yield replace(each, name=name)


def _plain(value: ua.DataValue) -> Any:
    return value.Value.Value if value.Value is not None else None


def _text(given: Any) -> str:
    return str(given.Text or "") if isinstance(given, ua.LocalizedText) else ""
