"""Slices, coverage, point exceptions and acceptances in a real PostgreSQL."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from pipelines.ports import Exclusion, LedgerStore, Looked, SliceRecord, Watch
from pipelines.timeline import Interval
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger, slices
from tests.ledger import proof_table, schema_dsn, slice_id, verified


@pytest.fixture(scope="module")
def dsn(postgres: PostgresAddress) -> Iterator[str]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def ledger(dsn: str) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger(dsn)
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def source() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


def excluded(source: str, point: str, start: int, end: int, reason: str = "gone", group: str = "g000") -> Exclusion:
    return Exclusion(source, group, point, Interval(start, end), reason)


def test_it_is_a_ledger_store(ledger: PostgresLedger) -> None:
    assert isinstance(ledger, LedgerStore)


def test_history_comes_back_whole_and_in_order(ledger: PostgresLedger, source: str) -> None:
    before = time.time_ns()
    written = [
        SliceRecord(slice_id(source, 0, 10), "planned"),
        SliceRecord(slice_id(source, 0, 10), "retry_at", "gen\u00e9", "run", 5, 3, 1, "né\x00 \ud800 ok", 77),
        SliceRecord(slice_id(source, 10, 2**63 - 1, "g001"), "quarantined"),
        SliceRecord(slice_id(source, -(2**63), 0), "landed"),
    ]
    ledger.record(written)
    ledger.record([])
    found = ledger.history(source, "g000", Interval(0, 10))
    assert [each.state for each in found] == ["planned", "retry_at"]
    assert found[0].seq < found[1].seq
    assert abs(found[0].recorded_ns - before) < 60 * 10**9
    second = found[1]
    assert (second.generation, second.run_id, second.events, second.points, second.rounded, second.retry_at_ns) == (
        "gen\u00e9", "run", 5, 3, 1, 77,
    )  # fmt: skip
    assert second.note == "né\ufffd ? ok"
    assert len(ledger.history(source, None, Interval(-(2**63), 2**63 - 1))) == 4
    assert ledger.history(source, "g001", Interval(0, 10)) == []


def test_what_runs_have_moved_is_found_without_reading_what_passes_did(
    ledger: PostgresLedger, dsn: str, source: str
) -> None:
    empty, other = proof_table(), f"{source}x"
    for number in range(4):
        ledger.commit(replace(verified(source, number, number + 1), run_id="run"), empty)
    for number in range(40):
        ledger.commit(replace(verified(source, number, number + 1), run_id="run", note="followed"), empty)
        ledger.commit(replace(verified(other, number, number + 1), run_id="run"), empty)
    ledger.record(
        [SliceRecord(slice_id(source, 0, 4), "settled", "g", "run"), SliceRecord(slice_id(source, 9, 10), "verified")]
    )
    found = ledger.moved(source)
    assert [each.slice.span.start_ns for each in found] == [3, 2, 1, 0]
    assert [each.slice.span.start_ns for each in ledger.moved(source, 2)] == [3, 2]
    with psycopg.connect(dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        values = {"source": source, "limit": 9}
        plan = connection.execute(b"EXPLAIN " + slices.STATEMENTS["moved"], values).fetchall()
    assert any("slices_moved" in row[0] for row in plan)
    assert not any("Sort" in row[0] for row in plan)


def test_the_order_of_cover_and_withdraw_decides(ledger: PostgresLedger, dsn: str, source: str) -> None:
    empty = proof_table()
    assert ledger.coverage(source, "g000") == []
    ledger.commit(verified(source, 0, 10), empty)
    ledger.commit(verified(source, 10, 20), empty)
    ledger.withdraw(slice_id(source, 5, 12), "restated")
    assert ledger.coverage(source, "g000") == [Interval(0, 5), Interval(12, 20)]
    ledger.commit(verified(source, 4, 6), empty)
    assert ledger.coverage(source, "g000") == [Interval(0, 6), Interval(12, 20)]
    assert ledger.coverage(source, "g001") == []
    with psycopg.connect(dsn) as connection:
        gaps = connection.execute("SELECT start_ns, end_ns FROM gaps_now WHERE source = %s", [source]).fetchall()
    assert gaps == [(6, 12)]


def test_only_verified_covers(ledger: PostgresLedger, source: str) -> None:
    ledger.commit(verified(source, 0, 10, state="quarantined"), proof_table({"a": 1}))
    ledger.record([verified(source, 0, 10)])
    assert ledger.coverage(source, "g000") == []
    assert ledger.proofs(source, Interval(0, 10)).num_rows == 0


def test_checkpoints_change_nothing(
    ledger: PostgresLedger, dsn: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "CHECKPOINT_ROWS", 4)
    for start in range(0, 40, 2):
        ledger.commit(verified(source, start, start + 1), proof_table())
        ledger.withdraw(slice_id(source, start - 4, start - 3), "x")
    # Each withdrawal but the first two undid a verification.
    assert ledger.coverage(source, "g000") == [Interval(36, 37), Interval(38, 39)]
    with psycopg.connect(dsn) as connection:
        (checkpoints,) = connection.execute(
            "SELECT count(*) FROM coverage_checkpoints WHERE source = %s", [source]
        ).fetchone() or (0,)
    assert checkpoints == 10


def test_an_exception_is_closed_by_a_proof_of_its_point_only(ledger: PostgresLedger, source: str) -> None:
    given = [excluded(source, "a", 0, 10), excluded(source, "b", 0, 10, "say \"no\",\n'now'\x00")]
    ledger.commit(verified(source, 0, 10), proof_table({"c": 1}), given)
    assert ledger.exclusions(source, "g000", Interval(9, 11))[1].reason == "say \"no\",\n'now'\ufffd"
    assert ledger.exclusions(source, None, Interval(10, 11)) == []
    ledger.commit(verified(source, 0, 10), proof_table({"a": 1, "c": 1}))
    assert [each.point for each in ledger.exclusions(source, "g000", Interval(0, 10))] == ["b"]
    ledger.commit(verified(source, 0, 10), proof_table({"b": 1}, proof="none"))
    assert [each.point for each in ledger.exclusions(source, "g000", Interval(0, 10))] == ["b"]


def test_the_rest_of_a_partly_mended_exception_stays(ledger: PostgresLedger, source: str) -> None:
    ledger.commit(verified(source, 0, 10), proof_table(), [excluded(source, "a", 0, 10, "why")])
    ledger.commit(verified(source, 4, 6), proof_table({"a": 1}))
    assert ledger.exclusions(source, "g000", Interval(0, 10)) == [
        excluded(source, "a", 0, 4, "why"), excluded(source, "a", 6, 10, "why"),
    ]  # fmt: skip
    ledger.commit(verified(source, 2, 8), proof_table(), [excluded(source, "a", 2, 8, "new")])
    assert ledger.exclusions(source, "g000", Interval(0, 10)) == [
        excluded(source, "a", 0, 2, "why"), excluded(source, "a", 8, 10, "why"), excluded(source, "a", 2, 8, "new"),
    ]  # fmt: skip


def test_the_same_exception_again_adds_no_row(ledger: PostgresLedger, dsn: str, source: str) -> None:
    for _ in range(3):
        ledger.commit(verified(source, 0, 10), proof_table(), [excluded(source, "a", 0, 10)])
        ledger.exclude([excluded(source, "a", 5, 15), excluded(source, "a", 5, 15)])
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT start_ns, end_ns FROM exclusions WHERE source = %s", [source]).fetchall()
    assert rows == [(0, 10), (10, 15)]
    ledger.exclude([])


def test_an_exception_of_another_group_is_refused(ledger: PostgresLedger, source: str) -> None:
    with pytest.raises(ValueError, match="another group"):
        ledger.commit(verified(source, 0, 10), proof_table(), [excluded(source, "a", 0, 10, group="g001")])
    assert ledger.coverage(source, "g000") == []


def test_a_loss_is_accepted_until_the_next_verification(ledger: PostgresLedger, source: str) -> None:
    ledger.commit(verified(source, 0, 10), proof_table())
    asked = slice_id(source, 2, 8)
    assert not ledger.loss_accepted(asked)
    ledger.accept_loss(source, "g000", Interval(0, 5), "somebody")
    assert not ledger.loss_accepted(asked)
    ledger.accept_loss(source, "g000", Interval(5, 10), "somebody")
    assert ledger.loss_accepted(asked)
    assert not ledger.loss_accepted(slice_id(source, 2, 8, "g001"))
    ledger.commit(verified(source, 8, 12), proof_table())
    assert ledger.loss_accepted(asked)
    ledger.commit(verified(source, 7, 9), proof_table())
    assert not ledger.loss_accepted(asked)


def test_what_was_verified_since_a_loss_was_accepted(ledger: PostgresLedger, source: str) -> None:
    for start, end, note in ((0, 10, ""), (0, 10, ""), (2, 4, "provisional"), (20, 30, "")):
        ledger.commit(replace(verified(source, start, end), note=note), proof_table({"a": end}))
    ledger.record([SliceRecord(slice_id(source, 0, 10), "landed", "g9")])
    found = ledger.since_acceptance(slice_id(source, 0, 20))
    assert [(each.slice.span, each.note) for each in found] == [
        (Interval(0, 10), ""), (Interval(0, 10), ""), (Interval(2, 4), "provisional"),
    ]  # fmt: skip
    assert ledger.proofs_of(found[0])["events"].to_pylist() == [10]
    ledger.accept_loss(source, "g000", Interval(5, 6), "somebody")
    assert ledger.since_acceptance(slice_id(source, 0, 20)) == []
    ledger.commit(verified(source, 8, 12), proof_table({"a": 3}))
    assert [each.slice.span for each in ledger.since_acceptance(slice_id(source, 0, 20))] == [Interval(8, 12)]


def test_expiries_are_merged(ledger: PostgresLedger, source: str) -> None:
    assert ledger.expired(source) == []
    for start, end in ((0, 5), (5, 9), (20, 30)):
        ledger.expire(source, Interval(start, end), "ttl")
    assert ledger.expired(source) == [Interval(0, 9), Interval(20, 30)]


def test_threads_share_one_ledger(ledger: PostgresLedger, source: str) -> None:
    start = threading.Barrier(8)

    def work(index: int) -> None:
        start.wait()
        for step in range(5):
            at = (index * 5 + step) * 10
            ledger.commit(verified(source, at, at + 10), proof_table({"a": 1}))
            ledger.withdraw(slice_id(source, at, at + 5), "x")
            ledger.coverage(source, "g000")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert ledger.coverage(source, "g000") == [Interval(at + 5, at + 10) for at in range(0, 400, 10)]


@pytest.mark.parametrize("change", ["UPDATE slices SET note = 'x'", "DELETE FROM proofs", "TRUNCATE exclusions",
                                    "DELETE FROM migrations"])  # fmt: skip
def test_history_can_not_be_changed(ledger: PostgresLedger, dsn: str, change: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        connection.execute(change + " CASCADE" if change.startswith("TRUNCATE") else change)


def test_a_view_for_each_question(ledger: PostgresLedger, dsn: str, source: str) -> None:
    day = 86_400 * 10**9
    ledger.commit(verified(source, 0, day), proof_table({"a": 1}), [excluded(source, "b", 0, day)])
    with psycopg.connect(dsn) as connection:
        for view in ("coverage_now", "slices_now", "exclusions_now", "proofs_now", "proven_slices"):
            row = connection.execute(
                f"SELECT to_char(end_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM {view} WHERE source = %s",
                [source],
            ).fetchall()
            assert row == [("1970-01-02 00:00",)], view


def test_the_handover_is_set_once(ledger: PostgresLedger, source: str) -> None:
    assert ledger.handover(source) is None
    assert ledger.hand_over(source, 5) == 5
    assert ledger.hand_over(source, 9) == 5
    assert ledger.handover(source) == 5


def test_the_newest_look_of_either_kind_is_told(ledger: PostgresLedger, source: str) -> None:
    first, other = Interval(0, 10), Interval(10, 20)
    ledger.record_looks([Looked(source, "g000", first, 1), Looked(source, "g001", first, 2, deep=True, differing=3)])
    ledger.record_looks([Looked(source, "g000", first, 4), Looked(source, "g000", other, 5)])
    ledger.record_looks([])
    assert ledger.looks(source, first) == [
        Looked(source, "g001", first, 2, deep=True, differing=3),
        Looked(source, "g000", first, 4),
    ]
    assert len(ledger.looks(source, Interval(5, 15))) == 3
    assert ledger.looks(source + "x", first) == []


def test_proofs_that_are_not_kept_count_all_the_same(ledger: PostgresLedger, source: str) -> None:
    """They cover, close exceptions and end older proofs; kept ones take their place when the slice settles."""
    hour = Interval(0, 60)
    ledger.exclude([Exclusion(source, "g000", "a", hour, "new")])
    ledger.commit(verified(source, 0, 60), proof_table({"a": 3, "b": 4}), keep_proofs=False)
    assert ledger.coverage(source, "g000") == [hour]
    assert ledger.exclusions(source, None, hour) == []
    assert len(ledger.proofs(source, hour)) == 0
    ledger.commit(verified(source, 0, 60), proof_table({"a": 3, "b": 4}))
    assert len(ledger.proofs(source, hour)) == 2
    ledger.commit(verified(source, 30, 60), proof_table({"a": 1}), keep_proofs=False)
    assert len(ledger.proofs(source, hour)) == 0


def test_a_watch_takes_the_place_of_the_one_before(ledger: LedgerStore, source: str) -> None:
    assert ledger.watches(source) == []
    ledger.save_watch(Watch(source, "g000", 1, 2, {"Кран'1": "m_1"}))
    ledger.save_watch(Watch(source, "g001", 1, 2, {}))
    newer = Watch(source, "g000", 1, 5, {"Кран'1": "m_4", "b": "m_0"})
    ledger.save_watch(newer)
    assert ledger.watches(source) == [newer, Watch(source, "g001", 1, 2, {})]
    assert ledger.watches(source + "x") == []
