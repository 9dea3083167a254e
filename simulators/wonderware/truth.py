"""What the plant holds, as the product must store it: straight from the columns, through no SQL and no client.

The faithful copy is Latest, Full (facts/historians.md 2.3, 2.9); rows that retrieval makes up (Quality 133,
QualityDetail 65536) are no part of it. Quality: facts 2.5 and part 3; OPCQuality counts first, QualityDetail where that
is NULL or says nothing, and Quality only for Bad and Doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from pipelines.samples import GOOD, GOOD_EDITED, GOOD_FLOOR, NO_CODE, UNCERTAIN, number_ties, ordered, samples_table
from simulators.wonderware.events import BAD as QUALITY_BAD
from simulators.wonderware.events import DOUBTFUL, QD_EDITED, Events, Int32s, Version, joined
from simulators.wonderware.events import GOOD as QUALITY_GOOD
from simulators.wonderware.plant import Plant
from simulators.wonderware.specs import Spec

_BASE = 0xFF  # under the flag bits of QualityDetail and of OPCQuality
_BAD_KINDS = {24: 24, 10: 24, 1: 8, 64: 4}  # QualityDetail → OPC quality of a bad row; all others are 0


def truth(
    plant: Plant,
    start_ns: int,
    end_ns: int,
    names: Iterable[str] | None = None,
    *,
    hidden: bool = False,
    system: bool = True,
) -> pa.Table:
    """The events of [start, end) in samples.SCHEMA, ordered; of all tags for no names.

    `point` is the percent-encoded name that the tag was first seen under. `hidden` shows what `Plant.hide` hides,
    `system` takes the Historian's own Sys… tags too. Raises UnknownTagError.
    """
    catalogue = plant.catalogue
    numbers = catalogue.numbers() if names is None else [catalogue.find(name).number for name in names]
    last_ns = min(end_ns - 1, plant.last_visible_ns())
    read = plant.unhidden if hidden else plant.events
    tables = []
    for number in numbers:
        if not system and catalogue.spec(number).is_system:
            continue
        days = plant.days(number, start_ns, last_ns)
        parts = [read(number, day).between(start_ns, last_ns + 1).version(Version.LATEST) for day in days]
        point = quote(catalogue.first_names[number], safe="")
        tables.append(_table(plant.birth(number), joined(parts), point))
    return ordered(pa.concat_tables(tables).unify_dictionaries()) if tables else samples_table({"time": pa.array([])})


def _table(spec: Spec, events: Events, point: str) -> pa.Table:
    """One tag's rows in samples.SCHEMA."""
    rows = len(events)
    codes = np.zeros(rows, dtype=np.int32)
    state = (events.numbers >= 0) & (events.numbers < 2.0**53) & (events.numbers == np.floor(events.numbers))
    numbers = {"analog": events.valid, "discrete": events.valid & ~state}.get(spec.kind, np.zeros(rows, dtype=np.bool_))
    coded = events.valid & ~numbers & (spec.kind == "discrete")
    states = np.where(coded, events.numbers, NO_CODE)
    return samples_table(
        {
            "point": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([point], pa.string())),
            "time": pa.array(events.times).cast(pa.timestamp("ns", tz="UTC")),
            "tie": pa.array(number_ties(codes, events.times)),
            "value": pa.array(events.numbers, mask=~numbers),
            "text": _texts(spec, events, numbers),
            "code": pa.array(states.astype(np.int64), mask=numbers),
            "quality": pa.array(qualities(events)),
            "detail": pa.array(events.detail),
        }
    )


def _texts(spec: Spec, events: Events, numbers: np.ndarray) -> pa.Array:
    """Text of every event without a number: '' where it has none, the message of a discrete tag's state."""
    if spec.kind == "string":
        places, words = np.where(events.valid, events.texts + 1, 0), ("", *events.names)
    elif spec.kind == "discrete" and spec.messages is not None:
        known = events.valid & ((events.numbers == 0) | (events.numbers == 1))
        places, words = np.where(known, events.numbers + 1, 0).astype(np.int64), ("", *spec.messages)
    else:
        places, words = np.zeros(len(events), dtype=np.int64), ("",)
    return pa.array(words, pa.string()).take(pa.array(places, mask=numbers))


def qualities(events: Events) -> Int32s:
    """OPC quality of each row."""
    base = events.detail & _BASE
    bad = np.zeros(len(events), dtype=np.int32)
    for detail, quality in _BAD_KINDS.items():
        bad[base == detail] = quality
    opc = events.opc & _BASE
    doubtful, edited = events.quality == DOUBTFUL, base == QD_EDITED
    without_opc = np.select(
        [(events.quality == QUALITY_GOOD) & events.valid, doubtful],
        [np.where(edited, GOOD_EDITED, GOOD), UNCERTAIN],
        bad,
    )
    with_opc = np.select(
        [
            ~events.valid | (events.quality == QUALITY_BAD),
            doubtful & (opc >= GOOD_FLOOR),
            opc >= GOOD_FLOOR,
            opc >= UNCERTAIN,
        ],
        [
            np.where((opc > 0) & (opc < UNCERTAIN), opc, bad),
            UNCERTAIN,
            np.where(edited & (opc == GOOD), GOOD_EDITED, opc),
            opc,
        ],
        np.where(opc != 0, opc, bad),
    )
    return np.where(events.opc < 0, without_opc, with_opc).astype(np.int32)
