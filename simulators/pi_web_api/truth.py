"""What the plant holds, as the product must store it: straight from the columns, through no JSON and no client.

Rules: the brief of the PI source (design.md rule 4, facts/historians.md part 3). A number is a value; an integer
beyond 2^53, a state and a text are states; quality follows Good=false > Questionable >
Substituted, and a system state has its own; detail is a system state's number.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from pipelines.samples import BAD, GOOD, GOOD_EDITED, NO_CODE, UNCERTAIN, Quality, number_ties, samples_table
from simulators.pi_web_api.events import Bools, Events, Flag, Int32s, Shape, joined
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.states import quality_of_state

_EXACT = 2**53


def truth(
    plant: Plant,
    points: Iterable[str | int] | None,
    start_ns: int,
    end_ns: int,
    hidden: bool = False,
) -> pa.Table:
    """The events of [start, end) in samples.SCHEMA, point by point in the order given (all, by number, for None).

    `point` is the percent-encoded name that the point was first seen under. `hidden` shows what `Plant.hide` hides.
    Raises UnknownPointError.
    """
    wanted = plant.catalogue.numbers() if points is None else [_number(plant, point) for point in points]
    parts, ids, counts = [], [], []
    for number in wanted:
        last_ns = min(end_ns - 1, plant.last_visible_ns(number))
        days = plant.days(number, start_ns, last_ns)
        read = plant.unhidden if hidden else plant.events
        events = joined([read(number, day).between(start_ns, last_ns + 1) for day in days])
        parts.append(events)
        ids.append(quote(plant.catalogue.first_names[number], safe=""))
        counts.append(len(events))
    return table(joined(parts), ids, counts)


def table(events: Events, ids: list[str], counts: list[int]) -> pa.Table:
    """Events of several points one after another → samples.SCHEMA; `counts` events belong to each id."""
    owners = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    numbers = has_number(events)
    texts = _texts(events, numbers)
    codes = np.where(events.shapes <= Shape.SYSTEM, events.codes, NO_CODE)
    detail = np.where(events.shapes == Shape.SYSTEM, events.codes, 0)
    return samples_table(
        {
            "point": pa.DictionaryArray.from_arrays(pa.array(owners), pa.array(ids, pa.string())),
            "time": pa.array(events.times).cast(pa.timestamp("ns", tz="UTC")),
            "tie": pa.array(number_ties(owners, events.times)),
            "value": pa.array(events.amounts(), mask=~numbers),
            "text": texts,
            "code": pa.array(codes, mask=numbers),
            "quality": pa.array(qualities(events)),
            "detail": pa.array(detail.astype(np.int32)),
            "annotated": pa.array(np.ones(len(events), np.bool_), mask=events.flags & Flag.ANNOTATED == 0),
        }
    )


def has_number(events: Events) -> Bools:
    """True where the event has a number that a double holds exactly."""
    beyond = (events.codes > _EXACT) | (events.codes < -_EXACT)
    return np.asarray((events.shapes <= Shape.BOOL) & ~((events.shapes == Shape.INTEGER) & beyond))


def qualities(events: Events) -> Int32s:
    """OPC quality of each event."""
    flags = events.flags
    questionable, substituted = flags & Flag.QUESTIONABLE != 0, flags & Flag.SUBSTITUTED != 0
    found = np.select(
        [
            flags & Flag.BAD != 0,
            questionable & substituted,
            questionable,
            substituted,
        ],
        [BAD, int(Quality.UNCERTAIN_SUBSTITUTED), UNCERTAIN, GOOD_EDITED],
        GOOD,
    ).astype(np.int32)
    for place in np.flatnonzero(events.shapes == Shape.SYSTEM):
        found[place] = quality_of_state(int(events.codes[place]))
    return found


def _texts(events: Events, numbers: Bools) -> pa.Array:
    """Text of every event without a number: '' where it has none."""
    places = np.where(events.texts < 0, 0, events.texts + 1)
    names = pa.array(["", *events.names], pa.string())
    return names.take(pa.array(np.where(numbers, 0, places), mask=numbers))


def _number(plant: Plant, point: str | int) -> int:
    return point if isinstance(point, int) else plant.catalogue.find(point).number
