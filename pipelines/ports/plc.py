"""Tags of PLCs and connections to them, as the collector asks them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from pipelines.points import Kind
from pipelines.samples import SCHEMA
from pipelines.timeline import MINUTE_NS

CYCLES = "cycle."
"""What the names of the points begin with that tell of cycles: how late each was, or why it was missed."""
CLOCKS = "clock."
"""What the names of the points begin with that tell how far another clock is ahead of ours."""

_TIME = SCHEMA.field("time").type
SPOOL_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string(), nullable=False),  # its name
        *(SCHEMA.field(name) for name in ("time", "value", "text", "code", "quality", "detail")),
        pa.field("received", _TIME, nullable=False),  # when the answer came, by the collector's clock
        pa.field("source", _TIME),  # the source's own stamp, where the protocol has one
        pa.field("server", _TIME),  # the server's own stamp, where the protocol has one (OPC UA)
    ]
)

Told = tuple[int, float | str | None, str | None, int | None, int, int]
"""Time, value, text, code, quality and detail of an event that its source stamped."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One line of a tag map: what is read, where, how often, and what becomes of the value.

    `value` = raw · `scale` + `offset`. `deadband`: None stores every reading, 0 only changes, more only changes by more
    than that. `length` > 1 is an array, one point an element.
    """

    name: str
    connection: str
    address: str
    type: str
    kind: Kind
    interval_ns: int
    group: str
    length: int = 1
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    description: str = ""
    deadband: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The points that it makes, in the order of its elements."""
        return (self.name,) if self.length == 1 else tuple(f"{self.name}[{place}]" for place in range(self.length))

    @property
    def cycle(self) -> str:
        """The point that tells of the cycles in which it is read."""
        return f"{CYCLES}{self.connection}.{self.group}"

    @property
    def scaled(self) -> bool:
        """Whether the value is another than the raw one."""
        return (self.scale, self.offset) != (1.0, 0.0)


def clock_tags(connection: str) -> tuple[Tag, Tag]:
    """The points that tell how far the clocks of a connection are ahead of ours, in s: its server's, its source's."""
    server, source = (
        Tag(
            f"{CLOCKS}{connection}.{whose}", connection, whose, "LREAL", "number", MINUTE_NS, "clock", unit="s",
            description=f"how far the {whose}'s clock is ahead of the collector's",
        )
        for whose in ("server", "source")
    )  # fmt: skip
    return server, source


@dataclass(frozen=True, slots=True)
class Reading:
    """What a PLC answered for one tag. `values` are raw, one an element; none of them where it has none.

    `quality` is OPC classic, `detail` the protocol's own code, `reason` says why it is bad. `source_ns` and `server_ns`
    (UTC) are None where the protocol tells no time, `received_ns` where it came with the others of its cycle.
    """

    values: tuple[bool | int | float | str, ...]
    quality: int
    detail: int = 0
    reason: str = ""
    source_ns: int | None = None
    server_ns: int | None = None
    received_ns: int | None = None


def told(row: Sequence[Any]) -> Told:
    """What of a row in SPOOL_SCHEMA makes it the same event as another; every NaN is one."""
    time_ns, value, text, code, quality, detail = row[1:7]
    return time_ns, "NaN" if isinstance(value, float) and math.isnan(value) else value, text, code, quality, detail


class Spool(Protocol):
    """Where readings are kept first."""

    def append(self, batch: pa.RecordBatch) -> None:
        """On disk when this returns; `batch` in SPOOL_SCHEMA. Raises NoRoom."""
        ...


class PlcConnection(Protocol):
    """One connection to one PLC, used by one thread."""

    def read(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
        """A reading for each tag, or, where it is subscribed, all that came since; connects first where it must.

        A tag that cannot be read is a bad reading with a reason; a protocol that tells the time adds readings of
        `clock_tags`. Returns or raises within the connection's deadline, whatever the PLC does: Retry where the
        connection as a whole fails, Stop where it never can work.
        """
        ...

    def close(self) -> None:
        """Gives the connection up, without waiting; may be called twice."""
        ...
