"""Retention: what IoTDB has forgotten leaves recounts and restates, and older history is landed and aggregated only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from assets_defs.line import Line, open_line
from assets_defs.marts_line import make_aggregates
from pipelines import samples
from pipelines.plant import Retention, load_plant
from pipelines.ports import SliceId, Stop
from pipelines.timeline import DAY_NS, HOUR_NS, Interval, iso, to_datetime
from pipelines.transfer import PairResult
from resources.embedded import IoTDBAddress
from resources.iotdb import IoTDBStore
from tests.contract.stand_in import running

TODAY = time.time_ns() // DAY_NS * DAY_NS
SPAN = Interval(TODAY - 7 * DAY_NS, TODAY)


@pytest.fixture
def line(plant_file: Callable[..., Path]) -> Iterator[Line]:
    """A week of history up to today; IoTDB keeps events for four days and minutes for five."""
    with running("--points", "40", "--hours", "168", "--start", iso(SPAN.start_ns), "--auth", "basic") as url:
        path = plant_file(
            url, start=_day(SPAN.start_ns), end=_day(SPAN.end_ns),
            more='[retention]\nraw = "4 d"\nminutes = "5 d"\n[limits]\nslice_events = 20000',
        )  # fmt: skip
        with open_line(load_plant(path)) as opened:
            opened.discover(opened.plant.source[0])
            yield opened


def _day(time_ns: int) -> str:
    return to_datetime(time_ns).strftime("%Y-%m-%d")


def backfill(line: Line) -> list[PairResult]:
    settings = line.plant.source[0]
    return line.run_pairs(settings, [(g, w) for w in line.windows(settings, SPAN) for g in line.groups(settings)])


@pytest.mark.timeout(600)
def test_a_backfill_reaches_further_back_than_the_store(line: Line) -> None:
    settings = line.plant.source[0]
    results = backfill(line)
    assert [r.problems for r in results if r.problems] == []
    assert {point: why for r in results for point, why in r.unproved.items()} == {}
    [expired] = line.ledger.expired("pi1")
    assert expired.start_ns == SPAN.start_ns
    assert time.time_ns() - 4 * DAY_NS < expired.end_ns < time.time_ns() - 4 * DAY_NS + 2 * HOUR_NS + 60 * 10**9
    for group in line.groups(settings):
        assert line.ledger.coverage("pi1", group) == [SPAN]
    old, new = Interval(SPAN.start_ns, expired.end_ns), Interval(expired.end_ns, SPAN.end_ns)
    forgotten, kept = line.ledger.proofs("pi1", old), line.ledger.proofs("pi1", new)
    assert forgotten["stored_events"].null_count == len(forgotten) > 0
    assert kept["stored_events"].null_count == 0
    assert len(forgotten) + len(kept) == len(line.ledger.proofs("pi1", SPAN))
    assert set(forgotten["proof"].to_pylist()) <= {"counted", "deep"}
    assert sum(forgotten["events"].to_pylist()) > 10_000

    found = line.verify(settings, SPAN, deep=True)
    assert not found.drift
    assert not found.unproved
    assert found.expired == [expired]
    assert found.source_events == found.landed_events == found.stored_events == sum(kept["events"].to_pylist())
    ids = sorted(point.id for point in line.catalogue(settings))
    stored = samples.ordered(pa.concat_tables(list(line.store.read("pi1", ids, SPAN))).unify_dictionaries())
    assert samples.times_ns(stored).min() >= expired.end_ns
    assert sum(len(r.slices) for r in backfill(line)) == 0


def test_aggregates_of_what_the_store_has_forgotten(line: Line) -> None:
    """Hours go back to the beginning, minutes as far as they are kept, in Parquet all of them."""
    settings = line.plant.source[0]
    backfill(line)
    for window in line.windows(settings, SPAN):
        make_aggregates(line, settings, line.groups(settings), window)
    database = line.plant.database
    sessions = line.store._sessions
    first = {
        name: sessions.query(f'SELECT min(time) AS t FROM "{database}"."agg_{name}"', "looking").to_pylist()[0]["t"]
        for name in ("1m", "1h")
    }
    assert first["1h"] == SPAN.start_ns
    assert time.time_ns() - 5 * DAY_NS < first["1m"] < time.time_ns() - 5 * DAY_NS + 3 * HOUR_NS


def test_a_gap_that_becomes_old_is_still_landed(line: Line) -> None:
    """A window was withdrawn and is forgotten meanwhile: it is pulled and proved again, without the store."""
    settings = line.plant.source[0]
    backfill(line)
    oldest = line.windows(settings, SPAN)[0]
    for group in line.groups(settings):
        line.ledger.withdraw(SliceId("pi1", group, oldest), "a test")
    results = backfill(line)
    assert sum(len(r.slices) for r in results) >= 2
    assert all("landed only" in each.note for r in results for each in r.slices)
    assert line.ledger.coverage("pi1", line.groups(settings)[0]) == [SPAN]


def test_the_trap_a_load_of_rows_older_than_the_ttl_succeeds_and_they_are_not_there(
    iotdb: IoTDBAddress, iotdb_staging: Path, iotdb_names: Callable[[], str]
) -> None:
    """Why nothing older is written: LOAD says yes, and tablets are refused (607)."""
    now = time.time_ns()
    rows = [
        {"point": "P", "time": now - hours * HOUR_NS, "tie": 0, "value": 1.0, "quality": 192, "detail": 0}
        for hours in (1, 200)
    ]
    events = samples.ordered(pa.Table.from_pylist(rows, schema=samples.SCHEMA))
    for staging, name in ((iotdb_staging, iotdb_names()), (None, iotdb_names())):
        nodes = [f"{iotdb.host}:{iotdb.port}"]
        store = IoTDBStore(
            nodes, iotdb.user, iotdb.password, name, staging, retention=Retention(raw="5 d", minutes="6 d")
        )
        store.prepare()
        if staging is None:
            with pytest.raises(Stop, match="607"):
                store.write("s", events)
        else:
            store.write("s", events)
            held = list(store.read("s", ["P"], Interval(now - 300 * HOUR_NS, now)))
            assert sum(len(table) for table in held) == 1
        store.close()
        forever = IoTDBStore(nodes, iotdb.user, iotdb.password, name, staging)
        forever.prepare()  # the plant file is the truth: without a word rows are kept
        forever.write("s", events)
        held = list(forever.read("s", ["P"], Interval(now - 300 * HOUR_NS, now)))
        assert sum(len(table) for table in held) == 2
        forever.close()


def test_a_retention_shorter_than_the_lateness_is_refused(plant_file: Callable[..., Path]) -> None:
    with pytest.raises(Stop, match="lateness"):
        load_plant(plant_file("http://127.0.0.1:9", more='[retention]\nraw = "2 d"'))
    with pytest.raises(Stop, match="minutes must be kept"):
        load_plant(plant_file("http://127.0.0.1:9", more='[retention]\nraw = "9 d"\nminutes = "8 d"'))
