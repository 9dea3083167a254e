"""Leases: one holder, freed however the holder ends, and nothing committed after a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pipelines.ports import Retry
from pipelines.timeline import Interval
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.ledger import proof_table, schema_dsn, slice_id, verified

WINDOW = Interval(0, 100)
HOLD = """
import sys, time
from pipelines.timeline import Interval
from resources.postgres import PostgresLedger
ledger = PostgresLedger(sys.stdin.readline().strip())
with ledger.lease(sys.argv[1], "g000", Interval(0, 100), "run 7 on another host"):
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


def test_a_killed_holder_frees_it(ledger: PostgresLedger, dsn: str, source: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(dsn + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "held\n"
    with pytest.raises(Retry, match="run 7 on another host"), ledger.lease(source, "g000", WINDOW, "me"):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    deadline = time.monotonic() + 10
    while True:
        try:
            with ledger.lease(source, "g000", WINDOW, "me") as lease:
                lease.check()
                break
        except Retry:
            assert time.monotonic() < deadline
            time.sleep(0.05)


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
