"""Attributes of points from a source into a real PostgreSQL and the exports, with the history of their changes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets_defs.attributes import read_attributes
from assets_defs.line import Line
from pipelines import samples
from pipelines.marts.attributes import AttributeExport, export_attributes
from pipelines.plant import plant_of
from pipelines.points import Point
from pipelines.ports import ATTRIBUTE_SCHEMA, AttributePage, Unreachable
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.ledger import schema_dsn
from tests.memory import MemorySource, MemoryStore
from tests.unit.cli.conftest import MemoryOutside

POINTS = [Point(name, name, "number", source_key=name) for name in ("A", "B", "C%201")]
FILE = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:1/piwebapi"
start = 2026-01-01T00:00:00Z
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = { dsn_env = "FERRY_UNIT_DSN" }
"""


@pytest.fixture
def ledger(postgres: PostgresAddress) -> Iterator[PostgresLedger]:
    with schema_dsn(postgres.dsn("ledger")) as dsn, contextlib.closing(PostgresLedger(dsn)) as ledger:
        ledger.migrate()
        yield ledger


def table(**bodies: Any) -> pa.Table:
    rows = [
        {"subject": subject, "body": json.dumps(body, sort_keys=True, ensure_ascii=False)}
        for subject, body in bodies.items()
    ]
    return pa.Table.from_pylist(rows, schema=ATTRIBUTE_SCHEMA)


def values(ledger: PostgresLedger, source: str, kind: Any) -> list[tuple[str, str, str | None]]:
    def take(batches: Iterator[pa.RecordBatch]) -> list[tuple[str, str, str | None]]:
        return sorted(tuple(row.values()) for batch in batches for row in batch.to_pylist())  # type: ignore[misc]

    return ledger.attribute_values(source, kind, take)


def changes(ledger: PostgresLedger, source: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values())[:-1] for row in ledger.attribute_changes(source).to_pylist()]


def test_only_what_changed_is_written_and_says_from_what_to_what(ledger: PostgresLedger) -> None:
    save = ledger.save_attributes
    first = table(a={"compdev": 0.5, "exdesc": 'say "x",\n;', "nothing": None}, b={"compdev": 1})
    assert save("s", "point", first) == 2 and save("s", "point", first) == 0
    assert save("other", "point", first) == 2
    assert values(ledger, "s", "point") == [
        ("a", "compdev", "0.5"), ("a", "exdesc", 'say "x",\n;'), ("a", "nothing", None), ("b", "compdev", "1"),
    ]  # fmt: skip
    assert changes(ledger, "s") == [] and ledger.attributes_known("s", "point") == 2
    version = ledger.attributes_version("s")
    assert save("s", "point", table(a={"compdev": 0.25, "nothing": None, "new": True}, c={"compdev": 2})) == 2
    found = [
        ("point", "a", "compdev", "0.5", "0.25"), ("point", "a", "exdesc", 'say "x",\n;', None),
        ("point", "a", "new", None, "true"),
    ]  # fmt: skip
    assert changes(ledger, "s") == found == ledger.attribute_changes_since("s", version, 10)
    assert ledger.attribute_changes("s")["seen_ns"].to_pylist()[0] > 1_700_000_000 * 10**9
    assert save("s", "point", table(a={"compdev": 0.5})) == 1
    assert ledger.attribute_changes_since("s", version, 1) == found[:1]
    assert ("point", "a", "compdev", "0.25", "0.5") in changes(ledger, "s")
    assert values(ledger, "s", "point")[0] == ("a", "compdev", "0.5") and changes(ledger, "other") == []


def test_a_set_that_is_gone_is_told_and_one_that_was_not_read_is_not_gone(ledger: PostgresLedger) -> None:
    def save(kept: Sequence[str], **sets: Any) -> int:
        return ledger.save_attributes("s", "digital_set", table(**sets), kept)

    assert save([], Valve={"0": "Closed", "1": "Open"}, Pump={"0": "Off"}) == 2
    assert save(["Pump"], Valve={"0": "Shut", "1": "Open", "2": "Moving"}) == 1
    assert ledger.attributes_known("s", "digital_set") == 2
    assert save([], Valve={"0": "Shut", "1": "Open", "2": "Moving"}) == 1
    assert changes(ledger, "s") == [
        ("digital_set", "Valve", "0", "Closed", "Shut"), ("digital_set", "Valve", "2", None, "Moving"),
        ("digital_set", "Pump", "0", "Off", None),
    ]  # fmt: skip
    assert save([], Valve={"0": "Shut", "1": "Open", "2": "Moving"}, Pump={"0": "Off"}) == 1
    assert changes(ledger, "s")[-1] == ("digital_set", "Pump", "0", None, "Off")


def test_many_values_come_some_at_a_time(ledger: PostgresLedger) -> None:
    rows = [{"subject": f"P{n}", "body": json.dumps({f"a{m}": "x" * 40 for m in range(40)})} for n in range(4_000)]
    assert ledger.save_attributes("s", "point", pa.Table.from_pylist(rows, schema=ATTRIBUTE_SCHEMA)) == 4_000
    sizes = ledger.attribute_values("s", "point", lambda batches: [len(batch) for batch in batches])
    assert sum(sizes) == 160_000


class TellingSource(MemorySource):
    """Tells attributes, until it is away."""

    pages: list[AttributePage]
    sets = AttributePage()
    away = False

    async def attributes(self, points: Sequence[Point]) -> AsyncGenerator[AttributePage, None]:
        for page in self.pages:
            yield page
        if self.away:
            raise Unreachable("nobody answers")

    async def digital_sets(self) -> AttributePage:
        return self.sets


@contextlib.contextmanager
def line_of(folder: Path, ledger: PostgresLedger, source: MemorySource) -> Iterator[Line]:
    line = Line(plant_of(FILE, folder / "ferry.toml"), run_id="unit")
    line.__dict__.update(ledger=ledger, store=MemoryStore(), outside=MemoryOutside(source))
    yield line


def test_discovery_goes_on_whatever_becomes_of_the_attributes(
    tmp_path: Path, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://127.0.0.1:1/x")
    source = TellingSource("pi1", POINTS, samples.empty())
    source.pages = [AttributePage(table(A={"x": 1}, B={"x": 2}), {"C%201": "404: not found"})]
    source.sets = AttributePage(refusal="the server refuses dataservers/…/enumerationsets (403)")
    with line_of(tmp_path, ledger, source) as line:
        settings = line.plant.source[0]
        line.discover(settings)
        found = read_attributes(line, settings)
        assert found is not None and (found.points, found.sets, found.changed, found.unread) == (2, 0, 2, 1)
        assert found.refusals == [source.sets.refusal] and found.reasons == {"C%201": "404: not found"}
        source.pages = [AttributePage(table(A={"x": 3}))]
        source.sets, source.away = AttributePage(table(Valve={"0": "Shut"})), True
        found = read_attributes(line, settings)
        assert found is not None and found.changes == [("point", "A", "x", "1", "3")] and found.sets == 1
        assert "nobody answers" in found.refusals[0]
        assert values(ledger, "pi1", "point") == [("A", "x", "3"), ("B", "x", "2")]  # what was read stays
        line.outside.source = lambda *_, **__: MemorySource("pi1", POINTS, samples.empty())  # type: ignore[method-assign]
        assert read_attributes(line, settings) is None


def test_exports_have_what_is_and_what_changed(tmp_path: Path, ledger: PostgresLedger) -> None:
    folder = tmp_path / "exports"

    def write(points: set[str], to: Path = folder) -> bool:
        read: Callable[..., Any] = lambda kind, take: ledger.attribute_values("pi1", kind, take)  # noqa: E731
        given = AttributeExport(
            "pi1", to, ledger.attributes_version("pi1"), points, read, lambda: ledger.attribute_changes("pi1")
        )
        return export_attributes(given)

    assert not write({"A"}) and not (folder / "attributes").exists()
    ledger.save_attributes("pi1", "point", table(A={"compdev": 0.5}, B={"compdev": 1}))
    ledger.save_attributes("pi1", "digital_set", table(Valve={"0": "Shut", "odd": "?"}), [])
    assert write({"A", "B"}) and not write({"A", "B"})  # nothing is new
    ledger.save_attributes("pi1", "point", table(A={"compdev": 0.25}))
    assert write({"A", "B"})

    def rows(name: str, to: Path = folder) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in pq.read_table(to / name / "pi1.parquet").to_pylist()]

    assert sorted(rows("attributes")) == [("pi1", "A", "compdev", "0.25"), ("pi1", "B", "compdev", "1")]
    assert rows("digital_states") == [("pi1", "Valve", 0, "Shut"), ("pi1", "Valve", None, "?")]
    [(source, kind, subject, attribute, before, after, seen, seen_ns)] = rows("attribute_changes")
    assert (source, kind, subject, attribute, before, after) == ("pi1", "point", "A", "compdev", "0.5", "0.25")
    assert seen.timestamp() == pytest.approx(seen_ns / 1e9, abs=1e-5)
    assert write({"B"}, tmp_path / "some") and rows("attribute_changes", tmp_path / "some") == []
    assert rows("attributes", tmp_path / "some") == [("pi1", "B", "compdev", "1")]
