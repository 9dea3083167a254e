"""A spool that is kept for some days only: what goes is proved in the store, and nobody takes it for lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from assets_defs.following import sweep, sync_pass
from cli.standing import standing_of
from pipelines.collect import Recorder
from pipelines.ports import Reading, Tag
from pipelines.timeline import DAY_NS, HOUR_NS, SECOND_NS, Interval, parse
from resources.plc4x import SpoolReader, SpoolSource, SpoolWriter
from tests.dagster.conftest import MemoryPlant, in_memory

START = parse("2026-01-01")
DAYS = 5
PLANT = """
[plant]
name = "keeping"
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
spool_keep = "3 d"
[[source.connection]]
name = "press"
url = "s7://127.0.0.1"
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = { dsn_env = "FERRY_UNIT_DSN" }
"""
TAGS = [Tag(name, "press", f"%DB1:{place}:REAL", "", "number", HOUR_NS, "all") for place, name in enumerate("AB")]
NEW = Tag("C", "press", "%DB1:9:REAL", "", "number", HOUR_NS, "all")


def batch(time_ns: int, tags: list[Tag]) -> pa.RecordBatch:
    recorder = Recorder()
    recorder.cycle(
        "cycle.press.all", time_ns, time_ns + SECOND_NS, [(tag, Reading((time_ns / DAY_NS,), 192)) for tag in tags]
    )
    found = recorder.take()
    assert found is not None
    return found


def folder_of(memory: MemoryPlant) -> Path:
    return memory.line.plant.state_dir / "spool" / "line1"


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[MemoryPlant]:
    """Days, with a segment each six hours; the one that holds the last hour is still written."""
    file = tmp_path / "ferry.toml"
    file.write_text(PLANT, encoding="utf-8")
    with in_memory(file) as memory:
        folder = folder_of(memory)
        for part in range(DAYS * 4):
            writer = SpoolWriter(folder)
            for hour in range(6):
                writer.append(batch(START + (part * 6 + hour) * HOUR_NS, TAGS))
            writer.close()
        memory.line.now_ns = lambda: START + DAYS * DAY_NS
        memory.outside.the_source = SpoolSource("line1", TAGS, SpoolReader(folder))  # type: ignore[assignment]
        yield memory


def first_ns(memory: MemoryPlant) -> int:
    found = SpoolReader(folder_of(memory)).first_ns()
    assert found is not None
    return found


def test_what_is_old_and_proved_goes_and_is_neither_lost_nor_asked_for(keeping: MemoryPlant) -> None:
    line, settings = keeping.line, keeping.settings
    for done in range(3):  # what was moved settles before it may go
        assert done == 2 or first_ns(keeping) == START
        assert not sync_pass(line, settings, 60.0).problems
    assert first_ns(keeping) == START + (DAYS - 3) * DAY_NS
    swept = sweep(line, settings, 60.0, deep=True)
    assert not swept.problems
    assert not swept.drift
    recount = line.verify(settings, Interval(START, START + DAYS * DAY_NS - HOUR_NS), deep=False)
    assert not recount.drift
    assert recount.landed_events == recount.stored_events == 3 * (DAYS * 24 - 1)
    assert {"the spool has let go of what it held there; what was landed of it stands"} == set(
        recount.unproved.values()
    )
    assert not line.verify(
        settings, Interval(START + (DAYS - 2) * DAY_NS, START + (DAYS - 1) * DAY_NS), deep=True
    ).unproved


def test_what_is_too_old_to_settle_by_a_look_is_proved_when_it_is_moved(keeping: MemoryPlant) -> None:
    line, settings = keeping.line, keeping.settings
    line.now_ns = lambda: START + 20 * DAY_NS
    for _ in range(2):
        assert not sync_pass(line, settings, 60.0).problems
    assert first_ns(keeping) == START + (DAYS * 24 - 6) * HOUR_NS, "the segment that may still be written is left"
    assert line.ledger.proofs("line1", Interval(START, START + DAY_NS)).num_rows


def test_a_spool_that_cannot_let_go_says_so_and_the_pass_goes_on(
    keeping: MemoryPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("resources.plc4x.segment.write_whole", full)
    keeping.line.now_ns = lambda: START + 20 * DAY_NS
    assert not sync_pass(keeping.line, keeping.settings, 60.0).problems
    [said] = sync_pass(keeping.line, keeping.settings, 60.0).problems
    assert "No space left" in said
    assert first_ns(keeping) == START


def test_nobody_misses_what_is_older_than_the_collector(keeping: MemoryPlant, monkeypatch: pytest.MonkeyPatch) -> None:
    line, settings = keeping.line, keeping.settings
    monkeypatch.setattr("cli.standing.schedule_states", lambda *_: {})
    line.now_ns = lambda: START + 40 * DAY_NS
    line.ledger.hand_over("line1", START + 30 * DAY_NS)
    line.discover(settings)
    sync_pass(line, settings, 60.0)
    standing = standing_of(line, settings)
    assert standing.share == 1
    assert standing.spool_bytes
    assert not any(each.standing.gaps for each in standing.groups)


def test_nothing_goes_before_it_is_proved(keeping: MemoryPlant) -> None:
    line, settings = keeping.line, keeping.settings
    line.discover(settings)
    sync_pass(line, settings, 0.0)  # the newest only
    assert first_ns(keeping) == START


def test_a_tag_that_is_new_has_nothing_where_the_spool_let_go(keeping: MemoryPlant) -> None:
    line, settings = keeping.line, keeping.settings
    for _ in range(3):
        sync_pass(line, settings, 60.0)
    folder = folder_of(keeping)
    writer = SpoolWriter(folder)
    writer.append(batch(START + DAYS * DAY_NS, [*TAGS, NEW]))
    writer.close()
    keeping.outside.the_source = SpoolSource("line1", [*TAGS, NEW], SpoolReader(folder))  # type: ignore[assignment]
    line.now_ns = lambda: START + DAYS * DAY_NS + HOUR_NS
    line.discover(settings)
    found = sync_pass(line, settings, 60.0)
    assert not found.problems
    assert not line.ledger.exclusions("line1", None, Interval(START, START + (DAYS + 1) * DAY_NS))
    assert line.verify(settings, Interval(START + (DAYS - 2) * DAY_NS, found.up_to_ns), deep=True).source_events
