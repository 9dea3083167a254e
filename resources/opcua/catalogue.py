"""Discovery: the variables of which a server has history, and one point for each element of an array."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from pipelines.plant import KINDS
from pipelines.points import Kind, Point, point_id, selected
from resources.opcua.browsing import Variable, browse
from resources.opcua.server import Server


async def discover(server: Server, include: Sequence[str], exclude: Sequence[str]) -> list[Point]:
    """The selected points, by their ids. Raises Stop, Retry."""
    variables = await server.ask(browse)
    points = [point for each in variables if each.historical for point in _points(each)]
    return sorted(selected(points, include, exclude), key=lambda point: point.id)


def states_of(point: Point) -> dict[int, str]:
    """The names of a digital point's numbers."""
    return {int(number): name for number, name in json.loads(point.attributes.get("states", "{}")).items()}


def place_of(point: Point) -> tuple[int, int]:
    """Which element it is, and of how many."""
    element, _, length = point.attributes.get("element", "0/1").partition("/")
    return int(element), int(length)


def _points(each: Variable) -> Iterator[Point]:
    kind: Kind = "digital" if each.states and each.type != "STRING" else KINDS[each.type]
    for element in range(each.length):
        place = f"[{element}]" if each.length > 1 else ""
        attributes = {"element": f"{element}/{each.length}"} if place else {}
        if kind == "digital":
            attributes["states"] = json.dumps(each.states, ensure_ascii=False)
        yield Point(
            id=point_id(each.name + place),
            name=each.name + place,
            kind=kind,
            source_key=each.address + place,
            address=each.address,
            source_type=each.type,
            unit=each.unit,
            description=each.description,
            step=kind != "number",
            zero=each.low,
            span=each.high - each.low if each.low is not None and each.high is not None else None,
            digital_set=" / ".join(each.states.values()) if kind == "digital" else "",
            attributes=attributes,
        )
