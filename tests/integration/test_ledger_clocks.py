"""What the ledger keeps of clocks, expiries and landings, and a PostgreSQL that is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2.extensions
import pytest
import sqlalchemy
import sqlalchemy.exc
import sqlalchemy.pool

from assets_defs import waiting
from cli.outcome import UNREACHABLE, code_of, message_of
from pipelines.ports import SliceId, Unreachable
from pipelines.timeline import DAY_NS, MINUTE_NS, Interval
from resources import silence
from resources.embedded import EmbeddedPostgres, PostgresAddress, ServerNotReady
from resources.postgres import PostgresLedger
from resources.postgres.connections import Connection
from tests.ledger import proof_table, verified


@pytest.fixture
def ledger(postgres_dsn: str) -> Iterator[PostgresLedger]:
    opened = PostgresLedger(postgres_dsn)
    opened.migrate()
    yield opened
    opened.close()


def test_its_clock(ledger: PostgresLedger) -> None:
    assert abs(ledger.now_ns() - time.time_ns()) < MINUTE_NS
    assert ledger.on_this_host
    assert "127.0.0.1" in ledger.clock_name


def test_an_expiry_is_taken_back_by_a_row(ledger: PostgresLedger) -> None:
    ledger.expire("s", Interval(0, 100), "ttl")
    ledger.revive("s", Interval(40, 60), "it is kept")
    ledger.revive("other", Interval(0, 100), "it is kept")
    assert ledger.expired("s") == [Interval(0, 40), Interval(60, 100)]
    ledger.expire("s", Interval(50, 70), "ttl")
    assert ledger.expired("s") == [Interval(0, 40), Interval(50, 100)], "an expiry after it stands"


def test_what_a_clock_that_ran_ahead_has_covered(ledger: PostgresLedger) -> None:
    now_ns = time.time_ns()
    assert ledger.ahead("s", "g000", now_ns) is None
    ledger.commit(verified("s", now_ns - DAY_NS, now_ns - MINUTE_NS), proof_table({"a": 1}))
    assert ledger.ahead("s", "g000", time.time_ns()) is None
    right_ns = time.time_ns()
    ledger.commit(verified("s", now_ns - MINUTE_NS, now_ns + DAY_NS), proof_table({"a": 1}))
    ledger.commit(verified("s", now_ns + DAY_NS, now_ns + 3 * DAY_NS), proof_table({"a": 1}))
    part = ledger.ahead("s", "g000", time.time_ns())
    assert part is not None
    assert now_ns <= part.start_ns <= right_ns, "since the last row that says nothing of the future"
    assert part.end_ns == now_ns + 3 * DAY_NS
    ledger.withdraw(SliceId("s", "g000", part), "a clock ran ahead")
    assert ledger.coverage("s", "g000") == [Interval(now_ns - DAY_NS, part.start_ns)]


def test_a_first_pass_that_ran_ahead_is_withdrawn_from_its_start(ledger: PostgresLedger) -> None:
    now_ns = time.time_ns()
    ledger.commit(verified("s", now_ns - DAY_NS, now_ns + DAY_NS), proof_table({"a": 1}))
    assert ledger.ahead("s", "g000", now_ns) == Interval(now_ns - DAY_NS, now_ns + DAY_NS)


def test_the_landing_that_it_is_about(ledger: PostgresLedger) -> None:
    assert ledger.landing() is None
    assert ledger.claim_landing("one", "here:/a") == ("one", "here:/a")
    assert ledger.claim_landing("two", "here:/b") == ("one", "here:/a")
    assert ledger.claim_landing("one", "here:/c") == ("one", "here:/c")
    assert ledger.landing() == ("one", "here:/c")


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # one that is busy stops a little later, or had ended
            while psutil.Process(pid).status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                time.sleep(0.001)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def pids(state_dir: Path) -> list[int]:
    """The server, and the sessions that it has now."""
    [pid] = EmbeddedPostgres(state_dir).status().pids
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def test_a_server_that_is_stopped_times_out_with_words(
    ledger: PostgresLedger, state_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(silence, "SAY_AFTER_S", 0.5)
    monkeypatch.setattr(silence, "GIVE_UP_S", 2.0)
    assert ledger.expired("s") == []  # its connection is kept
    began_s = time.monotonic()
    with stopped(pids(state_dir)), pytest.raises(Unreachable, match="does not answer"):
        ledger.expired("s")
    assert time.monotonic() - began_s < 60
    assert "waiting for PostgreSQL at 127.0.0.1" in caplog.text
    assert ledger.expired("s") == []


def test_dagsters_own_storage_times_out_too(
    postgres_dsn: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SAY_AFTER_S", 0.5)
    monkeypatch.setattr(waiting, "SAY_AFTER_S", 0.5)
    monkeypatch.setattr(silence, "GIVE_UP_S", 2.0)
    waiting.wait_with_words()
    try:
        engine = sqlalchemy.create_engine(postgres_dsn, poolclass=sqlalchemy.pool.NullPool)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1, pg_sleep(1)")).scalar() == 1, "busy is not stopped"
            with stopped(pids(state_dir)), pytest.raises(sqlalchemy.exc.OperationalError) as failed:
                connection.execute(sqlalchemy.text("SELECT 1"))
        assert code_of(failed.value) == UNREACHABLE
        assert "does not answer" in message_of(failed.value)
    finally:
        psycopg2.extensions.set_wait_callback(None)


def test_one_session_that_is_stopped_among_others_is_not_waited_for(ledger: PostgresLedger) -> None:
    def asks(connection: Connection) -> None:
        connection.limit_s = 1.0
        with stopped([connection.info.backend_pid]):
            connection.execute("SELECT 1")

    with pytest.raises(Unreachable, match="is its session stopped"):
        ledger._connections.run(asks)
    assert ledger.expired("s") == []


def test_a_server_that_is_busy_is_waited_for(
    ledger: PostgresLedger, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SAY_AFTER_S", 0.2)
    monkeypatch.setattr(silence, "GIVE_UP_S", 0.5)
    slept = ledger._connections.run(lambda connection: connection.execute("SELECT 1, pg_sleep(2)").fetchone())
    assert slept is not None
    assert slept[0] == 1


def test_an_own_server_that_is_stopped_is_named_at_once(state_dir: Path, postgres: PostgresAddress) -> None:
    [pid, *_] = pids(state_dir)
    with stopped([pid]), pytest.raises(ServerNotReady, match=f"kill -CONT {pid}"):
        EmbeddedPostgres(state_dir).ensure()
    assert EmbeddedPostgres(state_dir).ensure() == postgres
