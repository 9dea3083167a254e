"""The ledger's schema on a server, and a server that goes away, comes back, or turns us away."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.ports import Retry, SliceRecord, Stop, Unreachable
from pipelines.timeline import Interval
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger, connections, migrations
from tests.ledger import proof_table, schema_dsn, slice_id, verified


@pytest.fixture
def dsn(postgres: PostgresAddress) -> Iterator[str]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        yield dsn


class Wire:
    """A relay before the server that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._pairs: list[socket.socket] = []
        self._server: socket.socket | None = None
        self.port = 0
        self.mend()

    def mend(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, args=[self._server], daemon=True).start()

    def cut(self) -> None:
        assert self._server is not None
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._pairs:
            each.close()
        self._pairs.clear()

    def drop(self) -> None:
        for each in self._pairs:
            with suppress(OSError):  # its other end may have gone with it
                each.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=[one, other], daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        try:
            while block := one.recv(65536):
                other.sendall(block)
            other.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@pytest.fixture
def wire(dsn: str) -> Iterator[Wire]:
    wire = Wire(int(str(conninfo_to_dict(dsn)["port"])))
    yield wire
    wire.cut()


def through(wire: Wire, dsn: str) -> PostgresLedger:
    return PostgresLedger(make_conninfo(dsn, port=wire.port))


def test_migrating_twice_and_at_once(dsn: str) -> None:
    ledgers = [PostgresLedger(dsn) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(PostgresLedger.migrate, ledgers))
    ledgers[0].migrate()
    assert ledgers[0].coverage("s", "g000") == []
    for ledger in ledgers:
        ledger.close()
        ledger.close()


def test_a_schema_that_this_version_does_not_know(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, known = PostgresLedger(dsn), migrations.packaged()
    newer = migrations.Migration(9000, "9000_later.sql", "SELECT 1", "x")
    monkeypatch.setattr(migrations, "packaged", lambda: [*known, newer])
    ledger.migrate()
    monkeypatch.setattr(migrations, "packaged", lambda: known)
    with pytest.raises(Stop, match=r"newer than this version of ferry: it has 9000_later\.sql"):
        ledger.migrate()
    changed = dataclasses.replace(known[0], checksum="y")
    monkeypatch.setattr(migrations, "packaged", lambda: [changed, *known[1:], newer])
    with pytest.raises(Stop, match=f"{known[0].name} has changed"):
        ledger.migrate()


def test_a_failing_migration_leaves_nothing(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, known = PostgresLedger(dsn), migrations.packaged()
    broken = migrations.Migration(9000, "9000_broken.sql", "CREATE TABLE x (); SELECT nothing_like_it()", "x")
    monkeypatch.setattr(migrations, "packaged", lambda: [*known, broken])
    with pytest.raises(Stop):
        ledger.migrate()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT to_regclass('x'), to_regclass('slices')").fetchone() == (None, None)


def test_an_empty_schema_is_a_stop(dsn: str) -> None:
    with pytest.raises(Stop, match="migrate it first"):
        PostgresLedger(dsn).history("s", None, Interval(0, 1))
    with pytest.raises(Stop, match="search_path"):
        PostgresLedger(make_conninfo(dsn, options="-csearch_path=nowhere")).migrate()


def test_a_dropped_connection_is_replaced(dsn: str, wire: Wire) -> None:
    ledger = through(wire, dsn)
    ledger.migrate()
    ledger.commit(verified("s", 0, 10), proof_table({"a": 1}))
    wire.drop()
    assert ledger.coverage("s", "g000") == [Interval(0, 10)]
    wire.drop()
    ledger.commit(verified("s", 10, 20), proof_table({"a": 1}))
    assert len(ledger.history("s", None, Interval(0, 20))) == 2
    ledger.close()


def test_a_server_that_comes_back_is_met_again(dsn: str, wire: Wire) -> None:
    ledger = through(wire, dsn)
    ledger.migrate()
    wire.cut()
    timer = threading.Timer(0.7, wire.mend)
    timer.start()
    ledger.record([SliceRecord(slice_id("s", 0, 10), "planned")])
    timer.join()
    assert len(ledger.history("s", None, Interval(0, 20))) == 1
    ledger.close()


def test_a_server_that_stays_away_is_unreachable(dsn: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_RESTART_S", 0.5)
    ledger = through(wire, dsn)
    ledger.migrate()
    password = conninfo_to_dict(dsn)["password"]
    assert password
    with ledger.lease("s", "g000", Interval(0, 100), "me") as lease:
        wire.cut()
        with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{wire.port} ") as caught:
            ledger.coverage("s", "g000")
        assert password not in f"{caught.value} {caught.value.__cause__} {ledger!r}"
        with pytest.raises(Retry, match="was lost"):
            lease.check()
    begin = time.monotonic()
    with pytest.raises(Unreachable):
        through(wire, dsn).migrate()
    assert time.monotonic() - begin < 5  # nobody waits for a server never met
    wire.mend()
    assert ledger.coverage("s", "g000") == []


def test_a_commit_whose_answer_is_lost_is_not_done_twice(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = PostgresLedger(dsn)
    ledger.migrate()
    commit = psycopg.Connection.commit

    def lost(self: psycopg.Connection) -> None:
        commit(self)
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Connection, "commit", lost)
    with pytest.raises(Unreachable, match="unknown"):
        ledger.commit(verified("s", 0, 10), proof_table({"a": 1}))
    monkeypatch.undo()
    assert len(ledger.history("s", None, Interval(0, 10))) == 1


def test_who_is_turned_away_stops(dsn: str) -> None:
    for wrong in ({"password": "not-it-9431"}, {"dbname": "no_such_database"}):
        with pytest.raises(Stop, match="turns us away") as caught:
            PostgresLedger(make_conninfo(dsn, **wrong)).migrate()
        assert "not-it-9431" not in str(caught.value)


def test_an_unreadable_dsn_is_not_repeated() -> None:
    for dsn in ("host=a password=x y'z", "secret-9431", "postgresql://u:secret-9431@[h/db"):
        with pytest.raises(Stop, match="expected postgresql://") as caught:
            PostgresLedger(dsn)
        assert "9431" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_closed_ledger_says_so(dsn: str) -> None:
    ledger = PostgresLedger(dsn)
    ledger.migrate()
    ledger.close()
    with pytest.raises(Stop, match="closed"):
        ledger.coverage("s", "g000")


def test_a_lock_held_too_long_is_a_retry(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SETTINGS", b"SELECT set_config('lock_timeout', '100ms', false)")
    ledger = PostgresLedger(dsn)
    ledger.migrate()
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE slices")
        with pytest.raises(Retry, match="lock timeout"):
            ledger.record([SliceRecord(slice_id("s", 0, 10), "planned")])
    ledger.record([SliceRecord(slice_id("s", 0, 10), "planned")])
    ledger.close()
