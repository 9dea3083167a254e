"""Proofs and the point catalogue in a real PostgreSQL: what stands, what survives, how fast."""

from __future__ import annotations

import dataclasses
import math
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from pipelines.journal import JOURNAL_SCHEMA
from pipelines.points import Point, group_label, group_of, point_id
from pipelines.ports import NEWCOMER, PROOF_SCHEMA, Exclusion, Watch
from pipelines.timeline import Interval, merge
from resources.embedded import PostgresAddress
from resources.postgres import PostgresLedger
from tests.ledger import proof_table, schema_dsn, slice_id, verified

ALL = Interval(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def ledger(postgres: PostgresAddress) -> Iterator[PostgresLedger]:
    with schema_dsn(postgres.dsn("ledger")) as dsn:
        ledger = PostgresLedger(dsn)
        ledger.migrate()
        yield ledger
        ledger.close()


@pytest.fixture
def source() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


def standing(ledger: PostgresLedger, source: str, span: Interval = ALL) -> set[tuple[str, int, int, int]]:
    rows = ledger.proofs(source, span).to_pylist()
    found = {(row["point"], row["start_ns"], row["end_ns"], row["events"]) for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_value_survives(ledger: PostgresLedger, source: str) -> None:
    totals = [math.nan, math.inf, -math.inf, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308]
    rows = [
        {
            "point": f'P{index}%22é", ü', "proof": "deep", "origin": "re-read", "source_events": None, "events": index,
            "stored_events": None, "good": 2**63 - 1, "first_ns": -(2**63), "last_ns": 2**63 - 1, "total": total,
            "digest": None if index else -(2**63),
        }
        for index, total in enumerate(totals)
    ]  # fmt: skip
    given = pa.Table.from_pylist(rows, schema=PROOF_SCHEMA)
    ledger.commit(dataclasses.replace(verified(source, 0, 10, "g007"), generation='g,"1'), given)
    found = ledger.proofs(source, ALL)
    assert found.schema.names == [*PROOF_SCHEMA.names, "group", "start_ns", "end_ns", "generation"]
    back = found.select(PROOF_SCHEMA.names)
    assert back.drop(["total"]).equals(given.drop(["total"]))
    assert [x.hex() for x in back["total"].to_pylist()] == [x.hex() for x in totals]
    assert found.select(["group", "start_ns", "end_ns", "generation"]).to_pylist()[0] == {
        "group": "g007", "start_ns": 0, "end_ns": 10, "generation": 'g,"1',
    }  # fmt: skip


def test_slices_inside_the_span_and_of_the_group_only(ledger: PostgresLedger, source: str) -> None:
    for start in (0, 10, 20):
        ledger.commit(verified(source, start, start + 10), proof_table({"a": start}))
    ledger.commit(verified(source, 0, 10, "g001"), proof_table({"b": 1}))
    assert standing(ledger, source, Interval(0, 20)) == {("a", 0, 10, 0), ("a", 10, 20, 10), ("b", 0, 10, 1)}
    assert standing(ledger, source, Interval(5, 25)) == {("a", 10, 20, 10)}
    assert ledger.proofs(source, ALL, "g001")["point"].to_pylist() == ["b"]
    assert ledger.proofs(source, ALL, "g002").schema == ledger.proofs(source, ALL).schema


def test_a_withdrawal_ends_every_proof_that_it_touches(ledger: PostgresLedger, source: str) -> None:
    ledger.commit(verified(source, 0, 10), proof_table({"a": 1}))
    ledger.commit(verified(source, 10, 20), proof_table({"a": 2}))
    ledger.withdraw(slice_id(source, 5, 6), "x")
    ledger.withdraw(slice_id(source, 0, 30, "g001"), "another group")
    assert standing(ledger, source) == {("a", 10, 20, 2)}
    ledger.commit(verified(source, 5, 6), proof_table({"a": 3}))
    assert standing(ledger, source) == {("a", 10, 20, 2), ("a", 5, 6, 3)}


def test_a_later_proof_of_a_point_ends_the_earlier_of_that_point(ledger: PostgresLedger, source: str) -> None:
    ledger.commit(verified(source, 0, 10), proof_table({"a": 1, "b": 1}))
    ledger.commit(verified(source, 3, 20), proof_table({"a": 2}))
    assert standing(ledger, source) == {("a", 3, 20, 2), ("b", 0, 10, 1)}
    # What has ended stays so, also when its successor ends.
    ledger.withdraw(slice_id(source, 15, 16), "x")
    assert standing(ledger, source) == {("b", 0, 10, 1)}
    ledger.commit(verified(source, 0, 10), proof_table({"b": 4}))
    assert standing(ledger, source) == {("b", 0, 10, 4)}


def test_wrong_proofs_are_refused(ledger: PostgresLedger, source: str) -> None:
    good = proof_table({"a": 1})
    for bad, why in (
        (good.drop(["events"]), "lack the columns"),
        (pa.concat_tables([good, good]), "a point twice"),
        (good.set_column(4, "events", pa.array([None], pa.int64())), "null"),
        (good.set_column(4, "events", pa.array(["x"])), "x"),
    ):
        with pytest.raises(ValueError, match=why):
            ledger.commit(verified(source, 0, 10), bad)
    with pytest.raises(psycopg.DataError):
        ledger.commit(verified(source, 0, 10), proof_table({"a": 1}, proof="believed"))
    assert ledger.history(source, None, ALL) == []
    assert ledger.coverage(source, "g000") == []


def test_bulk_is_quick(ledger: PostgresLedger, source: str) -> None:
    """Far below what is measured on a free machine (over 100,000 rows/s): a guard against rows in a loop."""
    table = proof_table({f"UNIT1.AREA2.TI-{index:05d}.PV": index for index in range(2_000)})
    begin = time.monotonic()
    for start in range(25):
        ledger.commit(verified(source, start, start + 1), table)
    assert ledger.proofs(source, ALL).num_rows == 50_000
    assert time.monotonic() - begin < 10


def test_points_are_versions(ledger: PostgresLedger, source: str) -> None:
    a = Point("A", "A", "number", "key1", "w1", "Float32", "°C", "Tür\x00", True, True, "set", 0.0, 100.0, {"x": "1"})
    b = Point("B", "B", "digital", zero=math.nan, span=-math.inf)
    assert ledger.load_points(source) == []
    assert ledger.catalogue_age_s(source) is None
    assert ledger.save_points(source, [b, a], 1) == 2
    first_s = ledger.catalogue_age_s(source)
    assert first_s is not None and 0 <= first_s < 60
    assert ledger.load_points(source)[0] == a
    assert repr(ledger.load_points(source)[1]) == repr(b)  # NaN is not itself
    assert ledger.save_points(source, [a, b], 1) == 0
    again_s = ledger.catalogue_age_s(source)
    assert again_s is not None and again_s < first_s + 60
    renamed = dataclasses.replace(a, name="A2", attributes={"x": "2", "ä": "\u2028"})
    assert ledger.save_points(source, [renamed], 1) == 2
    assert ledger.load_points(source) == [renamed]
    assert [point.id for point in ledger.known_points(source)] == ["A", "B"]
    assert ledger.save_points(source, [renamed], 1) == 0
    assert ledger.save_points(source, [renamed, b], 1) == 1
    assert [point.id for point in ledger.load_points(source)] == ["A", "B"]
    assert ledger.save_points(source, [], 1) == 2
    assert ledger.load_points(source) == []
    assert ledger.load_points(f"{source}x") == []


def excepted(ledger: PostgresLedger, source: str) -> set[tuple[str, int, int]]:
    found = ledger.exclusions(source, None, ALL)
    assert all(each.reason == NEWCOMER for each in found)
    return {(each.point, each.span.start_ns, each.span.end_ns) for each in found}


def test_a_point_is_excepted_wherever_slices_were_made_without_it_as_it_is(ledger: PostgresLedger, source: str) -> None:
    a, b, c = (Point(name, name, "number") for name in "ABC")
    ledger.save_points(source, [a], 1)
    ledger.commit(verified(source, 0, 10), proof_table({"A": 1}))
    ledger.save_points(source, [a, b], 1)
    found = {("B", 0, 10)}
    assert excepted(ledger, source) == found  # new
    ledger.commit(verified(source, 10, 20), proof_table({"A": 1, "B": 1}))
    ledger.save_points(source, [a], 1)
    ledger.commit(verified(source, 20, 30), proof_table({"A": 1}))
    ledger.save_points(source, [a, b], 1)
    assert excepted(ledger, source) == (found := found | {("B", 20, 30)})  # back
    ledger.commit(verified(source, 30, 40), proof_table({"A": 1, "B": 1}))
    retyped = dataclasses.replace(a, kind="string")
    ledger.save_points(source, [retyped, b], 1)
    assert excepted(ledger, source) == (found := found | {("A", 30, 40)})
    ledger.save_points(source, [dataclasses.replace(retyped, unit="m"), b, c], 1)
    assert excepted(ledger, source) == found | {("C", 0, 40)}
    ledger.commit(verified(source, 0, 40), proof_table({"A": 1, "B": 1, "C": 1}))
    assert excepted(ledger, source) == set()


def test_a_slice_that_was_begun_before_a_discovery_excepts_what_it_lacks(ledger: PostgresLedger, source: str) -> None:
    a, b, c = (Point(name, name, "number") for name in "ABC")
    ledger.save_points(source, [a, b], 2)
    known = ledger.known(source, 2)
    group = {name: group_label(group_of(name, 2)) for name in "ABC"}
    ledger.save_points(source, [a, dataclasses.replace(b, kind="string"), c], 2)
    for label in ("g000", "g001"):
        told = {name: 1 for name in "AB" if group[name] == label}
        ledger.commit(verified(source, 0, 10, label), proof_table(told), known=known)
    assert excepted(ledger, source) == {("B", 0, 10), ("C", 0, 10)}
    assert {each.point: each.group for each in ledger.exclusions(source, None, ALL)} == {
        "B": group["B"],
        "C": group["C"],
    }
    ledger.commit(verified(source, 0, 10, group["C"]), proof_table({"C": 1, "B": 1}), known=ledger.known(source, 2))
    assert ("C", 0, 10) not in excepted(ledger, source)


def test_a_discovery_and_a_commit_at_once_leave_no_hole(ledger: PostgresLedger, source: str) -> None:
    """Whichever comes first: the new points are excepted over every slice that was made without them."""
    ledger.save_points(source, [Point("A", "A", "number")], 1)
    known = ledger.known(source, 1)
    points = [Point("A", "A", "number"), *(Point(f"N{index}", "N", "number") for index in range(500))]
    with ThreadPoolExecutor(2) as pool:
        discovery = pool.submit(ledger.save_points, source, points, 1)
        for start in range(40):
            ledger.commit(verified(source, start, start + 1), proof_table({"A": 1}), known=known)
        discovery.result()
    excluded = ledger.exclusions(source, None, ALL)
    assert {each.point for each in excluded} == {f"N{index}" for index in range(500)}
    for point in ("N0", "N499"):
        assert merge(each.span for each in excluded if each.point == point) == [Interval(0, 40)]


def test_an_odd_name_stops_nobody(ledger: PostgresLedger, source: str) -> None:
    odd = Point("A", "\ud800", "string", attributes={"\ud800": "\x00"})
    assert ledger.save_points(source, [odd], 1) == 1
    assert ledger.save_points(source, [odd], 1) == 0
    assert ledger.load_points(source) == [Point("A", "?", "string", attributes={"?": "\x00"})]


def test_an_id_twice_is_refused(ledger: PostgresLedger, source: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        ledger.save_points(source, [Point("A", "A", "number"), Point("A", "B", "number")], 1)


def test_a_large_catalogue_is_compared_at_once(ledger: PostgresLedger, source: str) -> None:
    points = [Point(f"P{index}", f"N{index}", "number", unit="m") for index in range(20_000)]
    begin = time.monotonic()
    assert ledger.save_points(source, points, 1) == 20_000
    assert ledger.save_points(source, points[1:], 1) == 1
    assert len(ledger.load_points(source)) == 19_999
    assert time.monotonic() - begin < 10


def test_what_is_missing_counts_as_there_and_what_is_gone_is_told(ledger: PostgresLedger, source: str) -> None:
    a, b, c, d = (Point(name, name, "number") for name in "ABCD")
    ledger.save_points(source, [a, b, c, d], 1)
    assert ledger.save_points(source, [a], 1, missing=[b], unselected=[d]) == 3
    assert ledger.load_points(source) == [a, b]
    told = {each.point.id: (each.believed, each.since_ns) for each in ledger.absences(source)}
    assert {point: believed for point, (believed, _) in told.items()} == {"B": False, "C": True}
    assert abs(told["C"][1] / 1e9 - time.time()) < 60
    assert ledger.save_points(source, [a], 1, missing=[b]) == 0
    assert {each.point.id: (each.believed, each.since_ns) for each in ledger.absences(source)} == told
    assert ledger.gone_unasked(source) == 1
    ledger.save_points(source, [a], 1, accepted_by="me")
    assert [(each.point, each.believed) for each in ledger.absences(source)] == [(b, True), (c, True)]
    assert ledger.gone_unasked(source) == 0
    ledger.save_points(source, [a, b, d], 1)
    assert [each.point for each in ledger.absences(source)] == [c]


def test_a_missing_point_that_shows_again_was_never_away(ledger: PostgresLedger, source: str) -> None:
    a, b = (Point(name, name, "number") for name in "AB")
    ledger.save_points(source, [a, b], 1)
    ledger.commit(verified(source, 0, 10), proof_table({"A": 1, "B": 1}))
    known = ledger.known(source, 1)
    ledger.save_points(source, [a], 1, missing=[b])
    ledger.commit(verified(source, 10, 20), proof_table({"A": 1, "B": 1}), known=known)
    assert ledger.save_points(source, [a, b], 1) == 1
    assert excepted(ledger, source) == set()
    assert ledger.absences(source) == []


def test_no_text_of_a_source_is_too_long_for_an_index(ledger: PostgresLedger, source: str) -> None:
    """A B-tree's entry has at most 2,704 bytes: one name of 1,000 characters failed the whole catalogue."""
    names = ["".join(map(chr, rng.integers(0x4E00, 0x9FFF, 1_000))) for rng in map(np.random.default_rng, range(3))]
    long = [Point(point_id(name), name, "number") for name in names]
    a = Point("A", "A", "number")
    assert ledger.save_points(source, [a, *long], 1) == 4
    assert ledger.save_points(source, [a, *long], 1) == 0
    assert ledger.load_points(source) == sorted([a, *long], key=lambda point: point.id)
    everyone = proof_table({point.id: 1 for point in [a, *long]})
    ledger.commit(verified(source, 0, 10), everyone)
    ledger.exclude([Exclusion(source, "g000", long[0].id, Interval(0, 10), long[0].name)])
    ledger.commit(verified(source, 0, 10), proof_table({point.id: 2 for point in long[:2]}))
    proofs = ledger.proofs(source, ALL)
    assert dict(zip(proofs["point"].to_pylist(), proofs["events"].to_pylist(), strict=True)) == {
        "A": 1, long[0].id: 2, long[1].id: 2, long[2].id: 1,
    }  # fmt: skip
    assert ledger.exclusions(source, None, ALL) == []
    watch = Watch(source, "g000", 1, 2, {point.id: point.name for point in long})
    ledger.save_watch(watch)
    assert ledger.watches(source) == [watch]
    row = {"time_ns": 5, "kind": "k", "is_alarm": True, "priority": 1, "severity": 1, "object": "o", "variable": "v"}
    texts = dict.fromkeys(("area", "by_user", "value", "previous", "comment"), names[2])
    entries = pa.Table.from_pylist([{**row, **texts, "id": name} for name in names], schema=JOURNAL_SCHEMA)
    assert ledger.save_journal(source, entries) == 3
    assert ledger.save_journal(source, entries) == 3
    assert ledger.journal_entries(source, ALL) == 3
