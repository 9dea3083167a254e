"""Leases: one holder, freed however the holder ends, and nothing committed after a loss."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pipelines.landing import Landing
from pipelines.planning import Density
from pipelines.ports import Retry, SliceRecord, Unreachable
from pipelines.timeline import Interval
from pipelines.transfer import Bounds, PairResult, RectangleRun, Transfer
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger, connections, holders
from tests.ledger import proof_table, schema_dsn, slice_id, verified
from tests.memory import MemorySource, MemoryStore
from tests.property.test_transfer import POINTS, table_of

WINDOW = Interval(0, 100)
HOLD = """
import sys, time
from contextlib import nullcontext
from pipelines.ports import SliceId
from pipelines.timeline import Interval
from resources.postgres import PostgresLedger
ledger = PostgresLedger(sys.stdin.readline().strip())
source, changes = sys.argv[1:]
with ledger.lease(source, "g000", Interval(0, 100), "run 7 on another host") as lease:
    with lease.changing(SliceId(source, "g000", Interval(10, 20))) if changes == "changes" else nullcontext():
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def dsn(postgres: PostgresAddress) -> Iterator[str]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        PostgresLedger(dsn).migrate()
        yield dsn


@pytest.fixture
def ledger(dsn: str) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger(dsn)
    yield ledger
    ledger.close()


@pytest.fixture
def source() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


def end_session(dsn: str, holder: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [holder]
        ).fetchall()
    assert ended == [(True,)]


def test_one_holder_at_a_time(ledger: PostgresLedger, dsn: str, source: str) -> None:
    other = PostgresLedger(dsn)
    with ledger.lease(source, "g000", WINDOW, "run 1"):
        for rival in (ledger, other):
            with pytest.raises(Retry, match=r"being worked on by run 1 \(its session began at 2"):  # noqa: SIM117
                with rival.lease(source, "g000", WINDOW, "run 2"):
                    pass
    with other.lease(source, "g000", WINDOW, "run 3") as lease:
        lease.check()
    other.close()


def test_other_keys_are_free(ledger: PostgresLedger, source: str) -> None:
    with (
        ledger.lease(source, "g000", WINDOW, "a") as first,
        ledger.lease(source, "g001", WINDOW, "b") as second,
        ledger.lease(source, "g000", Interval(100, 200), "c"),
        ledger.lease(f"{source}x", "g000", WINDOW, "d"),
    ):
        first.check()
        second.check()


def test_it_is_freed_when_the_body_fails(ledger: PostgresLedger, source: str) -> None:
    with pytest.raises(KeyError), ledger.lease(source, "g000", WINDOW, "a"):
        raise KeyError
    with ledger.lease(source, "g000", WINDOW, "b"):
        pass


@contextmanager
def holding(dsn: str, source: str, changes: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lease on WINDOW, and `changes` the store from 10 to 20."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, source, changes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(dsn + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


@pytest.mark.parametrize("changes", ["", "changes"])
def test_a_killed_holder_frees_it(ledger: PostgresLedger, dsn: str, source: str, changes: str) -> None:
    """At once also where it was changing the store: that it has ended can be seen from here."""
    with holding(dsn, source, changes) as child:
        with pytest.raises(Retry, match="run 7 on another host"), ledger.lease(source, "g000", WINDOW, "me"):
            pass
        child.kill()
        child.communicate()
        with ledger.lease(source, "g000", WINDOW, "me", patience_s=10.0) as lease:
            lease.check()


def test_a_lost_lease_commits_nothing(ledger: PostgresLedger, dsn: str, source: str) -> None:
    holder = f"lost {source}"
    with ledger.lease(source, "g000", WINDOW, holder) as lease:
        ledger.commit(verified(source, 0, 10), proof_table({"a": 1}))
        end_session(dsn, holder)
        with PostgresLedger(dsn).lease(source, "g000", WINDOW, "the next"):
            with pytest.raises(Retry, match="was lost"):
                ledger.commit(verified(source, 10, 20), proof_table({"a": 1}))
            with pytest.raises(Retry, match="was lost"):
                ledger.withdraw(slice_id(source, 0, 10), "x")
            with pytest.raises(Retry, match="was lost"):
                lease.check()
        # Reading, and writing outside of the window, goes on.
        ledger.commit(verified(source, 100, 110), proof_table({"a": 1}))
        assert ledger.coverage(source, "g000") == [Interval(0, 10), Interval(100, 110)]


def test_a_lock_that_is_gone_is_noticed(ledger: PostgresLedger, source: str) -> None:
    """As behind a pooler that hands out another session for every transaction."""
    with ledger.lease(source, "g000", WINDOW, "a") as lease:
        lease.run(lambda connection: connection.execute("SELECT pg_advisory_unlock_all()"))  # type: ignore[attr-defined]
        with pytest.raises(Retry, match="does not list it"):
            lease.check()


def test_a_holder_is_shown_whatever_it_is_called(ledger: PostgresLedger, source: str) -> None:
    with (
        ledger.lease(source, "g000", WINDOW, "é\n" + "x" * 200),
        pytest.raises(Retry, match=r"by \?\S*x{50}"),
        ledger.lease(source, "g000", WINDOW, ""),
    ):
        pass


def test_a_patient_one_gets_it_when_it_is_given_back(ledger: PostgresLedger, source: str) -> None:
    """The holder gives it back while the other is asking; without patience the other would have failed."""
    asked = threading.Event()

    def patient() -> None:
        asked.set()
        with ledger.lease(source, "g000", WINDOW, "patient", patience_s=30.0):
            pass

    with ThreadPoolExecutor(1) as pool:
        with ledger.lease(source, "g000", WINDOW, "holder"):
            waiting = pool.submit(patient)
            assert asked.wait(10)
            with pytest.raises(Retry, match="holder"), ledger.lease(source, "g000", WINDOW, "impatient"):
                pass
        waiting.result(30)


def test_windows_that_overlap_exclude_each_other(ledger: PostgresLedger, dsn: str, source: str) -> None:
    """As those of a month and of a day in it, after the plant file's `window` was changed."""
    other = PostgresLedger(dsn)
    with ledger.lease(source, "g000", WINDOW, "by month") as first:
        for inside in (Interval(0, 1), Interval(40, 50), Interval(99, 200), Interval(-5, 500)):
            with pytest.raises(Retry, match="by month"), other.lease(source, "g000", inside, "by day"):
                pass
        with other.lease(source, "g000", Interval(100, 200), "the next month") as second:
            assert second.token > first.token
    other.close()


def covered(ledger: PostgresLedger, source: str) -> list[Interval]:
    return ledger.coverage(source, "g000")


@pytest.mark.parametrize("lost", ["before", "meanwhile"])
def test_who_writes_without_its_lease_withdraws_what_others_proved(
    ledger: PostgresLedger, dsn: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The writer stalls before or in its first write; its session ends, as when PostgreSQL is restarted; another pass
    proves newer data; it goes on."""
    monkeypatch.setattr(holders, "QUIET_S", 0.0)
    old, new = table_of([("a", 7, 1.0)]), table_of([("a", 7, 2.0)])
    stalled, go = threading.Event(), threading.Event()
    store, ours = MemoryStore(), PostgresLedger(dsn)

    def stall(what: str) -> None:
        if what == {"before": "tally", "meanwhile": "write before"}[lost]:
            stalled.set()
            go.wait()

    def backfill(by: PostgresLedger, name: str, events: object) -> PairResult:
        async def work() -> PairResult:
            hook = stall if name == "the old writer" else lambda _: None
            there = MemorySource(source, POINTS, events, hook)  # type: ignore[arg-type]
            into = MemoryStore(hook)
            into.rows = store.rows
            transfer = Transfer(there, into, by, Landing(tmp_path), Bounds(slice_events=8), name)  # type: ignore[arg-type]
            run = RectangleRun(transfer, {"g000": POINTS}, slices_at_once=1, within=WINDOW, density=Density())
            return next(iter([result async for result in run.run([("g000", WINDOW)])]))

        return asyncio.run(work())

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(backfill, ours, "the old writer", old)
        try:
            assert stalled.wait(20)
            end_session(dsn, "the old writer")
            newer = backfill(ledger, "a newer pass", new)
            if lost == "meanwhile":  # only now has it been seen that somebody may live without a session
                assert "which has lost its lease and may still be writing" in newer.problems[0]
                newer = backfill(ledger, "a newer pass", new)
            assert newer.proved, newer.problems
            assert covered(ledger, source) == [WINDOW]
        finally:
            go.set()
        assert "was lost" in late.result(30).problems[0]
    values = [row["value"] for row in store.rows.values()]
    assert (covered(ledger, source), values) == (([WINDOW], [2.0]) if lost == "before" else ([], [1.0]))
    told = {(each.state, each.run_id) for each in ledger.history(source, "g000", WINDOW, replaced=True)}
    assert ("written", "the old writer") not in told
    with psycopg.connect(dsn) as connection:
        reasons = connection.execute(
            "SELECT reason FROM coverage WHERE source = %s AND NOT covers", [source]
        ).fetchall()
        left = connection.execute("SELECT count(*) FROM leases WHERE source = %s", [source]).fetchone()
    assert any("somebody may have written after the proof: the old writer" in each for (each,) in reasons) == (
        lost == "meanwhile"
    )
    assert left == (0,)
    assert backfill(ledger, "the last", new).proved
    assert [row["value"] for row in store.rows.values()] == [2.0]
    ours.close()


def test_what_a_living_process_was_changing_stays_its_own_for_a_while(
    ledger: PostgresLedger, dsn: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(dsn, source, "changes") as child:
        end_session(dsn, "run 7 on another host")
        with ledger.lease(source, "g000", Interval(20, 30), "beside it"):
            pass
        with (
            pytest.raises(Retry, match=rf"run 7 on another host, process {child.pid} on .* may still be writing: end"),
            ledger.lease(source, "g000", Interval(0, 11), "me"),
        ):
            pass
        monkeypatch.setattr(holders, "QUIET_S", 0.0)
        with ledger.lease(source, "g000", WINDOW, "me"):
            ledger.commit(verified(source, 0, 30), proof_table({"a": 1}))
        assert covered(ledger, source) == [Interval(0, 30)]
        child.kill()
        child.communicate()
        # It may have written, and cannot say so: whoever comes next does.
        with ledger.lease(source, "g000", Interval(50, 60), "the next"):
            assert covered(ledger, source) == [Interval(0, 10), Interval(20, 30)]


def test_of_a_process_elsewhere_nobody_waits_for_ever(
    ledger: PostgresLedger, dsn: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(dsn, source, "changes") as child:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE leases SET place = 'another host' WHERE source = %s", [source])
        end_session(dsn, "run 7 on another host")
        child.kill()
        child.communicate()
        with pytest.raises(Retry, match="may still be writing"), ledger.lease(source, "g000", WINDOW, "me"):
            pass
        monkeypatch.setattr(holders, "QUIET_S", 0.0)
        with ledger.lease(source, "g000", WINDOW, "me"):
            pass


def test_a_late_write_ends_what_is_being_proved_over_it(
    ledger: PostgresLedger, dsn: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the other's look at the store and its commit."""
    monkeypatch.setattr(holders, "QUIET_S", 0.0)
    ours, holder = PostgresLedger(dsn), f"late {source}"
    with ours.lease(source, "g000", WINDOW, holder) as lost:
        late = lost.changing(slice_id(source, 10, 20))
        late.__enter__()
        end_session(dsn, holder)
        with pytest.raises(Retry, match="may still be"), ledger.lease(source, "g000", WINDOW, "me"):
            pass
        with ledger.lease(source, "g000", WINDOW, "me") as lease:
            with pytest.raises(Retry, match="was lost"):
                late.__exit__(None, None, None)
            with pytest.raises(Retry, match="was lost"):
                ledger.commit(verified(source, 10, 20), proof_table({"a": 1}))
            with pytest.raises(Retry, match="was lost"):
                lease.check()
    assert covered(ledger, source) == []
    ours.close()


def test_a_mark_that_cannot_be_left_leaves_the_lease_unended(
    dsn: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_RESTART_S", 0.0)
    ours, other, holder = PostgresLedger(dsn), PostgresLedger(dsn), f"away {source}"
    with (
        ours.lease(source, "g000", WINDOW, holder) as lease,
        pytest.raises(Retry, match="was lost"),
        lease.changing(slice_id(source, 10, 20)),
    ):
        end_session(dsn, holder)
        monkeypatch.setattr(ours._connections, "run", away)
    with pytest.raises(Retry, match="may still be writing"), other.lease(source, "g000", WINDOW, "me"):
        pass
    other.close()


def away(*_: object) -> None:
    raise Unreachable("PostgreSQL is away")


def test_who_has_lost_its_lease_tells_nothing_of_its_slices(ledger: PostgresLedger, dsn: str, source: str) -> None:
    holder = f"silent {source}"
    with ledger.lease(source, "g000", WINDOW, holder):
        end_session(dsn, holder)
        for state in ("landed", "written", "settled", "quarantined", "planned"):
            with pytest.raises(Retry, match="was lost"):
                ledger.record([verified(source, 0, 10, state=state)])  # type: ignore[arg-type]
        ledger.record([SliceRecord(slice_id(source, 0, 10), "retry_at", note="the lease was lost")])
    assert [each.state for each in ledger.history(source, "g000", WINDOW)] == ["retry_at"]
