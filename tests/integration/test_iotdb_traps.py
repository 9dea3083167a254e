"""The ways IoTDB loses data without an error (facts/iotdb.md): that the store is safe, and that the trap is there.

A test `..._is_there` that fails says that this server has mended something; the store's guard may then go.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.points import Point
from pipelines.ports import FerryError, NoRoom, Retry, Stop
from pipelines.timeline import Interval
from resources.embedded import IoTDBAddress
from resources.iotdb import IoTDBStore, statements
from resources.iotdb.extents import planned
from resources.iotdb.layout import SAMPLES, Column, Table
from resources.iotdb.rows import rows_of
from resources.iotdb.sessions import Sessions
from resources.iotdb.tablets import TabletWriter
from resources.iotdb.tsfiles import TsFileWriter
from tests.contract.source_contract import same
from tests.contract.store_contract import ALWAYS, START, dense, held, number, same_tally, source_name, state, table

DATABASE = "traps"


@pytest.fixture(scope="module")
def store(iotdb: IoTDBAddress, iotdb_staging: Path) -> Iterator[IoTDBStore]:
    store = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, DATABASE, iotdb_staging)
    store.prepare()
    assert store.writer_name == "load"
    yield store
    store.close()


@pytest.fixture(scope="module")
def sessions(iotdb: IoTDBAddress, store: IoTDBStore) -> Iterator[Sessions]:
    sessions = Sessions([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, DATABASE)
    yield sessions
    sessions.close()


@pytest.fixture(scope="module")
def loader(sessions: Sessions, iotdb_staging: Path) -> TsFileWriter:
    return TsFileWriter(sessions, iotdb_staging)


def raw_rows(source: str, point: str, values: list[float | None], start: int = START) -> pa.Table:
    """Rows of `samples` that no check of ours has seen."""
    rows = len(values)
    columns = [
        pa.array([start + i for i in range(rows)]),
        pa.array([source] * rows).dictionary_encode(),
        pa.array([point] * rows).dictionary_encode(),
        pa.array(["0"] * rows).dictionary_encode(),
        pa.array(values, pa.float64()),
        pa.array([192] * rows, pa.int32()),
        pa.array([0] * rows, pa.int32()),
    ]
    return pa.table(columns, names=SAMPLES.schema.names)


def count(sessions: Sessions, source: str) -> int:
    sql = statements.select(DATABASE, SAMPLES, "count(*) AS events", f"source = {statements.literal(source)}")
    return int(sessions.query(sql, "counting")["events"][0].as_py())


# 1: text in a TAG that is not ASCII. Seen with a server on Java 17 in the C locale; ours runs on a Java whose default
# is UTF-8 (JEP 400) and keeps it, so only the guard is tested: a plant's own server may be of either kind.


def test_trap_1_is_not_walked_into(store: IoTDBStore, sessions: Sessions) -> None:
    source = source_name()
    with pytest.raises(Stop, match="ASCII"):
        store.write(source, table([number("Öl", START, 1.0)]))
    with pytest.raises(Stop, match="ASCII"):
        store.write_points(source, [Point("Öl", "Öl", "number")])
    assert count(sessions, source) == 0


# 2: a second LOAD under a path that was loaded before; the `.resource` file of the first describes the second


def test_trap_2_is_there(loader: TsFileWriter, sessions: Sessions, iotdb_staging: Path) -> None:
    source, path = source_name(), iotdb_staging / f"{source_name()}.tsfile"
    for point, values in (("A", [1.0]), ("B", [2.0, 3.0])):
        loader._write_file(path, SAMPLES, raw_rows(source, point, [*values]))
        loader._load(path)  # answers success
        path.unlink()
    path.with_name(f"{path.name}.resource").unlink()
    assert count(sessions, source) == 1


def test_trap_2_every_file_has_a_name_of_its_own(store: IoTDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    once = store._sessions.run_once
    monkeypatch.setattr(store._sessions, "run_once", lambda sql, doing: (said.append(sql), once(sql, doing)))
    for _ in range(3):
        store.write("trap2", table([number("A", START, 1.0), state("A", START + 1, "x")]))
    assert len(set(said)) == len(said) == 6


# 3 and 4: nulls


def test_trap_3_is_there(loader: TsFileWriter) -> None:
    with pytest.raises(FerryError, match="crosses partitions"):
        loader.write(SAMPLES, raw_rows(source_name(), "A", [None, None]))


def test_trap_4_is_there(sessions: Sessions) -> None:
    source = source_name()
    for value in ("1.5", "NULL"):
        sessions.run(
            f"INSERT INTO samples(time, source, point, tie, value, quality, detail) "
            f"VALUES({START}, '{source}', 'A', '0', {value}, 192, 0)",
            "inserting",
        )
    sql = statements.select(DATABASE, SAMPLES, "value", f"source = '{source}'")
    assert sessions.query(sql, "reading")["value"].to_pylist() == [1.5]


def test_traps_3_and_4_no_null_gets_as_far_as_iotdb(store: IoTDBStore) -> None:
    events = table([state("A", START, "x", 1)])
    code = events.schema.get_field_index("code")
    with pytest.raises(ValueError, match="no code"):
        store.write(source_name(), events.set_column(code, events.schema.field(code), pa.nulls(1, pa.int64())))


def test_trap_4_an_aggregate_of_nothing_replaces_the_old_one(store: IoTDBStore, sessions: Sessions) -> None:
    source = source_name()
    start = pa.array([START], pa.int64()).cast(samples.SCHEMA.field("time").type)
    for mean in (2.5, None):
        rows = pa.table({"point": ["A"], "time": start, "mean": pa.array([mean], pa.float64()), "events": [0]})
        store.write_aggregates(source, "1h", rows)
    found = sessions.query(f"SELECT mean, events FROM agg_1h WHERE source = '{source}'", "reading").to_pydict()
    assert np.isnan(found["mean"]).tolist() == [True]
    assert found["events"] == [0]


def test_trap_4_a_limit_that_is_gone_is_gone(store: IoTDBStore, sessions: Sessions) -> None:
    source = source_name()
    store.write_points(source, [Point("A", "Öl", "number", unit="°C", description="old", zero=1.0, span=2.0)])
    store.write_points(source, [Point("A", "走る", "digital", step=True), Point("B", "b", "string", future=True)])
    sql = f"SELECT point, name, kind, unit, description, step, future, zero, span FROM points WHERE source = '{source}'"
    found = sorted(sessions.query(sql, "reading").to_pylist(), key=lambda row: row["point"])
    assert [(r["name"], r["kind"], r["unit"], r["description"], r["step"], r["future"]) for r in found] == [
        ("走る", "digital", "", "", True, False),
        ("b", "string", "", "", False, True),
    ]
    assert all(np.isnan(row[limit]) for row in found for limit in ("zero", "span"))


# 5: DELETE over rows that are still in memory


def test_trap_5_deletes_leave_no_ghosts(store: IoTDBStore, sessions: Sessions) -> None:
    rng = random.Random(5)
    tablets = TabletWriter(sessions)
    for _ in range(6):
        source = source_name()
        events, gone = dense(["A", "B"], 6, seed=rng.randrange(1_000)), np.zeros(12, bool)
        for _ in range(4):
            some = np.array([rng.random() < 0.5 for _ in range(12)])
            for home, rows in rows_of(source, events.filter(pa.array(some)), 1):
                tablets.write(home, rows)  # acknowledged, and not FLUSHed
            gone &= ~some
            doomed = np.array([rng.random() < 0.4 for _ in range(12)])
            store.delete(source, events.filter(pa.array(doomed)))
            gone |= doomed
        for home, rows in rows_of(source, events, 1):
            tablets.write(home, rows)
        store.delete(source, events.filter(pa.array(gone))) if gone.any() else None
        kept = samples.ordered(events.filter(pa.array(~gone)))
        same(held(store, source, ["A", "B"]), kept)
        same_tally(store.tally(source, ["A", "B"], ALWAYS), kept)


# 6: conversions, and bytes that have flipped


def test_trap_6_is_there(sessions: Sessions, loader: TsFileWriter, iotdb_staging: Path) -> None:
    sessions.run("CREATE TABLE IF NOT EXISTS whole(source STRING TAG, value INT32 FIELD)", "creating")
    source, path = source_name(), iotdb_staging / f"{source_name()}.tsfile"
    loader._write_file(path, DOUBLES, doubles(source, 1.5))
    sessions.run_once(statements.load(str(path), DATABASE).replace("'false'", "'true'"), "LOADing")
    sql = statements.select(DATABASE, DOUBLES, "value", f"source = '{source}'")
    assert sessions.query(sql, "reading")["value"].to_pylist() == [1]


DOUBLES = Table("whole", (Column("source", "STRING", "TAG"), Column("value", "DOUBLE", "FIELD")))


def doubles(source: str, value: float) -> pa.Table:
    columns = [pa.array([START]), pa.array([source]).dictionary_encode(), pa.array([value])]
    return pa.table(columns, names=["time", "source", "value"])


def test_trap_6_a_mismatch_is_refused(sessions: Sessions, loader: TsFileWriter) -> None:
    sessions.run("CREATE TABLE IF NOT EXISTS whole(source STRING TAG, value INT32 FIELD)", "creating")
    source = source_name()
    with pytest.raises(FerryError):
        loader.write(DOUBLES, doubles(source, 1.5))
    sql = statements.select(DATABASE, DOUBLES, "value", f"source = '{source}'")
    assert sessions.query(sql, "reading")["value"].to_pylist() == []


def test_trap_6_the_tally_reads_the_values_and_sees_flipped_bytes(
    store: IoTDBStore, loader: TsFileWriter, iotdb_staging: Path
) -> None:
    events = dense(["A"], 2_000, state_share=0.0)
    truth = samples.tally(events, number_digest=True)
    accepted = noticed = 0
    for offset in range(400, 9_000, 700):
        source, path = source_name(), iotdb_staging / f"{source_name()}.tsfile"
        ((home, rows),) = rows_of(source, events, 1)
        loader._write_file(path, home, rows)
        damaged = bytearray(path.read_bytes())
        damaged[offset % len(damaged)] ^= 0xFF
        path.write_bytes(damaged)
        try:
            loader._load(path)
            back = held(store, source, ["A"])
            found = store.tally(source, ["A"], ALWAYS)
        except FerryError:
            continue  # noticed by the server
        finally:
            path.unlink(missing_ok=True)
        if samples.tally(back)["digest"].to_pylist() == truth["digest"].to_pylist():
            continue  # the byte meant nothing
        accepted += 1
        same_tally(found, back)  # what is there is what is counted, not what the file's statistics say
        noticed += found["number_digest"].to_pylist() != truth["number_digest"].to_pylist()
    assert accepted == 0 or noticed > 0


# 9: a LOAD that failed may have stored everything


def test_trap_9_a_failed_load_is_a_retry_that_says_so(store: IoTDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    source, events = source_name(), dense(["A"], 5)
    once = store._sessions.run_once

    def stores_and_fails(sql: str, doing: str) -> None:
        once(sql, doing)
        raise Retry("IoTDB code 1100")

    with monkeypatch.context() as patched:
        patched.setattr(store._sessions, "run_once", stores_and_fails)
        with pytest.raises(Retry, match="may be stored all the same"):
            store.write(source, events)
    store.write(source, events)
    same(held(store, source, ["A"]), events)


# 10: a relative path is the server's


def test_trap_10_paths_are_absolute(sessions: Sessions, iotdb_staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(iotdb_staging.parent)
    source = source_name()
    TsFileWriter(sessions, Path(iotdb_staging.name)).write(SAMPLES, raw_rows(source, "A", [1.0]))
    assert count(sessions, source) == 1


# Found while building: the ends of int64, spans of centuries, and CAST


def test_the_ends_of_time_are_there(sessions: Sessions) -> None:
    source = source_name()
    TabletWriter(sessions).write(SAMPLES, raw_rows(source, "A", [1.0], start=-(2**63)))  # answers success
    TabletWriter(sessions).settle()
    assert count(sessions, source) == 0


def test_cast_compares_as_double(sessions: Sessions) -> None:
    source, time = source_name(), 4_102_358_400_000_000_000
    TabletWriter(sessions).write(SAMPLES, raw_rows(source, "A", [1.0], start=time))
    condition = f"source = '{source}' AND CAST(time AS INT64) < {time + 1}"
    assert not len(sessions.query(statements.select(DATABASE, SAMPLES, "time", condition), "reading"))


def test_a_span_of_centuries_is_asked_in_parts_where_there_are_rows(store: IoTDBStore, sessions: Sessions) -> None:
    source = source_name()
    years = 365 * 86_400 * 10**9
    events = table([number("A", START + i * 4 * years, float(i)) for i in range(-10, 10)])
    store.write(source, events)
    parts = planned(sessions, SAMPLES, source, ["A"], ALWAYS, 1)
    assert 10 < len(parts) < 40
    assert all(one.end_ns == two.start_ns for one, two in itertools.pairwise(parts))
    assert planned(sessions, SAMPLES, source, ["nobody"], ALWAYS, 1) == []
    same(held(store, source, ["A"]), events)
    same_tally(store.tally(source, ["A"], ALWAYS), events)
    store.delete(source, events.slice(5, 10))
    assert len(held(store, source, ["A"])) == 10


# What else may be wrong outside


def test_the_clock_is_the_one_that_show_variables_names(store: IoTDBStore, sessions: Sessions) -> None:
    found = sessions.query("SHOW VARIABLES", "reading")
    variables = dict(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True))
    assert {"ns": 1, "us": 1_000, "ms": 1_000_000}[variables["TimestampPrecision"]] == store.clock_ns


def test_a_table_that_is_not_ours_is_refused(iotdb: IoTDBAddress, sessions: Sessions) -> None:
    sessions.run("CREATE DATABASE IF NOT EXISTS foreign_plant", "creating")
    sessions.run("CREATE TABLE IF NOT EXISTS foreign_plant.samples(device STRING TAG, value FLOAT FIELD)", "creating")
    other = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, "foreign_plant")
    with pytest.raises(Stop, match=r"table samples is not ours: it lacks .*value DOUBLE FIELD.*has value FLOAT FIELD"):
        other.prepare()


def test_a_wrong_password_stops(iotdb: IoTDBAddress) -> None:
    other = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, "not-the-password", DATABASE)
    with pytest.raises(Stop, match="log-in failed") as raised:
        other.prepare()
    assert "not-the-password" not in str(raised.value)


def test_the_first_node_that_answers_is_used(iotdb: IoTDBAddress) -> None:
    nodes = ["127.0.0.1:1", f"{iotdb.host}:{iotdb.port}"]
    other = IoTDBStore(nodes, iotdb.user, iotdb.password, DATABASE)
    other.prepare()
    other.close()


def test_without_a_folder_that_both_see_tablets_are_written(iotdb: IoTDBAddress, tmp_path: Path) -> None:
    node = f"{iotdb.host}:{iotdb.port}"
    other = IoTDBStore([node], iotdb.user, iotdb.password, DATABASE, tmp_path / "nowhere")
    other.prepare()
    assert other.writer_name == "tablets"
    assert "nowhere" in other.writer_reason
    other.close()


def test_staging_is_left_clean(store: IoTDBStore, loader: TsFileWriter, iotdb_staging: Path) -> None:
    store.write(source_name(), dense(["A"], 10))
    assert not list(iotdb_staging.glob("ferry-*"))
    dead, living, foreign = (iotdb_staging / name for name in ("ferry-dead.tsfile", "ferry-new.tsfile", "theirs"))
    for path in (dead, living, foreign):
        path.touch()
    for path in (dead, foreign):
        os.utime(path, (0, 0))
    loader.clean()
    assert not dead.exists() and living.exists() and foreign.exists()
    living.unlink()
    foreign.unlink()


def test_a_full_staging_disk_is_no_room(
    loader: TsFileWriter, iotdb_staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resources.iotdb.tsfiles.TsFileTableWriter", refuse)
    monkeypatch.setattr("resources.iotdb.tsfiles.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000}))
    with pytest.raises(NoRoom, match="No space left"):
        loader.write(SAMPLES, raw_rows(source_name(), "A", [1.0]))


def test_aggregates_that_vanished_are_deleted(store: IoTDBStore, sessions: Sessions) -> None:
    source, hour = source_name(), 3_600 * 10**9
    times = pa.array([START + i * hour for i in range(6)], pa.int64()).cast(samples.SCHEMA.field("time").type)

    def rows(point: str, kept: list[int]) -> pa.Table:
        means, events = pa.array([float(i) for i in kept], pa.float64()), pa.array(kept, pa.int64())
        return pa.table(
            {
                "point": pa.array([point] * len(kept), pa.string()),
                "time": times.take(pa.array(kept, pa.int64())),
                "mean": means,
                "events": events,
            }
        )

    def left() -> dict[str, list[int]]:
        found = sessions.query(f"SELECT point, events FROM agg_1h WHERE source = '{source}'", "reading").to_pylist()
        return {point: sorted(r["events"] for r in found if r["point"] == point) for point in ("A", "B")}

    store.write_aggregates(source, "1h", pa.concat_tables([rows("A", list(range(6))), rows("B", list(range(6)))]))
    span = Interval(START, START + 4 * hour)
    store.write_aggregates(source, "1h", rows("A", [0, 2]), replace=span, points=["A"])
    assert left() == {"A": [0, 2, 4, 5], "B": list(range(6))}
    store.write_aggregates(source, "1h", rows("A", []), replace=span)
    assert left() == {"A": [4, 5], "B": [4, 5]}
