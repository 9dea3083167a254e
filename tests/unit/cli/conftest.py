"""`ferry` run in this process on a line of which every part is in memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import assets_defs.backfill
import assets_defs.instance
import assets_defs.line
import assets_defs.telling
from assets_defs.backfill import BackfillSummary
from assets_defs.line import Line
from cli.main import run
from pipelines import samples
from pipelines.plant import Plant, SourceSettings
from pipelines.points import Point, selected
from pipelines.ports import PROOF_SCHEMA, Absence, Exclusion, SliceId, SliceRecord
from pipelines.timeline import HOUR_NS, Interval, parse
from resources.costs import Cost, requests_per_event
from tests.memory import MemoryLedger, MemorySource, MemoryStore

START = parse("2026-01-01")
GONE_NS = parse("2026-02-01")
DAY = Interval(START, START + 24 * HOUR_NS)
POINTS = [Point(name, name, "number", source_key=name) for name in ("A1", "A2", "B1")]

PLANT = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
auth = { kind = "basic", username = "ferry", password_env = "FERRY_UNIT_PASSWORD" }
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
end = 2026-01-02T00:00:00Z
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = { dsn_env = "FERRY_UNIT_DSN" }
"""


class CatalogueLedger(MemoryLedger):
    """With the catalogue, proofs and acceptances that the command line asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[Point] = []
        self.away: dict[str, tuple[Absence, str]] = {}
        """By id, and who accepted it: '' for nobody, "plant file" for what it no longer selects."""
        self.clock_ns = 0
        self.selected: str | None = None

    def known_points(self, source: str) -> list[Point]:
        vanished = [each.point for each, _ in self.away.values() if each.believed]
        return sorted([*self.points, *vanished], key=lambda point: point.id)

    def load_points(self, source: str) -> list[Point]:
        return self.points

    def save_points(
        self, source: str, points: Sequence[Point], groups: int, *, missing: Sequence[Point] = (),
        unselected: Sequence[Point] = (), accepted_by: str = "", selection: str | None = None,
    ) -> int:  # fmt: skip
        self.selected = selection or self.selected
        changed = sum(point not in self.points for point in points)
        there = {point.id for point in (*points, *missing)}
        left, deselected = set(self.away) - {point.id for point in points}, {point.id for point in unselected}
        self.away = {point: each for point, each in self.away.items() if point in left}
        if accepted_by:
            self.away = {point: (each, by or accepted_by) for point, (each, by) in self.away.items()}
        for point in [*self.points, *missing]:
            if point.id not in there:
                by = "plant file" if point.id in deselected else accepted_by
                self.away[point.id] = Absence(point, GONE_NS, True), by
        for point in missing:
            self.away.setdefault(point.id, (Absence(point, GONE_NS, False), ""))
        self.points = sorted([*points, *missing], key=lambda point: point.id)
        return changed

    def absences(self, source: str) -> list[Absence]:
        return [each for each, by in self.away.values() if by != "plant file"]

    def unselected(self, source: str) -> list[Point]:
        return [each.point for each, by in self.away.values() if by == "plant file"]

    def points_known(self, source: str) -> int:
        return len({*(point.id for point in self.points), *self.away})

    def selection(self, source: str) -> str | None:
        return self.selected

    def gone_unasked(self, source: str) -> int:
        return sum(each.believed and not by for each, by in self.away.values())

    def catalogue_age_s(self, source: str) -> float | None:
        return 90.0 if self.points else None

    def exclude(self, exclusions: Sequence[Exclusion]) -> None:
        self.open += exclusions

    def accept_loss(self, source: str, group: str, span: Interval, by: str) -> None:
        self.accepted.append(SliceId(source, group, span))

    def withdraw(self, slice_id: SliceId, reason: str, run_id: str = "") -> None:
        super().withdraw(slice_id, reason, run_id)
        self.proof_rows = [
            (each, table) for each, table in self.proof_rows
            if each.group != slice_id.group or not each.span.overlaps(slice_id.span)
        ]  # fmt: skip

    def commit(self, record: SliceRecord, *given: Any, **more: Any) -> None:
        self.proof_rows = [(each, table) for each, table in self.proof_rows if each != record.slice]
        super().commit(record, *given, **more)

    def proofs(self, source: str, span: Interval, group: str | None = None) -> pa.Table:
        tables = [PROOF_SCHEMA.empty_table()]
        more: dict[str, list[Any]] = {"group": [], "start_ns": [], "end_ns": [], "generation": []}
        for slice_id, table in self.proof_rows:
            if span.contains(slice_id.span) and group in (None, slice_id.group):
                tables.append(table)
                more["group"] += [slice_id.group] * len(table)
                more["start_ns"] += [slice_id.span.start_ns] * len(table)
                more["end_ns"] += [slice_id.span.end_ns] * len(table)
                more["generation"] += ["g"] * len(table)
        joined = pa.concat_tables(tables)
        types = {"group": pa.string(), "start_ns": pa.int64(), "end_ns": pa.int64(), "generation": pa.string()}
        for name, values in more.items():
            joined = joined.append_column(name, pa.array(values, types[name]))
        return joined

    def close(self) -> None:
        return None


class MemoryOutside:
    """No servers; the one source."""

    def __init__(self, source: MemorySource) -> None:
        self.the_source = source
        self.failure: BaseException | None = None
        self.used: float | None = None
        self.costs: list[Cost] = []

    def store_is_elsewhere(self) -> bool:
        return True

    def asked(self, settings: SourceSettings) -> int:
        return 7 * self.the_source.pulls

    def record_cost(self, settings: SourceSettings, requests: int, events: int) -> None:
        self.costs.append(Cost(requests, events))

    def requests_per_event(self, settings: SourceSettings) -> float | None:
        return requests_per_event(self.costs)

    def budget_used(self, settings: SourceSettings) -> float | None:
        return self.used

    def source(self, settings: SourceSettings, *, urgent: bool = False) -> MemorySource:
        if self.failure:
            raise self.failure
        return self.the_source

    def statuses(self) -> list[Any]:
        return []

    def up(self) -> None:
        return None


@dataclass
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object of stdout; fails when there is anything else."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@dataclass
class Ferry:
    """The command line with its parts in reach."""

    call: Callable[..., Answer]
    plant_file: Path
    ledger: CatalogueLedger = field(default_factory=CatalogueLedger)
    store: MemoryStore = field(default_factory=MemoryStore)
    source: MemorySource = field(default_factory=lambda: MemorySource("pi1", POINTS, events()))
    outside: MemoryOutside = field(init=False)
    reopened: list[tuple[str, Interval]] = field(default_factory=list)
    """What Dagster was told of."""

    def __post_init__(self) -> None:
        self.outside = MemoryOutside(self.source)

    def __call__(self, *arguments: str) -> Answer:
        return self.call(*arguments, "--plant", str(self.plant_file))

    def line(self, plant: Plant) -> Line:
        opened = Line(plant, run_id="unit")
        opened.__dict__.update(ledger=self.ledger, store=self.store, outside=self.outside)
        return opened


def events(*, without: tuple[str, ...] = (), hours: int = 24) -> pa.Table:
    """An event of every point at every half hour."""
    rows = [
        {"point": point.id, "time": START + hour * HOUR_NS + HOUR_NS // 2, "tie": 0, "value": float(hour), "text": None,
         "code": None, "quality": 192, "detail": 0}
        for point in POINTS if point.id not in without for hour in range(hours)
    ]  # fmt: skip
    return samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))


@pytest.fixture
def ferry(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ferry:
    monkeypatch.setenv("FERRY_UNIT_PASSWORD", "correct-horse-battery")
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://me:hunter2secret@127.0.0.1:1/x")
    monkeypatch.delenv("FERRY_PLANT", raising=False)
    plant_file = tmp_path / "ferry.toml"
    plant_file.write_text(PLANT, encoding="utf-8")

    def call(*arguments: str) -> Answer:
        code = run(arguments)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    made = Ferry(call, plant_file)

    @contextlib.contextmanager
    def open_line(plant: Plant, progress: object = None, run_id: str = "") -> Iterator[Line]:
        yield made.line(plant)

    monkeypatch.setattr(assets_defs.line, "open_line", open_line)
    monkeypatch.setattr(assets_defs.backfill, "backfill", _backfill)
    monkeypatch.setattr(assets_defs.backfill, "prepare", lambda line: None)
    monkeypatch.setattr(
        assets_defs.telling, "tell_reopened", lambda line, dagster, settings, pairs, why: made.reopened.extend(pairs)
    )
    monkeypatch.setattr(assets_defs.instance, "opened_instance", contextlib.nullcontext)
    return made


def _backfill(
    line: Line, plant_file: Path, settings: SourceSettings, span: Interval, globs: Sequence[str], on_event: Any
) -> BackfillSummary:
    """As assets_defs.backfill does it, in this process and without Dagster."""
    summary = BackfillSummary(seconds=1.0)
    asked = frozenset(p.id for p in selected(line.catalogue(settings), globs)) if globs else None

    def tell(event: dict[str, Any]) -> None:
        summary.take(event)
        on_event(event)

    pairs = [(group, window) for window in line.windows(settings, span) for group in line.groups(settings)]
    line.run_pairs(
        settings, pairs, asked=asked, within=span,
        on_slice=lambda done: tell(
            {
                "kind": "slice", "group": done.slice.group, "start_ns": done.slice.span.start_ns,
                "end_ns": done.slice.span.end_ns, "events": done.events, "state": done.state, "note": done.note,
                "seconds": 0.1,
            }
        ),
        on_pair=lambda done: tell(
            {
                "kind": "pair", "group": done.group, "window": "2026-01-01", "events": done.events,
                "unproved": done.unproved, "problems": done.problems,
            }
        ),
    )  # fmt: skip
    return summary
