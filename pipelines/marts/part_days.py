"""Figures of the parts of days at the ends of a span, from the landing: the quality marts hold whole UTC days only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.landing import Piece
from pipelines.marts.aggregates import AGGREGATE_SCHEMA
from pipelines.marts.events import Landed, batches, find_neighbours, load, opened
from pipelines.marts.quality import BAD_STATES_SCHEMA, QUALITY_SCHEMA
from pipelines.points import Point
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval

_FEW_HOURS = 6


@dataclass(frozen=True, slots=True)
class PartOfDay:
    """The marts of `span`, a part of one UTC day: `hours` are aggregates of `step_ns`, QUALITY_SCHEMA and
    BAD_STATES_SCHEMA the others."""

    span: Interval
    step_ns: int
    hours: pa.Table
    point_days: pa.Table
    bad_states: pa.Table


def whole_days(span: Interval) -> Interval | None:
    """The whole UTC days inside the span; None where there is none."""
    first, last = -(-span.start_ns // DAY_NS) * DAY_NS, span.end_ns // DAY_NS * DAY_NS
    return Interval(first, last) if first < last else None


def parts_of_days(span: Interval) -> list[Interval]:
    """What of the span is not whole UTC days: no part, one or two, each inside of one day."""
    whole = whole_days(span)
    if whole is None:
        midnight = -(-span.start_ns // DAY_NS) * DAY_NS
        if span.start_ns < midnight < span.end_ns:
            return [Interval(span.start_ns, midnight), Interval(midnight, span.end_ns)]
        return [span]
    ends = ((span.start_ns, whole.start_ns), (whole.end_ns, span.end_ns))
    return [Interval(start, end) for start, end in ends if start < end]


def make_parts(
    span: Interval, points: Sequence[Point], pieces: Sequence[Piece], memory_bytes: int, scratch: Path
) -> list[PartOfDay]:
    """The marts of the parts of days of the span, in time order. `pieces`: current landed files in the span and before
    it, as far as the event that still holds at its start is looked for. Raises DamagedLanding, NoRoom.

    Without landed files nothing is known, and there is no part.
    """
    step_ns = HOUR_NS if span.length_ns > _FEW_HOURS * HOUR_NS else MINUTE_NS
    return [_part(each, step_ns, points, pieces, memory_bytes, scratch) for each in parts_of_days(span) if pieces]


def _part(
    part: Interval, step_ns: int, points: Sequence[Point], pieces: Sequence[Piece], memory_bytes: int, scratch: Path
) -> PartOfDay:
    edges: dict[str, object] = {"start_ns": part.start_ns, "end_ns": part.end_ns}
    with opened(memory_bytes, scratch) as database:
        landed = [Landed(points, pieces, before=pieces)]
        load(database, landed, part)
        find_neighbours(database, landed, part)

        def table(name: str, schema: pa.Schema, values: dict[str, object]) -> pa.Table:
            made = [batch.select(schema.names) for batch in batches(database, name, values)]
            return pa.Table.from_batches(made).cast(schema) if made else schema.empty_table()

        first_day_ns = part.start_ns // DAY_NS * DAY_NS
        return PartOfDay(
            part,
            step_ns,
            table("marts/aggregates.sql", AGGREGATE_SCHEMA, {"step_ns": step_ns, **edges}),
            table("quality/point_days.sql", QUALITY_SCHEMA, {"first_day_ns": first_day_ns, **edges}),
            table("quality/bad_states.sql", BAD_STATES_SCHEMA, {}),
        )
