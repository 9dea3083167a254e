"""A slice's annotations are asked for with what is landed of it, and committed with its proof."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.landing import Landing
from pipelines.ledger import current
from pipelines.points import Point
from pipelines.ports import ANNOTATION_SCHEMA, Retry, SliceId
from pipelines.samples import flagged, times_ns
from pipelines.timeline import MINUTE_NS, Interval
from pipelines.transfer import Bounds, Transfer
from tests.memory import MemoryLedger, MemorySource, MemoryStore

WINDOW = Interval(0, 60 * MINUTE_NS)
SLICE = SliceId("s", "g000", WINDOW)
POINTS = [Point(name, name, "number") for name in ("a", "b")]


class NotingSource(MemorySource):
    """Tells the same text for every flagged event."""

    text = "first"
    asked = 0
    fails = False

    async def annotations(self, points: Sequence[Point], events: pa.Table, max_bytes: int) -> pa.Table:
        self.asked += 1
        if self.fails:
            raise Retry("the source is away")
        marked = flagged(events)
        nothing = {each.name: "" if each.type == pa.string() else 0 for each in ANNOTATION_SCHEMA if not each.nullable}
        rows = [
            {**nothing, "point": point, "time_ns": time_ns, "state": "told", "text": self.text}
            for point, time_ns in zip(marked["point"].to_pylist(), times_ns(marked).tolist(), strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA)


def events(*flags: bool | None) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {"point": "ab"[place % 2], "time": place * MINUTE_NS, "tie": 0, "value": 1.0, "quality": 192, "detail": 0,
         "annotated": flag}
        for place, flag in enumerate(flags)
    ]  # fmt: skip
    return samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))


@dataclass
class Case:
    folder: Path
    source: MemorySource
    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def transfer(self) -> Transfer:
        return Transfer(self.source, self.store, self.ledger, Landing(self.folder), Bounds(), run_id="r")  # type: ignore[arg-type]

    def run(self, call: str = "run", *more: Any, **rest: Any) -> Any:
        with self.ledger.lease("s", "g000", WINDOW, "test") as lease:
            slice_or_piece = rest.pop("of", SLICE)
            return asyncio.run(getattr(self.transfer(), call)(slice_or_piece, WINDOW, POINTS, lease, *more, **rest))

    def texts(self) -> list[str]:
        return self.ledger.noted[-1][1]["text"].to_pylist()


def test_they_come_with_the_commit_and_again_with_every_later_one(tmp_path: Path) -> None:
    source = NotingSource("s", POINTS, events(None, True, True))
    case = Case(tmp_path, source)
    assert case.run().unproved == {}
    assert case.ledger.noted[-1][0] == SLICE and case.texts() == ["first", "first"]
    source.text, source.events = "second", events(None, True, None)
    case.run()
    assert case.texts() == ["second"]
    source.events = events(None, None, None)
    asked = source.asked
    case.run()
    assert case.texts() == [] and source.asked == asked  # taken down, and nothing is asked


def test_a_source_that_tells_none_changes_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path, MemorySource("s", POINTS, events(None, True)))
    case.run()
    assert case.ledger.noted == []


def test_a_source_that_is_away_leaves_the_slice_uncovered(tmp_path: Path) -> None:
    source = NotingSource("s", POINTS, events(True))
    source.fails = True
    case = Case(tmp_path, source)
    with pytest.raises(Retry):
        case.run()
    assert case.ledger.coverage("s", "g000") == [] and case.ledger.noted == []
    source.fails = False
    [landed] = [each for each in case.ledger.slices if each.state == "landed"][-1:]
    case.run("resume", of=landed)  # the flags are in the landing
    assert case.texts() == ["first"] and source.pulls == 1


def test_the_store_asked_alone_lets_them_stand(tmp_path: Path) -> None:
    source = NotingSource("s", POINTS, events(True, None))
    case = Case(tmp_path, source)
    case.run()
    case.store.rows.clear()
    [piece] = current(case.ledger.history("s", "g000", WINDOW), WINDOW)
    assert case.run("check", of=piece, deep=True).differing == {"a", "b"}
    assert source.asked == 1 and len(case.ledger.noted) == 1


def test_a_pass_sees_what_was_annotated_since_in_its_overlap(tmp_path: Path) -> None:
    source = NotingSource("s", POINTS, events(None, None, None))
    case = Case(tmp_path, source)
    first = Interval(0, 2 * MINUTE_NS)
    assert case.run("advance", None, of=SliceId("s", "g000", first)).state == "verified"
    source.events = events(True, None, None)
    later = SliceId("s", "g000", Interval(first.end_ns, first.end_ns + MINUTE_NS))
    assert case.run("advance", first, of=later).differing == {"a"}
    case.run("refresh", {"a"}, of=SliceId("s", "g000", first), provisional=True)
    assert case.texts() == ["first"]


def test_a_deep_look_sees_what_was_annotated_long_after(tmp_path: Path) -> None:
    source = NotingSource("s", POINTS, events(None, None, None))
    case = Case(tmp_path, source)
    case.run()
    source.events = events(True, None, None)
    case.run("refresh")  # no count tells
    assert source.asked == 0
    case.run("refresh", deep=True)
    assert case.texts() == ["first"]
    case.run("refresh", deep=True)
    assert source.asked == 1
