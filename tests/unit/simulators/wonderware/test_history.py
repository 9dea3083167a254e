"""What the stand-in answers about History: retrieval as facts/historians.md 2.2 to 2.7 and 2.9 say."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.samples import is_number, times_ns
from simulators.pi_web_api.clock import parse_iso
from simulators.tds.database import SqlError
from simulators.wonderware import Historian, Plant, Settings, truth
from simulators.wonderware.events import DAY_NS, HOUR_NS, Version
from simulators.wonderware.zones import to_utc, to_wall
from tests.unit.simulators.wonderware.reading import ask, titles

START = parse_iso("2026-01-01T00:00:00Z")
END = START + 2 * DAY_NS
FULL = "wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'"
COLUMNS = "TagName, DateTime, Value, vValue, Quality, QualityDetail, OPCQuality"
NS = (
    "CAST(DATEDIFF(day, '19700101', DateTime) AS bigint) * 86400000000000 "
    "+ CAST(DATEDIFF(second, CAST(DateTime AS date), DateTime) AS bigint) * 1000000000 + DATEPART(nanosecond, DateTime)"
)
TEMP = "UNIT1.TEMP.TI002.PV"


@pytest.fixture(scope="module")
def historian() -> Historian:
    return Historian(Plant(Settings(points=120, hours=48)))


def text(time_ns: int) -> str:
    return str(np.datetime64(time_ns, "ns"))[:27]


def error(historian: Historian, sql: str, **parameters: object) -> int:
    with pytest.raises(SqlError) as caught:
        ask(historian, sql, **parameters)
    return caught.value.number


def expected(historian: Historian, name: str, first_ns: int, end_ns: int) -> list[tuple[object, ...]]:
    """Rows of COLUMNS straight from the plant."""
    number = historian.plant.catalogue.find(name).number
    events = historian.plant.window(number, first_ns, end_ns - 1)
    string = historian.plant.birth(number).kind == "string"
    rows = []
    for at in range(len(events)):
        valid = bool(events.valid[at])
        value = float(events.numbers[at]) if valid and not string else None
        words = events.names[events.texts[at]] if valid and string else None
        opc = int(events.opc[at])
        rows.append(
            (
                int(events.times[at]),
                value,
                words,
                int(events.quality[at]),
                int(events.detail[at]),
                None if opc < 0 else opc,
            )
        )
    return rows


# Windows that begin and end where it hurts: at midnight, at hours, on single events.
moments = st.one_of(
    st.integers(0, 48).map(lambda hour: START + hour * HOUR_NS),
    st.integers(-HOUR_NS // 1_000_000, (END - START + HOUR_NS) // 1_000_000).map(lambda ms: START + ms * 1_000_000),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bounds=st.tuples(moments, moments), some=st.lists(st.integers(1, 120), min_size=1, max_size=8, unique=True))
def test_a_full_utc_latest_query_gives_the_truth(
    historian: Historian, bounds: tuple[int, int], some: list[int]
) -> None:
    start, end = min(bounds), max(bounds)
    plant = historian.plant
    specs = [plant.catalogue.spec(number) for number in some if not plant.catalogue.spec(number).deleted]
    if not specs:
        return
    marks = {f"P{place}": spec.name for place, spec in enumerate(specs)}
    rows = ask(
        historian,
        f"SELECT {COLUMNS} FROM History WHERE TagName IN ({', '.join('@' + mark for mark in marks)}) "
        f"AND DateTime > @a AND DateTime < @b AND {FULL}",
        **marks, a=np.datetime64(start - 1_000_000, "ns"), b=np.datetime64(end, "ns"),
    )  # fmt: skip
    rows = [row for row in rows if start <= row[1] < end]
    table = truth(plant, start, end, list(marks.values()))
    kinds = {spec.name: spec.kind for spec in specs}
    by_point: dict[str, list[tuple[object, ...]]] = {}
    for name, time, value, words, _, detail, _ in rows:
        kind = kinds[name]
        shown = value if kind == "analog" else None
        other = words if kind == "string" else value
        by_point.setdefault(quote(name, safe=""), []).append((time, shown, other, detail))
    assert len(rows) == len(table)
    numbers, times = is_number(table), times_ns(table)
    for point in set(table["point"].to_pylist()):
        at = np.flatnonzero(np.asarray(table["point"].combine_chunks().cast("string")) == point)
        got = by_point[point]
        assert [row[0] for row in got] == times[at].tolist()
        assert [row[3] for row in got] == [table["detail"][int(place)].as_py() for place in at]
        for (_, shown, other, _), place in zip(got, at.tolist(), strict=True):
            if numbers[place]:
                assert shown == table["value"][place].as_py()
            elif other is None:
                assert (table["text"][place].as_py(), table["code"][place].as_py()) == ("", -1)
            elif isinstance(other, str):
                assert other == table["text"][place].as_py()
            else:
                assert shown is not None or other == table["code"][place].as_py()


def test_every_awkward_name_can_be_asked_for_by_parameter_literal_and_other_case(historian: Historian) -> None:
    for number in range(1, 41):
        spec = historian.plant.catalogue.spec(number)
        if spec.deleted or not len(historian.plant.window(number, START, END)):
            continue
        sql = f"SELECT COUNT(*), MIN(TagName) FROM History WHERE TagName = {{}} AND DateTime > '2026-01-01' AND {FULL}"
        literal = "N'" + spec.name.replace("'", "''") + "'"
        told = ask(historian, sql.format("@P1"), P1=spec.name)
        assert told[0][0] == len(historian.plant.window(number, START + 1, END))
        assert told[0][1] == spec.name
        assert ask(historian, sql.format(literal)) == told
        assert ask(historian, sql.format("@P1"), P1=spec.name.upper()) == told


def test_columns_and_values_of_each_kind(historian: Historian) -> None:
    for name in ("UNIT1.TROUBLE.TI007.PV", "UNIT1.TROUBLE.XV008.ST", "UNIT1.TROUBLE.ID009.TXT", "UNIT1.NOOPC.TI017.PV"):
        sql = (
            f"SELECT {COLUMNS} FROM History WHERE TagName = @P1 AND DateTime > '20260101 03:00:00.000' "
            f"AND DateTime < '2026-01-01T20:00' AND {FULL}"
        )
        rows = ask(historian, sql, P1=name)
        wanted = expected(historian, name, START + 3 * HOUR_NS + 1, START + 20 * HOUR_NS)
        string = historian.plant.catalogue.find(name).kind == "string"
        assert [(row[1], row[2], row[3] if string else None, *row[4:]) for row in rows] == wanted
        for row in rows:
            if not string:
                assert (row[3] is None) == (row[2] is None)
                assert row[3] is None or float(row[3]) == row[2]


def test_select_star_has_the_33_columns_with_inputs_echoed(historian: Historian) -> None:
    sql = (
        f"SELECT * FROM History WHERE TagName = '{TEMP}' AND DateTime > '2026-01-01' AND DateTime < "
        f"'2026-01-01 01:00' AND {FULL}"
    )
    names = titles(historian, sql)
    assert len(names) == 33
    row = dict(zip(names, ask(historian, sql)[0], strict=True))
    assert row["wwVersion"] == "LATEST"
    assert row["wwTimeZone"] == "UTC"
    assert row["wwTagKey"] == 2
    assert row["wwResolution"] is None
    assert row["StartDateTime"] == row["DateTime"]


def test_rows_come_in_the_order_of_the_list_each_tag_by_time(historian: Historian) -> None:
    names = [TEMP, "UNIT1.VALVE.XV003.ST", "UNIT1.FLOW.FI001.PV"]
    marks = ", ".join(f"'{name}'" for name in (*names, TEMP.lower(), "no such tag"))
    rows = ask(
        historian,
        f"SELECT TagName, DateTime FROM History WHERE TagName IN ({marks}) AND DateTime > '2026-01-01' AND {FULL}",
    )
    assert list(dict.fromkeys(row[0] for row in rows)) == names
    for name in names:
        times = [row[1] for row in rows if row[0] == name]
        assert times == sorted(times)


def window(historian: Historian, bounds: str, name: str = TEMP, more: str = FULL) -> list[tuple[object, ...]]:
    return ask(
        historian,
        "SELECT DateTime, Value, Quality, QualityDetail, OPCQuality FROM History WHERE TagName = "
        f"'{name}' AND {bounds} AND {more}",
    )


def test_greater_or_equal_makes_up_an_initial_row(historian: Historian) -> None:
    plain = window(historian, "DateTime > '2026-01-01 12:00' AND DateTime < '2026-01-01 13:00'")
    made = window(historian, "DateTime >= '2026-01-01 12:00' AND DateTime < '2026-01-01 13:00'")
    last = historian.plant.before(2, START + 12 * HOUR_NS)
    assert made[1:] == plain
    assert made[0] == (START + 12 * HOUR_NS, float(last.numbers[0]), 133, int(last.detail[0]), int(last.opc[0]))
    between = window(historian, "DateTime BETWEEN '2026-01-01 12:00' AND '2026-01-01 13:00'")
    assert between[0] == made[0]


def test_without_an_earlier_row_the_initial_row_has_no_data(historian: Historian) -> None:
    for start in ("2025-12-31", "2027-02-03"):
        made = window(historian, f"DateTime >= '{start}' AND DateTime < '2027-02-04'", "UNIT1.SILENT.XI006.PV")
        assert made == [(int(np.datetime64(start, "ns").astype(int)), None, 1, 65_536, 0)]
    assert window(historian, "DateTime > '2025-12-31'", "UNIT1.SILENT.XI006.PV") == []
    first = window(historian, "DateTime >= '2025-12-31' AND DateTime < '2026-01-02'")
    assert first[0][3] == 65_536
    assert first[1][:4:3] == (START, 150)


def test_a_start_in_the_future_has_a_single_row_without_a_value() -> None:
    historian = Historian(Plant(Settings(points=5, hours=24, clock_ns=START + 20 * HOUR_NS)))
    assert [row[1:] for row in window(historian, "DateTime >= '2026-01-03' AND DateTime < '2026-01-04'")] == [
        (None, 1, 65_536, 0)
    ]


def test_an_event_exactly_at_the_start_needs_greater_or_equal(historian: Historian) -> None:
    edge = "UNIT1.EDGES.TI012.PV"
    at = START + 5 * HOUR_NS
    without = window(historian, "DateTime > '2026-01-01 05:00' AND DateTime <= '2026-01-01 06:00'", edge)
    assert at not in [row[0] for row in without]
    assert without[-1][0] == at + HOUR_NS
    having = window(historian, "DateTime >= '2026-01-01 05:00' AND DateTime < '2026-01-01 06:00'", edge)
    assert [row[0] for row in having[:2]] == [at, at]
    assert having[0][2] == 133
    assert having[1][2] != 133
    exact = window(historian, "DateTime = '2026-01-01 05:00'", edge)
    assert exact == having[:2]


def test_the_other_reading_of_an_initial_row_beside_a_real_one() -> None:
    historian = Historian(Plant(Settings(points=20, hours=24, real_with_initial=False)))
    rows = window(historian, "DateTime >= '2026-01-01 05:00' AND DateTime < '2026-01-01 06:00'", "UNIT1.EDGES.TI012.PV")
    assert rows[0][2] != 133
    assert window(historian, "DateTime >= '2026-01-01 05:00:00.001' AND DateTime < '2026-01-01 06:00'")[0][2] == 133


def test_delta_is_the_default_and_drops_equal_rows_and_runs_of_null(historian: Historian) -> None:
    bounds, zone = "DateTime > '2026-01-01' AND DateTime < '2026-01-02'", "wwTimeZone = 'UTC'"
    for name in ("UNIT1.REPEAT.TI013.PV", "UNIT1.NULLS.TI015.PV"):
        full = window(historian, bounds, name)
        delta = window(historian, bounds, name, zone)
        assert delta == window(historian, bounds, name, f"{zone} AND wwRetrievalMode = 'DELTA'")
        wanted = []
        previous = historian.plant.before(historian.plant.catalogue.find(name).number, START + 1)
        state = (
            (
                float(previous.numbers[0]) if previous.valid[0] else None,
                int(previous.quality[0]),
                int(previous.detail[0]),
            )
            if len(previous)
            else None
        )
        for row in full:
            now = row[1:4]
            if state is None or not (now == state or (now[0] is None and state[0] is None)):
                wanted.append(row)
            state = now
        assert delta == wanted
        assert len(delta) < len(full)


def test_delta_shows_249_only_where_24_follows(historian: Historian) -> None:
    bounds = "DateTime > '2026-01-01' AND DateTime < '2026-01-03'"
    full = window(historian, bounds, "UNIT1.NULLS.TI015.PV")
    delta = set(window(historian, bounds, "UNIT1.NULLS.TI015.PV", "wwTimeZone = 'UTC'"))
    runs = [
        (one, two)
        for zero, one, two in zip(full, full[1:], full[2:], strict=False)
        if zero[1] is not None and one[1] is None and one[3] == 249 and two[1] is None and two[3] == 24
    ]
    assert runs
    assert all(one in delta and two not in delta for one, two in runs)


def test_versions_differ_where_somebody_edited(historian: Historian) -> None:
    name, bounds = "UNIT1.EDITED.TI014.PV", "DateTime > '2025-12-31' AND DateTime < '2026-01-02'"
    latest = window(historian, bounds, name)
    original = window(historian, bounds, name, FULL.replace("Latest", "ORIGINAL"))
    number = historian.plant.catalogue.find(name).number
    events = historian.plant.window(number, START, START + DAY_NS - 1, Version.BOTH)
    assert len(latest) == len(events.version(Version.LATEST))
    assert len(original) == len(events.version(Version.ORIGINAL))
    only_latest = set(latest) - set(original)
    assert only_latest
    assert {row[3] for row in only_latest} == {202}
    assert set(original) - set(latest)
    echoed = ask(
        historian,
        f"SELECT DISTINCT wwVersion FROM History WHERE TagName = '{name}' AND {bounds} AND wwVersion = 'Original'",
    )
    assert echoed == [("ORIGINAL",)]


@pytest.mark.parametrize(
    ("zone", "windows", "start", "gap", "twice"),
    [
        ("Europe/Berlin", "W. Europe Standard Time", "2026-03-28T00:00:00Z", "2026-03-29T01:00:00Z", None),
        ("Europe/Berlin", "W. Europe Standard Time", "2026-10-24T00:00:00Z", None, "2026-10-25T00:00:00Z"),
        ("America/New_York", "Eastern Standard Time", "2026-03-07T00:00:00Z", "2026-03-08T07:00:00Z", None),
        ("America/New_York", "Eastern Standard Time", "2026-10-31T00:00:00Z", None, "2026-11-01T05:00:00Z"),
    ],
)
def test_without_a_zone_times_are_the_servers_wall_clock(
    zone: str, windows: str, start: str, gap: str | None, twice: str | None
) -> None:
    historian = Historian(Plant(Settings(points=10, hours=72, start_ns=parse_iso(start), zone=zone)))
    first = parse_iso(start) + 3 * HOUR_NS
    last = first + 60 * HOUR_NS
    bounds = (
        f"DateTime > '{text(int(to_wall(np.array([first]), zone)[0]))}' AND DateTime < "
        f"'{text(int(to_wall(np.array([last]), zone)[0]))}'"
    )
    local = window(historian, bounds, "UNIT1.FLOW.FI001.PV", "wwRetrievalMode = 'Full'")
    named = window(historian, bounds, "UNIT1.FLOW.FI001.PV", f"wwRetrievalMode = 'Full' AND wwTimeZone = '{windows}'")
    utc = window(historian, f"DateTime > '{text(first)}' AND DateTime < '{text(last)}'", "UNIT1.FLOW.FI001.PV")
    assert local == named
    assert [row[1:] for row in local] == [row[1:] for row in utc]
    walls = np.array([row[0] for row in local])
    assert (walls == to_wall(np.array([row[0] for row in utc]), zone)).all()
    hour = 3_600_000_000_000
    if gap:
        missing = int(to_wall(np.array([parse_iso(gap) - 1]), zone)[0]) + 1
        assert not ((walls >= missing) & (walls < missing + hour)).any()
        assert ((walls >= missing - hour) & (walls < missing)).any()
    if twice:
        wall = int(to_wall(np.array([parse_iso(twice)]), zone)[0])
        in_hour = np.array([row[0] for row in utc])[(walls >= wall) & (walls < wall + hour)]
        assert in_hour.max() - in_hour.min() > hour
        assert (np.diff(walls) < 0).any()
        assert to_utc(wall, zone) == parse_iso(twice)


def test_a_zone_is_a_windows_name_or_its_key_and_nothing_else(historian: Historian) -> None:
    bounds = "DateTime > '2026-01-01 12:00' AND DateTime < '2026-01-01 13:00'"
    key = ask(historian, "SELECT TimeZoneKey FROM TimeZone WHERE TimeZone = 'tokyo standard time'")[0][0]
    by_name = window(historian, bounds, TEMP, "wwRetrievalMode = 'Full' AND wwTimeZone = 'Tokyo Standard Time'")
    by_key = window(historian, bounds, TEMP, f"wwRetrievalMode = 'Full' AND wwTimeZone = '{key}'")
    assert by_name == by_key != window(historian, bounds)
    assert (
        error(historian, f"SELECT Value FROM History WHERE TagName = 'a' AND {bounds} AND wwTimeZone = 'Europe/Berlin'")
        == 7_320
    )


def test_getutcdate_is_utc_and_getdate_the_servers_time() -> None:
    clock = parse_iso("2026-07-01T12:00:00Z")
    historian = Historian(Plant(Settings(points=3, clock_ns=clock, zone="Europe/Berlin")))
    local, utc = ask(historian, "SELECT GETDATE(), GETUTCDATE()")[0]
    assert local - utc == 2 * HOUR_NS
    assert 0 <= utc - clock < 60 * 10**9
    rows = ask(
        historian,
        f"SELECT MIN(DateTime) FROM History WHERE TagName = '{TEMP}' AND DateTime > DATEADD(hour, -1, "
        f"GETUTCDATE()) AND {FULL}",
    )
    assert 0 < rows[0][0] - (clock - HOUR_NS) < HOUR_NS


def test_nanoseconds_in_sql_are_exact_to_the_last_tick(historian: Historian) -> None:
    name = "UNIT1.REPLICA.TI011.PV"
    edge = {"point": name, "op": "add", "value": 1.5}
    plant = Historian(Plant(Settings(points=12, hours=24)))
    from simulators.wonderware.editing import edited

    edited(plant.plant, {"edits": [{**edge, "time": f"2026-01-01T{hour:02}:59:59.9999999Z"} for hour in range(24)]})
    for asked in (historian, plant):
        where = f"TagName = '{name}' AND DateTime > '2025-12-31' AND DateTime < '2026-01-02' AND {FULL}"
        hot = ask(asked, f"SELECT DateTime, {NS} AS ns, DATEPART(nanosecond, DateTime) FROM History WHERE {where}")
        cold = ask(
            asked,
            f"SELECT DateTime, {NS} AS ns, DATEPART(nanosecond, DateTime) FROM History WHERE {where} ORDER BY DateTime",
        )
        assert hot == cold
        assert all(row[0] == row[1] and row[2] == row[0] % 10**9 for row in hot)
        assert any(row[0] % 1_000_000 for row in hot)


def test_counting_in_sql_agrees_with_the_rows(historian: Historian) -> None:
    where = f"TagName LIKE 'UNIT1.%' AND DateTime > '2026-01-01' AND DateTime < '2026-01-02' AND {FULL}"
    counts = ask(
        historian,
        "SELECT h.TagName, COUNT_BIG(*) AS n, SUM(CASE WHEN h.Quality = 1 THEN 1 ELSE 0 END), "
        "SUM(h.Value), MIN(h.ns), MAX(h.ns) "
        f"FROM (SELECT TagName, {NS} AS ns, Value, Quality FROM History WHERE {where}) AS h WHERE "
        f"h.ns >= {START} GROUP BY h.TagName",
    )
    assert len(counts) >= 20
    for name, count, bad, total, first, last in counts:
        rows = expected(historian, name, START + 1, START + DAY_NS)
        assert (count, first, last) == (len(rows), rows[0][0], rows[-1][0])
        assert bad == sum(row[3] == 1 for row in rows)
        values = [row[1] for row in rows if row[1] is not None]
        assert total == pytest.approx(sum(values)) if values else total is None


def test_tags_are_found_by_like_join_and_subquery(historian: Historian) -> None:
    bounds = f"DateTime > '2026-01-01' AND DateTime < '2026-01-01 06:00' AND {FULL}"
    joined = ask(
        historian,
        "SELECT H.TagName, H.DateTime, H.vValue FROM Tag T INNER REMOTE JOIN History H ON T.TagName = H.TagName "
        "WHERE T.TagType = 3 AND H.wwRetrievalMode = 'Full' AND H.wwTimeZone = 'UTC' AND H.wwVersion = 'Latest' "
        "AND H.DateTime > @a AND H.DateTime < @b",
        a="2026-01-01", b="2026-01-01 06:00",
    )  # fmt: skip
    nested = ask(
        historian,
        f"SELECT TagName, DateTime, vValue FROM History WHERE TagName IN (SELECT TagName FROM StringTag) AND {bounds}",
    )
    assert sorted(joined, key=str) == sorted(nested, key=str)
    assert len({row[0] for row in joined}) > 5
    with_unit = ask(
        historian,
        "SELECT H.TagName, E.Unit, COUNT(*) FROM INSQL.Runtime.dbo.History H JOIN AnalogTag A ON A.TagName = H.TagName "
        "JOIN EngineeringUnit E ON E.EUKey = A.EUKey WHERE E.Unit = N'°C' AND "
        f"{bounds.replace('DateTime', 'H.DateTime')} GROUP BY H.TagName, E.Unit",
    )
    assert {row[1] for row in with_unit} == {"°C"}
    assert len(with_unit) > 10
    liked = ask(historian, f"SELECT DISTINCT TagName FROM History WHERE TagName LIKE '25[_][%][_]load' AND {bounds}")
    assert liked == [("25_%_load",)]
    loose = ask(historian, f"SELECT DISTINCT TagName FROM History WHERE TagName LIKE '25_%_load' AND {bounds}")
    assert {row[0] for row in loose} == {"25_%_load", "25XYZload"}
    no_system = ask(historian, f"SELECT DISTINCT TagName FROM History WHERE TagName NOT LIKE 'Sys%' AND {bounds}")
    assert no_system
    assert not [row for row in no_system if row[0].startswith("Sys")]


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT Value FROM History", 7_320),
        ("SELECT Value FROM Live", 7_320),
        ("SELECT Value FROM History WHERE TagName = 'a'", 7_320),
        ("SELECT Value FROM History WHERE TagName = 'a' AND DateTime > '2026' AND wwRetrievalMode IN ('Full')", 7_320),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND (wwVersion = 'Latest' OR Value > 1)", 7_320),
        (
            "SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwVersion = 'Latest' AND "
            "wwVersion = 'Latest'", 7_320),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwVersion <> 'Latest'", 7_320),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwVersion = 'Newest'", 7_320),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwRetrievalMode = 'Fullest'", 7_320),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwRetrievalMode = 'Cyclic'", 40_517),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND wwTimeDeadband = 1000", 40_517),
        ("SELECT Value FROM History WHERE DateTime > '2026-01-01' AND vValue LIKE 'a%'", 7_320),
        ("SELECT Value FROM History WHERE DateTime > 'yesterday'", 241),
        ("SELECT Values_ FROM History WHERE DateTime > '2026-01-01'", 207),
        ("SELECT Value FROM History WHERE DateTimes > '2026-01-01'", 207),
        ("SELECT TagNames FROM Tag", 207),
        ("SELECT TagName FROM Tags", 208),
        ("SELECT TagName FROM INSQL.Runtime.dbo.Tag", 208),
        ("SELECT TagName FROM Other.dbo.Tag", 208),
        ("SELECT TagName FRM Tag", 102),
        ("SELECT Value FROM History WHERE TagName = @P9 AND DateTime > '2026-01-01'", 137),
        ("SELECT NOSUCH(1)", 195),
        (
            "SELECT DATEDIFF(millisecond, '19700101', DateTime) FROM History WHERE TagName = 'SysPulse' "
            "AND DateTime > '2026-01-01'", 535),
        ("UPDATE History SET Value = 1", 40_517),
        ("EXEC sp_who", 2_812),
    ],
)  # fmt: skip
def test_what_a_server_refuses(historian: Historian, sql: str, number: int) -> None:
    assert error(historian, sql) == number


def test_a_list_longer_than_the_setting_is_refused() -> None:
    historian = Historian(Plant(Settings(points=5, hours=24, max_in_list=3)))
    sql = f"SELECT Value FROM History WHERE TagName IN ({{}}) AND DateTime > '2026-01-01' AND {FULL}"
    ask(historian, sql.format("'a', 'b', 'c'"))
    assert error(historian, sql.format("'a', 'b', 'c', 'd'")) == 8_623
    assert error(historian, "SELECT 1", **{f"P{place}": 1 for place in range(2_101)}) == 8_003


def test_old_views_and_four_part_names_mean_the_same(historian: Historian) -> None:
    where = f"WHERE TagName = '{TEMP}' AND DateTime > '2026-01-01' AND DateTime < '2026-01-01 02:00' AND {FULL}"
    names = (
        "History",
        "dbo.History",
        "Runtime.dbo.History",
        "INSQL.Runtime.dbo.History",
        "v_History",
        "[Runtime].[dbo].[v_History]",
    )
    told = [ask(historian, f"SELECT DateTime, Value FROM {name} {where}") for name in names]
    assert told[0]
    assert all(each == told[0] for each in told)


def test_live_hides_what_is_later_than_the_clock() -> None:
    clock = START + 6 * HOUR_NS
    historian = Historian(Plant(Settings(points=30, hours=24, clock_ns=clock, live=True)))
    last = window(historian, "DateTime > '2026-01-01' AND DateTime < '2026-01-02'", "UNIT1.FLOW.FI001.PV")[-1]
    assert clock - 2 * 10**9 < last[0] < clock + 60 * 10**9
    live = ask(
        historian,
        "SELECT TagName, DateTime, Value FROM Live WHERE TagName IN ('UNIT1.FLOW.FI001.PV', "
        "'UNIT1.SILENT.XI006.PV') AND wwTimeZone = 'UTC'",
    )
    assert len(live) == 1
    assert live[0][1] >= last[0]
    assert (times_ns(truth(historian.plant, START, START + DAY_NS)) < clock + 60 * 10**9).all()


def test_the_press_forgets_what_an_edit_a_rename_and_a_hidden_window_change() -> None:
    historian = Historian(Plant(Settings(points=10, hours=24)))
    plant = historian.plant
    from simulators.wonderware.editing import edited

    def rows() -> list[tuple[object, ...]]:
        return ask(
            historian,
            "SELECT TagName, DateTime, Value FROM History WHERE TagName LIKE 'unit1.temp%' AND "
            f"DateTime > '2025-12-31' AND {FULL}",
        )

    before = rows()
    assert rows() == before
    edited(plant, {"edits": [{"point": TEMP, "op": "add", "time": "2026-01-01T10:00:00.5Z", "value": 7}]})
    assert len(rows()) == len(before) + 1
    plant.hide(START + 10 * HOUR_NS, START + 11 * HOUR_NS)
    assert len(rows()) < len(before)
    plant.unhide()
    plant.rename(TEMP, "UNIT1.TEMP.NEW")
    assert {row[0] for row in rows()} == {"UNIT1.TEMP.NEW"}
    plant.delete("unit1.temp.new")
    assert rows() == []
