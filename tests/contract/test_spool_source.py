"""What was spooled of PLCs, read as any other source is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.collect import Recorder
from pipelines.points import point_id
from pipelines.ports import SPOOL_SCHEMA, Reading, Source, Tag
from pipelines.timeline import SECOND_NS, Interval, parse
from resources.plc4x.source import SpoolSource
from resources.plc4x.spool import SpoolReader, SpoolWriter
from tests.contract.source_contract import SourceCase, SourceContract

START = parse("2026-01-01T00:00:00Z")
KINDS = ("number", "integer", "boolean", "string")
TAGS = [
    Tag(
        f"Halle 1/Ü{place} % {kind}", "plc1", f"holding-register:{place}", "",
        kind, SECOND_NS, "fast", length=1 + place // 4,  # type: ignore[arg-type]
    )
    for place, kind in enumerate(KINDS * 2)
]  # fmt: skip


def value(kind: str, second: int, element: int) -> Any:
    number = second * 7 % 11 + element
    return {"number": number / 3, "integer": 2**53 + number, "boolean": bool(number % 2), "string": f"läuft {number}"}[
        kind
    ]


def spooled(folder: Path) -> pa.Table:
    """Writes a minute of cycles with bad and late readings, ties and a missed cycle; returns what they are."""
    writer, recorder = SpoolWriter(folder, segment_bytes=20_000), Recorder()
    rows = []
    for second in range(60):
        due_ns = START + second * SECOND_NS
        readings = [Reading(tuple(value(tag.kind, second, place) for place in range(tag.length)), 192) for tag in TAGS]
        readings[0] = Reading(
            (second / 2,), 192, source_ns=START + (second // 5 * 3 % 40) * SECOND_NS
        )  # late, and ties
        if second % 9 == 4:
            readings[1] = Reading((), 4, 17, "INVALID_ADDRESS")
        if second == 30:
            recorder.missed("cycle.plc1.fast", [due_ns], due_ns + 5, TAGS, "no answer within 2 s")
        else:
            recorder.cycle("cycle.plc1.fast", due_ns, due_ns + 1_000_003, list(zip(TAGS, readings, strict=True)))
        batch = recorder.take()
        assert batch is not None
        writer.append(batch)
        rows.append(batch)
    writer.close()
    return pa.Table.from_batches(rows)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> SourceCase:
    folder = tmp_path_factory.mktemp("spool")
    found = spooled(folder)
    seen: dict[tuple[str, int], int] = {}
    rows = []
    for row in found.to_pylist():
        key = row["point"], row["time"].value
        tie = seen[key] = seen.get(key, -1) + 1
        kept = {name: row[name] for name in ("time", "value", "text", "code", "quality", "detail")}
        rows.append({"point": point_id(row["point"]), "tie": tie, **kept})
    everything = pa.Table.from_pylist(rows, schema=samples.SCHEMA)

    def truth(span: Interval) -> pa.Table:
        times = samples.times_ns(everything)
        return everything.filter(pa.array((times >= span.start_ns) & (times < span.end_ns)))

    @asynccontextmanager
    async def connect() -> AsyncIterator[Source]:
        source = SpoolSource("line1", TAGS, SpoolReader(folder))
        yield source
        await source.close()

    return SourceCase(
        connect=connect,
        connect_tiny=connect,
        truth=truth,
        span=Interval(START, START + 60 * SECOND_NS),
        empty=Interval(START - SECOND_NS, START),
        point_count=sum(tag.length for tag in TAGS) + 1,
        missing=lambda point: dataclasses.replace(point, name="another", address="another"),
        tick_ns=1,
    )


class TestSpoolSource(SourceContract):
    pass


def test_the_schema_of_the_spool_is_that_of_events_and_three_more_times() -> None:
    assert set(SPOOL_SCHEMA.names) - set(samples.SCHEMA.names) == {"received", "source", "server"}
    assert set(samples.SCHEMA.names) - set(SPOOL_SCHEMA.names) == {"tie", "annotated"}


def test_a_tag_without_a_type_is_of_the_kind_that_was_read(tmp_path: Path) -> None:
    tags = [Tag(name, "plc1", name, "", "number", SECOND_NS, "fast") for name in ("Batch", "Level", "Never", "Shift")]
    said = {
        "Batch": Reading(("läuft",), 192),
        "Level": Reading((1.5,), 192),
        "Never": Reading((), 4, 17, "INVALID_ADDRESS"),
        "Shift": Reading(("",), 192),
    }
    recorder, writer = Recorder(), SpoolWriter(tmp_path)
    recorder.cycle("cycle.plc1.fast", START, START + 5, [(tag, said[tag.name]) for tag in tags])
    batch = recorder.take()
    assert batch is not None
    writer.append(batch)
    writer.close()
    points = asyncio.run(SpoolSource("line1", tags, SpoolReader(tmp_path)).discover())
    found = {point.name: point.kind for point in points}
    assert {name: found[name] for name in said} == {
        "Batch": "string", "Level": "number", "Never": "number", "Shift": "number",
    }  # fmt: skip
