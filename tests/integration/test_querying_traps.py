"""Where the embedded IoTDB answers wrong without an error: what docs/querying.md warns of, and that our tallies do not.

A test `..._is_there` that fails says that this server has mended something; the warning may then go.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from iotdb.Session import Session as TreeSession

from pipelines.points import Point
from pipelines.ports import Stop
from pipelines.timeline import HOUR_NS, SECOND_NS, parse
from resources.embedded import IoTDBAddress
from resources.iotdb import IoTDBStore
from resources.iotdb.sessions import Sessions
from tests.conftest import drop_databases
from tests.contract.store_contract import ALWAYS, number, same_tally, state, table

DATABASE = "t_querying_traps"
START = parse("2026-01-01")
POINTS = [f"N{index:02d}" for index in range(6)]
DRAWN = random.Random(7)
NEGATIVE = [
    number(point, START + index * 30 * SECOND_NS, -1.0 - DRAWN.randrange(400) / 4, quality=DRAWN.choice([192, 0]))
    for point in POINTS
    for index in range(2_880)
]
DAY = "time >= 2026-01-01T00:00:00+00:00 AND time < 2026-01-02T00:00:00+00:00"


@pytest.fixture(scope="module")
def store(iotdb: IoTDBAddress) -> Iterator[IoTDBStore]:
    store = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, DATABASE)
    store.prepare()
    store.write("pi1", table(NEGATIVE))
    store.write_points("pi1", [Point(point, point, "number") for point in POINTS])
    yield store
    store.close()
    drop_databases(iotdb, [DATABASE])


@pytest.fixture(scope="module")
def sessions(iotdb: IoTDBAddress, store: IoTDBStore) -> Iterator[Sessions]:
    sessions = Sessions([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, DATABASE)
    yield sessions
    sessions.close()


def answer(sessions: Sessions, sql: str) -> list[tuple]:
    return [tuple(row.values()) for row in sessions.query(sql, "asking").to_pylist()]


def test_tallies_of_negative_values_before_1970_with_ties(store: IoTDBStore) -> None:
    """A tally has counts, times and a sum of its own; the maximum that the server gets wrong is not among them."""
    past = parse("1969-06-01")
    events = [
        *(
            number(f"P{p:03d}", past + i * HOUR_NS, -1.5 * (i + 1), tie=t)
            for p in range(300)
            for i in range(4)
            for t in range(1 + (p + i) % 3)
        ),
        *(state("P007", past + i * HOUR_NS + 1, "I/O Timeout", 246, quality=0) for i in range(9)),
        number("ZERO", past, 0.0),
        number("ZERO", past + 1, -0.0),
    ]
    store.write("past", table(events))
    points = sorted({event[0] for event in events})
    same_tally(store.tally("past", points, ALWAYS), table(events))
    same_tally(store.tally("pi1", POINTS, ALWAYS), table(NEGATIVE))


def test_min_max_first_last_and_sum_by_the_device_are_right(sessions: Sessions) -> None:
    hours: dict[tuple[str, int], list[float]] = {}
    for event in NEGATIVE:
        hours.setdefault((event[0], event[1] // HOUR_NS * HOUR_NS), []).append(event[3])
    found = answer(
        sessions,
        "SELECT point, date_bin(1h, time) AS hour, min(value), max(value), first(value), last(value), sum(value) "
        f"FROM samples WHERE source = 'pi1' AND {DAY} GROUP BY source, point, tie, date_bin(1h, time)",
    )
    expected = [(*key, min(v), max(v), v[0], v[-1], sum(v)) for key, v in hours.items()]
    assert sorted(found) == sorted(expected)


def test_max_of_negative_values_is_there(sessions: Sessions) -> None:
    columns = "quality, max(value), max_by(value, value), extreme(value)"
    sql = f"SELECT {columns} FROM samples WHERE source = 'pi1' GROUP BY quality"
    found = {row[0]: row[1:] for row in answer(sessions, sql)}
    for quality in (0, 192):
        values = [event[3] for event in NEGATIVE if event[6] == quality]
        wrong, right, extreme = found[quality]
        assert wrong is None
        assert right == max(values)
        assert extreme == -min(values), "the sign is lost"


def test_groups_that_are_no_devices_is_there(sessions: Sessions) -> None:
    """Every event is counted, but a value's group comes several times."""
    found = answer(sessions, "SELECT value, count(*) FROM samples WHERE source = 'pi1' GROUP BY value")
    assert sum(row[1] for row in found) == len(NEGATIVE)
    counts = Counter(row[0] for row in found)
    assert len(counts) == len({event[3] for event in NEGATIVE})
    assert max(counts.values()) > 1


def test_a_function_in_where_splits_groups_is_there(sessions: Sessions) -> None:
    sql = (
        "SELECT source, point, tie, date_bin(1h, time), count(*) FROM samples WHERE source = 'pi1' {} "
        "GROUP BY source, point, tie, date_bin(1h, time)"
    )
    right = answer(sessions, sql.format("AND value < 0 AND value > -1000"))
    split = answer(sessions, sql.format("AND abs(value) < 1000"))
    assert len(right) == len(POINTS) * 24
    assert len(split) > len(right)
    assert sum(row[-1] for row in split) == sum(row[-1] for row in right) == len(NEGATIVE)


def test_a_time_window_hides_the_other_table_is_there(sessions: Sessions) -> None:
    sql = (
        "SELECT s.time, p.name FROM samples AS s JOIN points AS p ON s.source = p.source AND s.point = p.point "
        "WHERE s.source = 'pi1' AND s.time >= 2026-01-01T00:00:00+00:00 AND s.time < 2026-01-02T00:00:00+00:00"
    )
    assert len(answer(sessions, sql)) == 0
    assert len(answer(sessions, f"{sql} AND p.time = 0")) == len(NEGATIVE)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("CREATE VIEW v AS SELECT time FROM samples", "VIEW"),
        ("CREATE USER ferry_reader 'choose-one-4711'", "USER"),
        (f"GRANT SELECT ON DATABASE {DATABASE} TO USER ferry_reader", "GRANT"),
    ],
)
def test_no_views_and_no_privileges_is_there(sessions: Sessions, sql: str, said: str) -> None:
    with pytest.raises(Stop, match=f"mismatched input '{said}'"):
        sessions.run(sql, "trying")


def test_every_user_may_do_everything_is_there(iotdb: IoTDBAddress, sessions: Sessions) -> None:
    """A user with no privilege at all writes, deletes and drops in the table model."""
    root = TreeSession(iotdb.host, iotdb.port, iotdb.user, iotdb.password, zone_id="UTC")
    root.open()
    root.execute_non_query_statement("CREATE USER ferry_reader 'choose-one-4711'")
    try:
        reader = Sessions([f"{iotdb.host}:{iotdb.port}"], "ferry_reader", "choose-one-4711", DATABASE)
        reader.run("CREATE TABLE mine (a STRING TAG, b DOUBLE FIELD)", "creating")
        reader.run("INSERT INTO mine(time, a, b) VALUES (1, 'x', 2.0)", "inserting")
        assert answer(reader, "SELECT b FROM mine") == [(2.0,)]
        reader.run("DROP TABLE mine", "dropping")
        reader.close()
    finally:
        root.execute_non_query_statement("DROP USER ferry_reader")
        root.close()
    assert "mine" not in {row[0] for row in answer(sessions, "SHOW TABLES")}
