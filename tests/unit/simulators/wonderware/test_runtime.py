"""Everything around History: configuration tables, Live, summaries, events, control, and the way over the wire."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pymssql
import pytest

from simulators.pi_web_api.clock import parse_iso
from simulators.tds.database import HangUp, SqlError
from simulators.tds.server import Server
from simulators.wonderware import Historian, Plant, Settings, truth
from simulators.wonderware.events import DAY_NS, HOUR_NS
from simulators.wonderware.settings import from_arguments
from simulators.wonderware.zones import to_wall
from tests.unit.simulators.wonderware.reading import ask, plant

START = parse_iso("2026-01-01T00:00:00Z")
FULL = "wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'"
TEMP = "UNIT1.TEMP.TI002.PV"
ROWS = (
    f"SELECT DateTime, Value FROM History WHERE TagName = '{TEMP}' AND DateTime > '2026-01-01' AND "
    f"DateTime < '2026-01-02' AND {FULL}"
)
ROOT = Path(__file__).parents[4]


@pytest.fixture
def historian() -> Historian:
    return Historian(Plant(Settings(points=60, hours=24)))


@pytest.fixture(scope="module")
def shared() -> Historian:
    return Historian(Plant(Settings(points=200, hours=48, zone="Europe/Berlin")))


def error(historian: Historian, sql: str) -> int:
    with pytest.raises(SqlError) as caught:
        ask(historian, sql)
    return caught.value.number


def test_tags_with_units_limits_and_messages(shared: Historian) -> None:
    rows = ask(
        shared,
        "SELECT t.TagName, t.TagType, t.wwTagKey, t.Description, t.StorageType, u.Unit, a.MinEU, "
        "a.MaxEU, m.Message0, m.Message1 "
        "FROM Tag AS t LEFT JOIN AnalogTag AS a ON a.TagName = t.TagName LEFT JOIN EngineeringUnit "
        "AS u ON u.EUKey = a.EUKey "
        "LEFT JOIN DiscreteTag AS d ON d.TagName = t.TagName LEFT JOIN Message AS m ON m.MessageKey = d.MessageKey",
    )
    assert len(rows) == 199  # one is deleted
    by_name = {row[0]: row for row in rows}
    assert by_name[TEMP][1:3] == (1, 2)
    assert by_name[TEMP][5:8] == ("°C", 0.0, 100.0)
    assert by_name["UNIT1.VALVE.XV003.ST"][8:] == ("Closed", "Open")
    assert by_name["UNIT1.NOMESSAGE.XV034.ST"][8:] == (None, None)
    assert by_name["UNIT1.NOTSTORED.XI036.PV"][4] == 17
    assert {row[4] for row in rows} == {1, 2, 17}
    assert any(row[3] is None for row in rows)
    assert Counter(row[1] for row in rows).keys() == {1, 2, 3, 4, 5, 7}
    assert "UNIT1.DELETED.XI035.PV" not in by_name


def test_a_deleted_tag_is_in_taghistory_alone(shared: Historian) -> None:
    gone = "UNIT1.DELETED.XI035.PV"
    assert ask(shared, f"SELECT COUNT(*) FROM TagRef WHERE TagName = '{gone}'") == [(0,)]
    assert ask(shared, f"SELECT TagName FROM TagHistory WHERE TagName = '{gone}' AND DateDeleted IS NOT NULL") == [
        (gone,)
    ]
    assert ask(shared, ROWS.replace(TEMP, gone)) == []


def test_names_compare_whatever_their_case(shared: Historian) -> None:
    assert ask(shared, "SELECT TagName FROM Tag WHERE TagName = 'unit1.temp.ti002.PV'") == [(TEMP,)]
    assert ask(shared, "SELECT TagName FROM Tag WHERE TagName IN (@a, 'x')", a="УСТАНОВКА 2.температура 27")[0][
        0
    ].startswith("Установка")
    assert ask(shared, "SELECT COUNT(*) FROM Tag t JOIN TagRef r ON t.TagName = UPPER(r.TagName)") == [(199,)]
    assert ask(shared, "SELECT QualityString FROM QualityMap WHERE QualityDetail = 24") == [
        ("I/O Server communication failed",)
    ]


def test_scalars_of_t_sql(shared: Historian) -> None:
    row = ask(
        shared,
        "SELECT LEN(N'a🏭  '), 5 / 2, 5 / 2.0, ISNULL(NULL, 3), CAST('20260101 10:11:12.1234567' AS datetime2), "
        "DATEPART(nanosecond, '2026-01-01 00:00:00.9999999'), DATEPART(second, '2026-01-01 00:00:59.9999999'), "
        "DATEDIFF(day, '2026-01-01 23:59:59.9999999', '2026-01-02'), DATEDIFF_BIG(nanosecond, "
        "'19700101', '2026-01-01 00:00:00.0000001'), "
        "CASE WHEN 'A' = 'a' THEN 1 ELSE 0 END, N'Ж', COUNT_BIG(*), DB_NAME(), CAST('2026-01-01 "
        "00:00:00.9999' AS datetime2(3))",
    )[0]
    stamp = int(np.datetime64("2026-01-01T10:11:12.1234567", "ns").astype(int))
    whole = START + 100
    assert row == (3, 2, 2.5, 3, stamp, 999_999_900, 59, 1, whole, 1, "Ж", 1, "Runtime", START + 10**9)


def test_live_has_one_row_a_tag(shared: Historian) -> None:
    rows = ask(shared, "SELECT TagName, DateTime, vValue FROM Live WHERE TagName LIKE 'UNIT1.%' AND wwTimeZone = 'UTC'")
    names = [row[0] for row in rows]
    assert len(names) == len(set(names)) > 15
    for name, time, _ in rows:
        number = shared.plant.catalogue.find(name).number
        assert time == shared.plant.window(number, START, START + 3 * DAY_NS).times[-1]


def test_summaries_count_the_values_of_each_cycle(shared: Historian) -> None:
    names = (TEMP, "UNIT1.TROUBLE.TI007.PV", "UNIT1.VALVE.XV003.ST")
    rows = ask(
        shared,
        "SELECT TagName, StartDateTime, EndDateTime, ValueCount, Minimum, Maximum, First, Last, "
        "Average, Integral FROM AnalogSummaryHistory "
        f"WHERE TagName IN {names} AND StartDateTime >= '2026-01-01' AND EndDateTime <= '2026-01-02' "
        "AND wwCycleCount = 6 AND wwTimeZone = 'UTC'",
    )
    assert len(rows) == 12  # analog only
    for name, start, end, count, low, high, first, last, average, integral in rows:
        assert end - start == 4 * HOUR_NS
        events = shared.plant.window(shared.plant.catalogue.find(name).number, start, end - 1)
        numbers = events.numbers[events.valid & (events.quality != 1)]
        assert (count, low, high, first, last) == (len(numbers), numbers.min(), numbers.max(), numbers[0], numbers[-1])
        assert low <= average <= high
        assert integral == pytest.approx(average * 4 * 3_600, rel=0.3)
    by_resolution = ask(
        shared,
        f"SELECT COUNT(*) FROM AnalogSummaryHistory WHERE TagName = '{TEMP}' AND StartDateTime >= "
        "'2026-01-01' AND EndDateTime <= '2026-01-02' "
        "AND wwResolution = 60000 AND wwTimeZone = 'UTC'",
    )
    assert by_resolution == [(1_440,)]


def test_events_are_alarms_and_writes_with_local_and_utc_times(shared: Historian) -> None:
    where = "WHERE EventTimeUtc >= '2026-01-01' AND EventTimeUtc < '2026-01-02'"
    rows = ask(
        shared,
        "SELECT ID, EventTime, EventTimeUtc, EventTimeUTCOffsetMins, Type, Priority, Severity, "
        f"IsAlarm, Source_ProcessVariable FROM Events {where}",
    )
    assert 200 < len(rows) < 500
    assert {row[4] for row in rows} == {"Alarm.Set", "Alarm.Clear", "Alarm.Acknowledged", "User.Write"}
    for identity, local, utc, offset, _, priority, severity, _, source in rows:
        assert str(uuid.UUID(identity)) == identity
        assert local == int(to_wall(np.array([utc]), "Europe/Berlin")[0]) == utc + offset * 60_000_000_000
        assert 1 <= priority <= 999
        assert 1 <= severity <= 4
        assert source
    assert len({row[0] for row in rows}) == len(rows)
    again = Historian(Plant(Settings(points=200, hours=48, zone="Europe/Berlin")))
    assert ask(again, f"SELECT ID FROM Events {where}") == [(row[0],) for row in rows]
    utc_only = ask(
        shared,
        "SELECT MIN(EventTime - 0) FROM (SELECT DATEDIFF_BIG(second, EventTimeUtc, EventTime) AS "
        "EventTime FROM Events WHERE EventTime > '2026-01-01' AND wwTimeZone = 'UTC') AS e",
    )
    assert utc_only == [(0,)]


def test_logins_are_checked_and_the_password_is_not_shown() -> None:
    historian = Historian(Plant(Settings(points=3, username="ferry", password="secret-word")))
    for user, password, database, number in (
        ("ferry", "x", "", 18_456),
        ("x", "secret-word", "", 18_456),
        ("ferry", "secret-word", "nope", 4_060),
    ):
        with pytest.raises(SqlError) as caught:
            historian.login(user, password, database)
        assert caught.value.number == number
    historian.login("ferry", "secret-word", "Runtime")
    assert "secret-word" not in repr(historian.plant.settings)


def test_edits_by_control_show_in_history_and_truth_alike(historian: Historian) -> None:
    before = ask(historian, ROWS)
    told = plant(
        historian, "edits", seed=5, count=6, start="2026-01-01T01:00:00Z", end="2026-01-01T23:00:00Z", points=[TEMP]
    )
    assert {record["kind"] for record in told} == {"add", "change", "swap", "remove"}
    after = ask(historian, ROWS)
    table = truth(historian.plant, START + 1, START + DAY_NS, [TEMP])
    assert [row[0] for row in after] == np.asarray(table["time"].cast(pa.int64())).tolist()
    assert [row[1] for row in after] == table["value"].to_pylist()
    assert after != before
    for record in told:
        time = parse_iso(record["time"])
        values = [row[1] for row in after if row[0] == time]
        assert (record["after"]["value"] in values) if "after" in record else not values
    assert plant(historian, "edits_so_far") == told


def test_explicit_edits_by_control(historian: Historian) -> None:
    text = "UNIT1.BATCH.ID004.TXT"
    edits = [
        {"point": TEMP, "op": "add", "time": "2026-01-01T12:00:00.123Z", "value": None, "detail": 249, "opc": None},
        {"point": TEMP, "op": "add", "time": "2026-01-01T12:00:00.123Z", "value": 3.5, "quality": 16},
        {"point": text, "op": "add", "time": "2026-01-01T12:00:00.123Z", "value": "late ✅"},
    ]
    told = plant(historian, "edits", edits=edits)
    assert [record["tie"] for record in told] == [0, 1, 0]
    at = "DateTime > '2026-01-01 12:00:00.122' AND DateTime <= '2026-01-01 12:00:00.123'"
    sql = f"SELECT vValue, Quality, QualityDetail, OPCQuality FROM History WHERE TagName = @P1 AND {at} AND {FULL}"
    assert ask(historian, sql, P1=TEMP) == [(None, 1, 249, None), ("3.5", 16, 192, 192)]
    assert ask(historian, sql, P1=text) == [("late ✅", 0, 192, 192)]
    plant(historian, "edits", edits=[{"point": TEMP, "op": "remove", "time": "2026-01-01T12:00:00.123Z", "tie": 0}])
    assert ask(historian, sql, P1=TEMP) == [("3.5", 16, 192, 192)]
    assert len(ask(historian, sql.replace("Latest", "Original"), P1=TEMP)) == 2


def test_hiding_tags_and_truth_by_control(historian: Historian) -> None:
    before = ask(historian, ROWS)
    plant(historian, "hide", start="2026-01-01T06:00:00Z", end="2026-01-01T07:00:00Z")
    hidden = ask(historian, ROWS)
    assert hidden == [row for row in before if not START + 6 * HOUR_NS <= row[0] < START + 7 * HOUR_NS]
    assert plant(historian, "unhide") == [{"hidden": []}]
    assert ask(historian, ROWS) == before
    added = plant(historian, "tags", op="add", name="New 'tag'; --", kind="discrete", interval_s=60)[0]
    assert ask(historian, "SELECT wwTagKey, TagType FROM Tag WHERE TagName = @P1", P1="new 'TAG'; --") == [
        (added["number"], 2)
    ]
    assert (
        ask(
            historian,
            f"SELECT COUNT(*) FROM History WHERE TagName = @P1 AND DateTime > '2026-01-01' AND {FULL}",
            P1="New 'tag'; --",
        )[0][0]
        > 1_000
    )
    plant(historian, "tags", op="rename", name=TEMP, to="UNIT1.RENAMED")
    assert ask(historian, ROWS) == []
    assert ask(historian, ROWS.replace(TEMP, "UNIT1.RENAMED")) == before
    (stream,) = plant(historian, "truth", start="2026-01-01T00:00:00Z", end="2026-01-02T00:00:00Z", system=False)
    table = pa.ipc.open_stream(stream).read_all()
    assert table.equals(truth(historian.plant, START, START + DAY_NS, system=False))
    assert {each for each in table["point"].to_pylist() if each.startswith("Sys")} == {"System2.Pump.FI041.PV"}
    plant(historian, "tags", op="delete", name="UNIT1.RENAMED")
    assert ask(historian, ROWS.replace(TEMP, "UNIT1.RENAMED")) == []


def test_faults_strike_history_and_nothing_else(historian: Historian) -> None:
    plant(historian, "faults", faults=[{"kind": "error", "times": 2, "after": 1}])
    assert ask(historian, "SELECT COUNT(*) FROM Tag") == [(59,)]
    ask(historian, ROWS)
    assert error(historian, ROWS) == 1_205
    assert error(historian, ROWS.replace("Value", "MAX(Value)").replace("DateTime, ", "")) == 1_205
    rows = ask(historian, ROWS)
    plant(historian, "faults", kind="error", number=7_399)
    assert error(historian, ROWS) == 7_399
    plant(historian, "faults", kind="too_long", characters=100)
    assert error(historian, ROWS) == 8_623
    assert plant(historian, "faults_clear")[0]["faults"] == []
    plant(historian, "faults", kind="hang_up", rows=17)
    session = historian.login("ferry", "ferry-demo", "Runtime")
    got = b""
    with pytest.raises(HangUp):
        for result in historian.execute(session, ROWS, {}):
            for block in result.blocks:
                got += block
    from tests.unit.simulators.wonderware.reading import decoded

    assert decoded(result.columns, got) == rows[:17]
    plant(historian, "faults", kind="login", times=1)
    with pytest.raises(SqlError):
        historian.login("ferry", "ferry-demo", "Runtime")
    assert ask(historian, ROWS) == rows


def test_a_slow_server_gets_slower(historian: Historian) -> None:
    slept: list[float] = []
    historian.faults.sleep = slept.append
    plant(historian, "faults", kind="slow", seconds=0.5, factor=3, times=3)
    for _ in range(4):
        ask(historian, ROWS)
    assert slept == [0.5, 1.5, 4.5]


def test_statistics_count_statements_and_rows(historian: Historian) -> None:
    plant(historian, "stats_reset")
    rows = ask(historian, ROWS)
    ask(historian, "SELECT COUNT(*) FROM Tag")
    told = plant(historian, "stats")[0]
    assert told["history_statements"] == 1
    assert told["rows"] == len(rows) + 1
    assert told["statements"] == 3


def test_control_says_what_was_wrong(historian: Historian) -> None:
    for sql in (
        "EXEC ferry_plant 'nope'",
        "EXEC ferry_plant 'hide', '{}'",
        "EXEC ferry_plant 'edits', 'no json'",
        "EXEC ferry_plant 'faults', '{\"kind\": \"x\"}'",
    ):
        assert error(historian, sql) == 50_000
    assert error(historian, "EXEC ferry_plant") == 201


def test_arguments_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_SIM_PASSWORD", "other")
    settings = from_arguments(
        ["--points", "7", "--hours", "24", "--zone", "America/New_York", "--max-in-list", "9", "--tls", "optional"]
    )
    assert (settings.points, settings.hours, settings.zone, settings.max_in_list, settings.tls) == (
        7,
        24,
        "America/New_York",
        9,
        "optional",
    )
    assert settings.password == "other"


@pytest.fixture
def connection(historian: Historian) -> Iterator[pymssql.Connection]:
    server = Server(historian, port=0)
    server.start()
    with pymssql.connect(
        server="127.0.0.1",
        port=str(server.port),
        user="ferry",
        password="ferry-demo",
        database="Runtime",
        autocommit=True,
    ) as opened:
        yield opened
    server.stop()


def test_the_same_rows_over_the_wire(historian: Historian, connection: pymssql.Connection) -> None:
    cursor = connection.cursor()
    for name in (
        'He said "go", it\'s 23',
        "O''Brien's pump; DROP TABLE Tag;-- 24",
        "Pump 🚰 29",
        "UNIT1.TROUBLE.ID009.TXT",
    ):
        sql = (
            "SELECT TagName, Value, vValue, Quality, QualityDetail, OPCQuality FROM History WHERE "
            f"TagName = {{}} AND DateTime > '2026-01-01' AND {FULL}"
        )
        cursor.execute(sql.format("%s").replace("%%s", "%s"), (name,))
        assert cursor.fetchall() == ask(historian, sql.format("@P1"), P1=name)


def test_control_over_the_wire(connection: pymssql.Connection) -> None:
    cursor = connection.cursor()
    window = '"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"'
    cursor.execute(f"EXEC ferry_plant 'edits', '{{\"seed\": 1, \"count\": 4, {window}}}'")
    told = [json.loads(row[0]) for row in cursor.fetchall()]
    assert len(told) >= 4
    cursor.execute(
        "EXEC ferry_plant %s, %s", ("truth", '{"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}')
    )
    assert pa.ipc.open_stream(cursor.fetchone()[0]).read_all().num_rows > 100_000


def test_a_deadlock_leaves_the_connection_usable_and_a_hang_up_does_not(connection: pymssql.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute("EXEC ferry_plant 'faults', '{\"kind\": \"error\"}'")
    cursor.fetchall()
    with pytest.raises(pymssql.Error, match="deadlock"):
        cursor.execute(ROWS)
    cursor.execute(ROWS)
    assert cursor.fetchall()
    cursor.execute('EXEC ferry_plant \'faults\', \'{"kind": "hang_up", "rows": 10}\'')
    cursor.fetchall()
    with pytest.raises(pymssql.Error):
        cursor.execute(ROWS)
        cursor.fetchall()


def test_the_command_line_announces_itself_and_stops_on_sigterm() -> None:
    command = [
        sys.executable,
        "-m",
        "simulators.wonderware",
        "--port",
        "0",
        "--points",
        "20",
        "--hours",
        "24",
        "--warm",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:")
        port = line.strip().rpartition(":")[2]
        with pymssql.connect(
            server="127.0.0.1", port=port, user="ferry", password="ferry-demo", database="Runtime"
        ) as opened:
            cursor = opened.cursor()
            cursor.execute("SELECT COUNT(*) FROM Tag")
            assert cursor.fetchall() == [(20,)]
    finally:
        process.terminate()
    assert process.wait(20) == 0
