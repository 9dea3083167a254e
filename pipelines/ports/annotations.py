"""Annotations: what people wrote to single events of a historian. What is asked of a source that tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point

AnnotationState = Literal["told", "lacking", "not_offered"]
"""Of an event that is flagged as annotated: its annotation was told; it could not be had; the source tells none at
all."""

ANNOTATION_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),  # of the event, UTC
        pa.field("tie", pa.int32(), nullable=False),  # of the event
        pa.field("place", pa.int32(), nullable=False),  # 0, or 1, 2, … for further annotations of one event
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # why it is not told; '' where it is
        pa.field("text", pa.string(), nullable=False),  # of another value than a text its JSON
        pa.field("author", pa.string(), nullable=False),
        pa.field("created_ns", pa.int64()),  # UTC
        pa.field("id", pa.string(), nullable=False),  # the source's own
        pa.field("title", pa.string(), nullable=False),
        pa.field("description", pa.string(), nullable=False),
        pa.field("modified_by", pa.string(), nullable=False),
        pa.field("modified_ns", pa.int64()),  # UTC
    ]
)
"""At least a row for every flagged event; '' where the source does not tell a text, null for a time."""


@dataclass(frozen=True, slots=True)
class AnnotationCounts:
    """What became of the annotations of a span: events that the source flags, and how many of these have theirs
    (`told`), or are of a source that tells none (`not_offered`). All others are lacking: `lacking` has how many and why
    of the first such points, by id. `annotations`: an event may have several."""

    events: int = 0
    told: int = 0
    not_offered: int = 0
    annotations: int = 0
    lacking: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Events whose annotation could not be had, though the source tells annotations."""
        return self.events - self.told - self.not_offered


@runtime_checkable
class Annotating(Protocol):
    """A source whose events may be annotated. Nothing here writes to it."""

    async def annotations(self, points: Sequence[Point], events: pa.Table, max_bytes: int) -> pa.Table:
        """The annotations of the events that are flagged, ANNOTATION_SCHEMA.

        `events` are all of a slice, samples.SCHEMA and ordered; those of no point of `points` are lacking. No more than
        `max_bytes` of texts are taken. Raises Retry, Stop.
        """
        ...
