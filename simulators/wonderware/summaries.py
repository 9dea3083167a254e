"""AnalogSummaryHistory: one row a tag and cycle, of analog tags alone (facts/historians.md 2.1, 2.10).

Cycles are half-open, [start, end), and follow from wwCycleCount or wwResolution (ms); without either the whole span is
one. ValueCount, minimum, maximum, first and last take the stored rows of Latest that have a value and are not bad;
average and integral hold each value up to the next row. How a real server counts bad rows is unverified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from simulators.tds.database import SqlError
from simulators.wonderware.configuration import arrow_schema
from simulators.wonderware.events import BAD, MILLISECOND_NS, SECOND_NS, Events
from simulators.wonderware.plant import Plant
from simulators.wonderware.retrieval import Options
from simulators.wonderware.statements import UNSUPPORTED
from simulators.wonderware.tables import SUMMARY
from simulators.wonderware.zones import to_wall

_MOST_CYCLES = 1_000_000


def cycles_of(first_ns: int, end_ns: int, inputs: Mapping[str, Any]) -> list[tuple[int, int]]:
    """[start, end) of each cycle, UTC ns. Raises SqlError for more than a million, or none."""
    count, resolution_ms = inputs.get("wwcyclecount"), inputs.get("wwresolution")
    if end_ns <= first_ns:
        return []
    if resolution_ms:
        step_ns = int(resolution_ms) * MILLISECOND_NS
        count = -(-(end_ns - first_ns) // step_ns)
    else:
        count = int(count or 1)
        step_ns = (end_ns - first_ns) // max(count, 1)
    if not 0 < count <= _MOST_CYCLES or step_ns <= 0:
        raise SqlError(UNSUPPORTED, f"{count} cycles of {step_ns} ns are none that the stand-in makes.")
    edges = [first_ns + place * step_ns for place in range(count)] + [end_ns]
    return list(pairwise(edges))


def summary_rows(plant: Plant, numbers: Sequence[int], cycles: list[tuple[int, int]], options: Options) -> pa.Table:
    """The rows of AnalogSummaryHistory, tag by tag."""
    rows: list[dict[str, Any]] = []
    for number in numbers:
        if plant.birth(number).kind != "analog" or not cycles:
            continue
        events = plant.window(number, cycles[0][0], cycles[-1][1] - 1, options.version)
        before = plant.before(number, cycles[0][0], options.version)
        for start_ns, end_ns in cycles:
            inside = events.between(start_ns, end_ns)
            row = _summary(inside, before, start_ns, end_ns)
            row |= {"TagName": plant.catalogue.spec(number).name, "SourceTag": plant.catalogue.spec(number).name}
            row |= {"wwTagKey": number, "wwVersion": options.version.name, "wwRetrievalMode": options.mode.upper()}
            rows.append(row | {"StartDateTime": start_ns, "EndDateTime": end_ns})
            before = inside.take(slice(len(inside) - 1, None)) if len(inside) else before
    schema = arrow_schema(SUMMARY.columns)
    echoes = {name: dict(options.echoes).get(name.lower()) for name in schema.names if name.startswith("ww")}
    known = [{name: row.get(name, echoes.get(name)) for name in schema.names} for row in rows]
    table = pa.Table.from_pylist(known, schema=schema)
    for place, field in enumerate(schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field, _walls(table.column(place), options.zone))
    return table


def _walls(column: pa.ChunkedArray, zone: str) -> pa.Array:
    times = column.combine_chunks().cast(pa.int64())
    known = np.asarray(times.is_valid())
    walls = to_wall(np.asarray(times.fill_null(0)), zone)
    return pa.array(walls, mask=~known).cast(pa.timestamp("ns"))


def _summary(events: Events, before: Events, start_ns: int, end_ns: int) -> dict[str, Any]:
    """One cycle; `before` is the last row ahead of it, or none."""
    counted = events.take(events.valid & (events.quality != BAD))
    row: dict[str, Any] = {"ValueCount": len(counted), "OPCQuality": 192 if len(counted) else 0}
    if len(counted):
        low, high = int(np.argmin(counted.numbers)), int(np.argmax(counted.numbers))
        for name, place in (("First", 0), ("Last", -1), ("Min", low), ("Max", high)):
            column = {"Min": "Minimum", "Max": "Maximum"}.get(name, name)
            row[column] = float(counted.numbers[place])
            row[f"{name}DateTime"] = int(counted.times[place])
        row["StdDev"] = float(np.std(counted.numbers))
    return row | _held(events, before, start_ns, end_ns)


def _held(events: Events, before: Events, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Time-weighted average, integral in value times seconds, and the share of time with a good value, percent."""
    times = np.concatenate([[start_ns] if len(before) else [], events.times]).astype(np.int64)
    numbers = np.concatenate([before.numbers, events.numbers])
    good = np.concatenate([before.valid & (before.quality != BAD), events.valid & (events.quality != BAD)])
    spans_s = np.diff(np.append(times, end_ns)) / SECOND_NS
    known_s = float(spans_s[good].sum())
    if known_s <= 0:
        return {"PercentGood": 0.0}
    integral = float((numbers * spans_s)[good].sum())
    percent = 100.0 * known_s * SECOND_NS / (end_ns - start_ns)
    return {"Integral": integral, "Average": integral / known_s, "PercentGood": percent}
