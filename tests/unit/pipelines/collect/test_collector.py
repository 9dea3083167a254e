"""The collector on its own beat, with PLCs that answer, hang and die."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from pipelines.collect import Collector, scans_of
from pipelines.ports import NoRoom, Reading, Retry, Stop, Tag
from pipelines.timeline import HOUR_NS, MILLISECOND_NS, SECOND_NS

BEAT_NS = 20 * MILLISECOND_NS


class MemorySpool:
    """Holds rows; tells when enough are there."""

    def __init__(self, enough: Callable[[list[dict[str, Any]]], bool] = lambda _: False) -> None:
        self.rows: list[dict[str, Any]] = []
        self.enough, self.reached = enough, threading.Event()

    def append(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.rows.append({**row, "time": row["time"].value})
        if self.enough(self.rows):
            self.reached.set()

    def cycles(self, name: str) -> list[tuple[int, str | None]]:
        return [(row["time"], row["text"]) for row in self.rows if row["point"] == f"cycle.{name}"]


class Plc:
    """Answers with a number that rises; `does` may change at any time."""

    def __init__(self) -> None:
        self.does, self.go, self.reads = "answers", threading.Event(), 0

    def read(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
        self.reads += 1
        if self.does == "hangs":
            self.go.wait(0.1)
            raise Retry("no answer within 0.1 s")
        if self.does == "fails":
            raise Retry("reset by peer")
        return [(tag, Reading((float(self.reads),), 192)) for tag in tags]

    def close(self) -> None:
        return None


def tag(connection: str, name: str, interval_ns: int = BEAT_NS) -> Tag:
    return Tag(name, connection, "x", "", "number", interval_ns, "g")


def collector(spool: Any, plcs: dict[str, Plc], tags: list[Tag], since: dict[str, int] | None = None) -> Collector:
    return Collector(scans_of(tags), plcs, spool, since or {})


def run(collect: Collector, spool: MemorySpool) -> None:
    """Until the spool has enough."""
    threading.Thread(target=lambda: (spool.reached.wait(30), collect.stop()), daemon=True).start()
    collect.run()
    assert spool.reached.is_set(), spool.rows


def assert_every_cycle(cycles: list[tuple[int, str | None]]) -> None:
    times = [time_ns for time_ns, _ in cycles]
    assert sorted(times) == list(range(min(times), max(times) + BEAT_NS, BEAT_NS)), "each cycle once, done or missed"


def test_every_cycle_is_read_or_missed_exactly_once() -> None:
    spool = MemorySpool(lambda rows: len(rows) > 60)
    collect = collector(spool, {"a": Plc()}, [tag("a", "A"), tag("a", "B")])
    run(collect, spool)
    assert_every_cycle(spool.cycles("a.g"))
    values = [row["value"] for row in spool.rows if row["point"] == "A" and row["value"] is not None]
    assert values == [float(number) for number in range(1, len(values) + 1)]
    missed = [why for _, why in spool.cycles("a.g") if why]  # on a busy machine there are some
    assert (collect.counts["a"].cycles, collect.counts["a"].missed) == (len(values), len(missed))


def test_a_plc_that_hangs_costs_nobody_else_a_reading() -> None:
    hanging, well = Plc(), Plc()
    hanging.does = "hangs"
    spool = MemorySpool(lambda rows: sum(row["point"] == "cycle.b.g" for row in rows) > 60)
    run(collector(spool, {"a": hanging, "b": well}, [tag("a", "A"), tag("b", "B")]), spool)
    hanging.go.set()
    assert_every_cycle(spool.cycles("a.g"))
    assert_every_cycle(spool.cycles("b.g"))
    assert all(why for _, why in spool.cycles("a.g"))
    assert {"no answer within 0.1 s"} == {why for _, why in spool.cycles("a.g")}
    bad = [row for row in spool.rows if row["point"] == "A"]
    assert len(bad) == 1, "the tag is bad once, its cycles tell the rest"
    assert bad[0]["text"] == "no answer within 0.1 s"
    late = [row["value"] for row in spool.rows if row["point"] == "cycle.b.g" and row["value"] is not None]
    assert len(late) > 50


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Stop("the certificate has changed"), "the certificate has changed"),
        (KeyError("Wert"), "KeyError: 'Wert'"),
    ],
)
def test_a_plc_that_refuses_us_or_talks_nonsense_costs_nobody_else_a_reading(error: Exception, why: str) -> None:
    class Refusing(Plc):
        def read(self, tags: Sequence[Tag]) -> list[tuple[Tag, Reading]]:
            raise error

    spool = MemorySpool(lambda rows: sum(row["point"] == "cycle.b.g" for row in rows) > 30)
    collect = collector(spool, {"a": Refusing(), "b": Plc()}, [tag("a", "A"), tag("b", "B")])
    run(collect, spool)
    assert {why} == {said for _, said in spool.cycles("a.g")}
    assert_every_cycle(spool.cycles("a.g"))
    assert len([said for _, said in spool.cycles("b.g") if said is None]) > 20
    assert collect.counts["a"].trouble == why


def test_a_plc_that_comes_back_is_read_again() -> None:
    plc = Plc()
    plc.does = "fails"

    def enough(rows: list[dict[str, Any]]) -> bool:
        if any(row["text"] == "reset by peer" for row in rows):
            plc.does = "answers"
        return any(row["point"] == "A" and row["value"] is not None for row in rows)

    spool = MemorySpool(enough)
    run(collector(spool, {"a": plc}, [tag("a", "A")]), spool)
    assert_every_cycle(spool.cycles("a.g"))
    assert spool.cycles("a.g")[0][1] == "reset by peer"


def test_what_was_missed_while_nobody_collected_is_recorded() -> None:
    last_ns = (time.time_ns() // BEAT_NS - 10) * BEAT_NS
    spool = MemorySpool(lambda rows: any(row["value"] is not None for row in rows))
    run(collector(spool, {"a": Plc()}, [tag("a", "A")], {"cycle.a.g": last_ns}), spool)
    cycles = spool.cycles("a.g")
    assert_every_cycle([(last_ns, None), *cycles])
    asleep = [time_ns for time_ns, why in cycles if why == "the collector was not running"]
    assert len(asleep) >= 9
    assert next(row["time"] for row in spool.rows if row["point"] == "A") == last_ns + BEAT_NS, "bad from there on"


def test_what_was_missed_for_weeks_is_spooled_some_at_a_time() -> None:
    last_ns = (time.time_ns() // BEAT_NS - 250_000) * BEAT_NS

    class Counting(MemorySpool):
        sizes: ClassVar[list[int]] = []

        def append(self, batch: pa.RecordBatch) -> None:
            self.sizes.append(len(batch))
            super().append(batch)

    spool = Counting(lambda rows: any(row["value"] is not None for row in rows[-200:]))
    run(collector(spool, {"a": Plc()}, [tag("a", "A")], {"cycle.a.g": last_ns}), spool)
    assert max(spool.sizes) <= 100_002
    assert_every_cycle([(last_ns, None), *spool.cycles("a.g")])


def test_a_recall_that_is_killed_goes_on_for_every_scan() -> None:
    """The quick scan must not be recalled up to now while the slow one is still a day behind."""
    now_ns = time.time_ns()
    tags = [tag("a", "A", SECOND_NS), Tag("B", "a", "x", "", "number", 10 * SECOND_NS, "slow")]

    class Killed(Exception):
        pass

    class Killing(MemorySpool):
        def append(self, batch: pa.RecordBatch) -> None:
            super().append(batch)
            raise Killed

    spool = Killing()
    since = {"cycle.a.g": now_ns - 60 * HOUR_NS, "cycle.a.slow": now_ns - 60 * HOUR_NS}
    with pytest.raises(Killed):
        collector(spool, {"a": Plc()}, tags, since).run()
    quick, slow = (max(time_ns for time_ns, _ in spool.cycles(name)) for name in ("a.g", "a.slow"))
    assert abs(quick - slow) <= 10 * SECOND_NS
    assert quick < now_ns - HOUR_NS, "not all at once"


def test_a_collector_that_cannot_keep_what_it_reads_ends() -> None:
    class Full:
        def append(self, batch: pa.RecordBatch) -> None:
            raise NoRoom("the spool is full")

    with pytest.raises(NoRoom, match="the spool is full"):
        collector(Full(), {"a": Plc()}, [tag("a", "A")]).run()
