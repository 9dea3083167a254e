"""What a source says of its points beside the catalogue: all of their attributes, and the states of digital sets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.points import Point

AttributeKind = Literal["point", "digital_set"]
ATTRIBUTE_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),  # id of the point, name of the digital set
        # one JSON object, its keys sorted: of a point its attributes by name, of a set its states by number
        pa.field("body", pa.string(), nullable=False),
    ]
)

ATTRIBUTE_VALUE_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("attribute", pa.string(), nullable=False),
        pa.field("value", pa.string()),  # a number or an object as its JSON; null for JSON's null
    ]
)
ATTRIBUTE_CHANGE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("attribute", pa.string(), nullable=False),
        pa.field("before", pa.string()),  # null: it was not there
        pa.field("after", pa.string()),  # null: it is there no more
        pa.field("seen_ns", pa.int64(), nullable=False),  # UTC, by the ledger's clock
    ]
)


@dataclass(frozen=True, slots=True)
class AttributePage:
    """Some subjects with what the source says of them, ATTRIBUTE_SCHEMA; `unread` could not be had, and why.

    `refusal`: why the source tells none at all; nothing follows then.
    """

    table: pa.Table = field(default_factory=ATTRIBUTE_SCHEMA.empty_table)
    unread: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


@runtime_checkable
class Attributed(Protocol):
    """A source that tells more of its points than the catalogue has. Nothing here writes to it."""

    def attributes(self, points: Sequence[Point]) -> AsyncGenerator[AttributePage, None]:
        """All attributes of the points, some points at a time. Raises Retry, Stop."""
        ...

    async def digital_sets(self) -> AttributePage:
        """Every digital set with its states. Raises Retry, Stop."""
        ...
