"""The plant file is changed between commands: whatever is called proved afterwards is in the store, point by point."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from assets_defs.following import check_store, sweep
from assets_defs.line import Line
from assets_defs.marts_line import write_exports
from pipelines import samples
from pipelines.plant import plant_of
from pipelines.points import Point, selected
from pipelines.ports import Stop
from pipelines.timeline import HOUR_NS, Interval, iso, parse, subtract
from pipelines.transfer.generations import within
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.ledger import schema_dsn
from tests.memory import MemorySource, MemoryStore
from tests.unit.cli.conftest import MemoryOutside

START = parse("2026-01-01")
ALL = Interval(START - 48 * HOUR_NS, START + 72 * HOUR_NS)
NAMES = ["A1", "A2", "B1", "B2", "C1"]


@dataclass(frozen=True)
class File:
    """What of a plant file is changed here."""

    points: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    groups: int = 2
    window: str = "day"
    start: int = 0
    end: int = 30
    name: str = "pi1"

    def text(self) -> str:
        return f"""
            [plant]
            name = "unit"
            [[source]]
            name = "{self.name}"
            kind = "pi_web_api"
            url = "http://127.0.0.1:9/piwebapi"
            points = {list(self.points)}
            exclude = {list(self.exclude)}
            point_groups = {self.groups}
            window = "{self.window}"
            start = {iso(START + self.start * HOUR_NS)}
            end = {iso(START + self.end * HOUR_NS)}
            [store]
            iotdb = "127.0.0.1:1"
            [ledger]
            postgres = {{ dsn_env = "FERRY_UNIT_DSN" }}
            """


class Selecting(MemorySource):
    """Shows the points that it is asked for, as every source does."""

    file = File()

    async def discover(self) -> list[Point]:
        return selected(self.points, self.file.points, self.file.exclude)


def _events(name: str) -> pa.Table:
    rows = [
        {"point": name, "time": at_ns, "tie": 0, "value": float(at_ns // HOUR_NS % 50), "text": None, "code": None,
         "quality": 192, "detail": 0}
        for at_ns in range(ALL.start_ns + HOUR_NS // 2, ALL.end_ns, 3 * HOUR_NS)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=samples.SCHEMA)


def _of(table: pa.Table, point: str, spans: list[Interval]) -> list[tuple[int, float]]:
    mine = table.filter(pc.equal(table["point"].cast(pa.string()), point))
    parts = [within(mine, span).select(["time", "value"]).to_pylist() for span in spans]
    return sorted((row["time"].value, row["value"]) for part in parts for row in part)


@dataclass
class World:
    """A source, a store and a ledger, and the plant file as it is now."""

    folder: Path
    ledger: PostgresLedger
    store: MemoryStore
    source: Selecting
    file: File

    @contextlib.contextmanager
    def line(self) -> Iterator[Line]:
        plant = plant_of(self.file.text(), self.folder / "ferry.toml")
        self.source.name, self.source.file = self.file.name, self.file
        line = Line(plant, run_id="unit")
        line.__dict__.update(ledger=self.ledger, store=self.store, outside=MemoryOutside(self.source))
        yield line

    def run(self, command: str) -> bool:
        """Whether it was not refused; what it says it proved must be there."""
        with self.line() as line:
            of_source = line.plant.source[0]
            try:
                getattr(self, f"_{command}")(line, of_source)
            except Stop as error:
                assert "ferry" in str(error) or "Set point_groups" in str(error)  # says what to do
                return False
            finally:
                self._check(line)
        return True

    def _discover(self, line: Line, of_source: Any) -> None:
        line.discover(of_source)

    def _sweep(self, line: Line, of_source: Any) -> None:
        sweep(line, of_source, 30.0, mend=True)

    def _check_store(self, line: Line, of_source: Any) -> None:
        check_store(line, of_source, 30.0)

    def _backfill(self, line: Line, of_source: Any) -> None:
        span = Interval(of_source.start, of_source.end)
        pairs = [(group, window) for window in line.windows(of_source) for group in line.groups(of_source)]
        results = line.run_pairs(of_source, pairs)
        assert not [each.unproved for each in results if each.unproved]
        for name in (point.name for point in selected(self.source.points, self.file.points, self.file.exclude)):
            assert _of(self._stored(), name, [span]) == _of(self.source.events, name, [span])
        proved = line.evidence(of_source, span)
        assert proved.proved_events == sum(
            len(_of(self.source.events, point.id, [span])) for point in line.catalogue(of_source)
        )

    def _export(self, line: Line, of_source: Any) -> None:
        with tempfile.TemporaryDirectory() as out:
            span = Interval(START, START + 24 * HOUR_NS)
            rows = write_exports(line, of_source, span, destination=Path(out)).rows("samples")
            assert rows == line.evidence(of_source, span).found.landed_events

    def _check(self, line: Line) -> None:
        """What the ledger calls proved of a point that it knows is in the store as the source has it."""
        of_source, stored = line.plant.source[0], self._stored()
        away = {point.id for point in self.ledger.unselected(of_source.name)}
        holes = self.ledger.exclusions(of_source.name, None, ALL)
        for group in (f"g{index:03d}" for index in range(self.file.groups)):
            covered = self.ledger.coverage(of_source.name, group)
            for point in self.ledger.known_points(of_source.name):
                if point.id in away or not self._is_in(line, group, point):
                    continue
                spans = subtract(
                    covered, [each.span for each in holes if (each.group, each.point) == (group, point.id)]
                )
                assert _of(stored, point.id, spans) == _of(self.source.events, point.id, spans), (group, point.id)

    def _is_in(self, line: Line, group: str, point: Point) -> bool:
        try:
            return point in line.by_group(line.plant.source[0], [point])[group]
        except Stop:  # the groups are others: nothing is said of any
            return False

    def _stored(self) -> pa.Table:
        rows = [row for key, row in self.store.rows.items() if key[0] == self.file.name]
        return pa.Table.from_pylist(rows, schema=samples.SCHEMA)


changes = st.one_of(
    st.fixed_dictionaries({"exclude": st.sampled_from([(), ("A1",), ("B*",), ("A*", "C1")])}),
    st.fixed_dictionaries({"points": st.sampled_from([("*",), ("A*",), ("A*", "B1"), ("C1",)])}),
    st.fixed_dictionaries({"groups": st.sampled_from([1, 2, 3])}),
    st.fixed_dictionaries({"window": st.sampled_from(["day", "month"])}),
    st.fixed_dictionaries({"start": st.sampled_from([-24, -5, 0, 7])}),
    st.fixed_dictionaries({"end": st.sampled_from([12, 24, 30, 50])}),
    st.fixed_dictionaries({"name": st.sampled_from(["pi1", "pi2"])}),
    st.just({}),
)
commands = st.sampled_from(["backfill", "backfill", "discover", "sweep", "check_store", "export"])


@settings(
    deadline=None,
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example([({}, "backfill"), ({"exclude": ("A1",), "end": 50}, "backfill"), ({"exclude": ()}, "export")])
@example([({"end": 12}, "backfill"), ({"points": ("A*",), "end": 24}, "backfill"), ({"points": ("*",)}, "backfill")])
@example(
    [
        ({"exclude": ("A*", "C1")}, "discover"),
        ({}, "backfill"),
        ({"points": ("C1",)}, "backfill"),
        ({"exclude": ()}, "backfill"),
    ]
)
@given(st.lists(st.tuples(changes, commands), min_size=2, max_size=6))
def test_a_changed_plant_file_is_harmless_or_refused(
    postgres: PostgresAddress, monkeypatch: Any, steps: list[tuple[dict[str, Any], str]]
) -> None:
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://127.0.0.1:1/x")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        dsn = stack.enter_context(schema_dsn(postgres.dsn("postgres")))
        ledger = stack.enter_context(contextlib.closing(PostgresLedger(dsn)))
        ledger.migrate()
        points = [Point(name, name, "number", source_key=name) for name in NAMES]
        source = Selecting("pi1", points, samples.ordered(pa.concat_tables(map(_events, NAMES))))
        world = World(Path(folder), ledger, MemoryStore(), source, File())
        for changed, command in steps:
            before, world.file = world.file, replace(world.file, **changed)
            if not world.run(command):
                world.file = before
        world.run("backfill")
