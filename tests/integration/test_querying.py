"""The way out of IoTDB: `ferry sql`, and every query of docs/querying.md against answers computed here."""

from __future__ import annotations

import json
import math
import os
import pty
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cli.main import run
from pipelines.marts.aggregates import AGGREGATE_SCHEMA
from pipelines.plant import load_plant
from pipelines.points import Point, point_id
from pipelines.timeline import HOUR_NS, MINUTE_NS, SECOND_NS, iso, parse
from resources.embedded import IoTDBAddress
from resources.iotdb import IoTDBStore
from resources.iotdb.queries import statements
from tests.conftest import drop_databases
from tests.contract.store_contract import number, state, table

DOCS = Path(__file__).parents[2] / "docs" / "querying.md"
READER = Path(__file__).parents[2] / "sql" / "iotdb" / "reader.sql"
FERRY = [sys.executable, "-c", "from cli.main import main; main()"]
DATABASE = "t_querying"
FLOW, OIL, PUMP = "FIC101.PV", "Kessel 1/Öl.Temp", "P101.STATE"
NAMES = {point_id(name): name for name in (FLOW, OIL, PUMP, "TIC7", "LIC9")}
START, END = parse("2026-01-01"), parse("2026-01-02")
PLANT = """
[plant]
name = "{name}"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
simulate = {{ points = 10, seed = 1 }}
start = 2026-01-01T00:00:00Z
[store]
iotdb = "{address}"
username = "{user}"
password_env = "FERRY_TEST_IOTDB"
database = "{name}"
[ledger]
postgres = {{ dsn_env = "FERRY_TEST_NO_LEDGER" }}
"""
Event = tuple[str, int, int, Any, Any, Any, int, int]


def plant_events(seed: int) -> list[Event]:
    """A day and the hours before it: negative flows, bad and uncertain values, NaN, timeouts, ties, a pump's states."""
    drawn, events = random.Random(seed), []
    for name in (FLOW, OIL, "TIC7", "LIC9"):
        point, time = point_id(name), START - 2 * HOUR_NS
        while time < END + HOUR_NS:
            time += 20 * SECOND_NS + drawn.randrange(20 * SECOND_NS // 100) * 100
            value = -1.0 - 9.0 * drawn.random() if name == FLOW else drawn.uniform(-50.0, 50.0)
            kind = drawn.random()
            if kind < 0.04:
                events.append(state(point, time, "I/O Timeout", 246, quality=0))
            elif kind < 0.05:
                events.append(number(point, time, drawn.choice([math.nan, math.inf, -math.inf])))
            else:
                events.append(number(point, time, value, quality=drawn.choice([192, 192, 192, 216, 64, 0])))
            if drawn.random() < 0.01:
                more = drawn.randrange(1, 12)
                events += [number(point, time, value + tie, tie=tie) for tie in range(1, more)]
                events.append(state(point, time, "Bad Input", 255, tie=more, quality=0))
    time, pump = START - 5 * HOUR_NS, point_id(PUMP)
    while time < END:
        events.append(state(pump, time, drawn.choice(["Ein", "Aus", "", 'Läuft, "schnell"']), drawn.randrange(4)))
        time += drawn.randrange(30, 2_000) * SECOND_NS
    return events


EVENTS = {"pi1": plant_events(1), "pi2": plant_events(2)}


@pytest.fixture(scope="module")
def store(iotdb: IoTDBAddress, iotdb_staging: Path) -> Iterator[IoTDBStore]:
    store = IoTDBStore([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, DATABASE, iotdb_staging)
    store.prepare()
    for source, events in EVENTS.items():
        store.write(source, table(events))
        store.write_points(source, [Point(i, name, "number", unit=f"{source} m³/h") for i, name in NAMES.items()])
    yield store
    store.close()
    drop_databases(iotdb, [DATABASE])


@pytest.fixture
def plant(store: IoTDBStore, iotdb: IoTDBAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plant file whose source and ledger are not there."""
    monkeypatch.setenv("FERRY_TEST_IOTDB", iotdb.password)
    path = tmp_path / "ferry.toml"
    address = f"{iotdb.host}:{iotdb.port}"
    path.write_text(PLANT.format(name=DATABASE, address=address, user=iotdb.user), encoding="utf-8")
    return path


@pytest.fixture
def ask(plant: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        return run(["sql", *arguments, "--plant", str(plant)]), *capsys.readouterr()

    return call


@pytest.fixture
def rows(ask: Callable[..., tuple[int, str, str]]) -> Callable[[str], list[tuple[Any, ...]]]:
    def call(statement: str) -> list[tuple[Any, ...]]:
        code, out, err = ask(statement, "--json", "--limit", "100000")
        assert code == 0, err
        answer = json.loads(out)
        assert not answer["more"]
        return [tuple(row) for row in answer["rows"]]

    return call


def block(name: str, kind: str = "name") -> str:
    """One query of the docs."""
    [found] = re.findall(rf"```sql\n-- {kind}: {name}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def moment(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, SECOND_NS)
    return f"{iso(seconds * SECOND_NS)[:-1]}.{fraction:09d}Z"


def events(point: str, start: int = START, end: int = END) -> list[Event]:
    """Of one point of pi1, in order of time and tie."""
    return sorted(
        (e for e in EVENTS["pi1"] if e[0] == point and start <= e[1] < end), key=lambda event: (event[1], event[2])
    )


def finite(value: float) -> Any:
    """A number as JSON of ferry has it."""
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def test_names_and_units(rows: Callable[[str], list[Any]]) -> None:
    expected = [
        (moment(e[1]), NAMES[point], finite(e[3]), "pi1 m³/h", e[6])
        for point in (point_id(FLOW), point_id(OIL))
        for e in events(point, end=START + 6 * HOUR_NS)
        if e[3] is not None
    ]
    assert sorted(rows(block("names")), key=repr) == sorted(expected, key=repr)


def test_good_only(rows: Callable[[str], list[Any]]) -> None:
    good = [e for e in events(point_id(FLOW)) if e[3] is not None and e[6] >= 192]
    expected = sorted((moment(e[1]), str(e[2]), finite(e[3])) for e in good)
    assert len(expected) > 1_000
    assert sorted(rows(block("good_only"))) == expected


def test_last_values(rows: Callable[[str], list[Any]]) -> None:
    newest: dict[str, Event] = {}
    for event in sorted(EVENTS["pi1"], key=lambda each: (each[1], each[2])):
        newest[event[0]] = event
    found: dict[str, Any] = {}
    for row in rows(block("last_values")):
        found[row[0]] = row
    assert found == {
        point: (point, moment(e[1]), str(e[2]), None if e[3] is None else finite(e[3]), e[4], e[6])
        for point, e in newest.items()
    }


def test_hourly_means(rows: Callable[[str], list[Any]]) -> None:
    groups: dict[tuple[str, int, int], list[float]] = {}
    for point in NAMES:
        for e in events(point):
            if e[3] is not None and math.isfinite(e[3]) and e[6] >= 192:
                groups.setdefault((point, e[1] // HOUR_NS, e[2]), []).append(e[3])
    found = rows(block("hourly_means"))
    expected = {(point, str(tie), moment(hour * HOUR_NS)): values for (point, hour, tie), values in groups.items()}
    assert len(found) == len(expected) > 200
    assert found == sorted(found, key=lambda row: (row[0], row[2], row[1]))
    for point, tie, hour, count, mean, total, lowest, highest in found:
        values = expected[point, tie, hour]
        assert (count, lowest, highest) == (len(values), min(values), max(values))
        assert total == pytest.approx(math.fsum(values), abs=1e-6)
        assert mean == pytest.approx(math.fsum(values) / len(values), abs=1e-9)
    assert any(row[7] < 0 for row in found)


def test_ties(rows: Callable[[str], list[Any]]) -> None:
    later = sorted((e for point in NAMES for e in events(point) if e[2]), key=lambda e: (e[1], e[0], e[2]))
    assert any(e[2] > 9 for e in later)
    expected = [(moment(e[1]), e[0], str(e[2]), None if e[3] is None else finite(e[3]), e[4]) for e in later]
    assert rows(block("ties")) == expected


def test_a_trend_is_broken_where_the_signal_was(rows: Callable[[str], list[Any]]) -> None:
    expected = [
        (moment(e[1]), str(e[2]), finite(e[3]) if e[3] is not None and e[6] >= 192 else None, e[4])
        for e in events(point_id(FLOW))
    ]
    found = rows(block("trend"))
    assert found == expected
    assert sum(row[3] == "I/O Timeout" for row in found) > 50
    assert all(row[2] is None for row in found if row[3] is not None)


def test_how_long_a_state_held(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = ask(block("states_of_a_point"), "--csv", "--limit", "0")
    assert code == 0, err
    (tmp_path / "states.csv").write_text(out, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = {
        text: (times, seconds)
        for text, times, seconds in duckdb.connect().execute(block("state_durations", "duckdb")).fetchall()
    }
    expected: dict[str, tuple[int, float]] = {}
    changes = events(point_id(PUMP), start=START - 9 * HOUR_NS)
    for event, following in zip(changes, [*changes[1:], None], strict=True):
        until = following[1] if following else END
        if until > START:
            times, seconds = expected.get(event[4], (0, 0.0))
            expected[event[4]] = (times + 1, seconds + (until - max(event[1], START)) / SECOND_NS)
    assert {text: times for text, (times, _) in found.items()} == {text: times for text, (times, _) in expected.items()}
    for text, (_, seconds) in expected.items():
        assert found[text][1] == pytest.approx(seconds, abs=0.01)
    assert sum(seconds for _, seconds in found.values()) == pytest.approx(86_400.0, abs=0.1)


@pytest.mark.parametrize("name", ["samples", "states", "points", "agg_1h"])
def test_the_tables_are_as_the_docs_say(store: IoTDBStore, rows: Callable[[str], list[Any]], name: str) -> None:
    numeric = [
        f
        for f in AGGREGATE_SCHEMA
        if f.type in (pa.float64(), pa.int64()) and not f.name.endswith("_ns") and f.name != "changes"
    ]
    kept = pa.schema([AGGREGATE_SCHEMA.field("point"), AGGREGATE_SCHEMA.field("time"), *numeric])
    store.write_aggregates("pi1", "1h", kept.empty_table())
    part = re.split(r"^##", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    [text] = [each for each in part if each.startswith("#") and f"`{name}`" in each.splitlines()[0]]
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    assert told == [tuple(row[:3]) for row in rows(f"DESCRIBE {name}")]


def test_the_python_of_the_docs(store: IoTDBStore, iotdb: IoTDBAddress) -> None:
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for there, here in (
        ("plant-db:6667", f"{iotdb.host}:{iotdb.port}"),
        ('"ferry_reader"', f'"{iotdb.user}"'),
        ('"choose-one-4711"', repr(iotdb.password)),
        ('"north"', f'"{DATABASE}"'),
    ):
        assert there in code
        code = code.replace(there, here)
    names: dict[str, Any] = {}
    exec(code, names)
    expected = {
        point: sum(e[0] == point and e[3] is not None for each in EVENTS.values() for e in each)
        for point in NAMES
        if point != point_id(PUMP)
    }
    assert dict(zip(names["frame"]["point"], names["frame"]["events"], strict=True)) == expected


def test_the_reader_of_the_docs_is_the_file() -> None:
    found, rest = statements(READER.read_text(encoding="utf-8"))
    assert [each.split()[0] for each in found] == ["CREATE", "GRANT"]
    assert not rest
    assert ";\n".join(found) + ";\n```" in DOCS.read_text(encoding="utf-8")


def test_it_needs_no_source_and_no_ledger_and_writes_nothing(
    ask: Callable[..., tuple[int, str, str]], plant: Path
) -> None:
    code, out, err = ask("SELECT point, count(*) AS n FROM samples WHERE source = 'pi1' GROUP BY point")
    assert code == 0, err
    assert FLOW in out
    assert "4 rows" in err
    assert not load_plant(plant).state_dir.exists(), "a stand-in, a spool or a log was begun"


def test_more_rows_are_said_and_not_read(ask: Callable[..., tuple[int, str, str]]) -> None:
    everything = "SELECT time, value FROM samples"
    code, out, err = ask(everything)
    assert (code, len(out.splitlines())) == (0, 1_001)
    assert "1,000 rows, and there are more rows" in err
    code, out, err = ask(everything, "--limit", "3", "--json")
    assert json.loads(out)["more"] is True
    assert len(json.loads(out)["rows"]) == 3
    code, out, err = ask(everything, "--csv", "--limit", "2")
    assert (code, out.count("\n")) == (0, 3)
    assert "more rows" in err
    code, out, err = ask(everything, "--csv", "--limit", "0")
    total = sum(e[3] is not None for each in EVENTS.values() for e in each)
    assert (code, out.count("\n")) == (0, total + 1)
    assert "more rows" not in err


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT nope FROM samples", "Column 'nope' cannot be resolved"),
        ("SELECT FROM", "line 1:8"),
        ("SELECT * FROM nowhere", "does not exist"),
        ("SELECT time FROM samples UNION ALL SELECT time FROM states", "Union"),
        ("DELETE FROM samples WHERE source = 'pi1'", "DELETE is not a statement that only reads"),
        ("DROP TABLE samples", "DROP"),
        ("SELECT 1; SELECT 2", "2 statements"),
        (" ", "no statement"),
    ],
)
def test_a_wrong_statement_is_one_line(ask: Callable[..., tuple[int, str, str]], statement: str, said: str) -> None:
    code, out, err = ask(statement)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_server_that_is_not_there(ask: Callable[..., tuple[int, str, str]], plant: Path) -> None:
    text = plant.read_text(encoding="utf-8")
    plant.write_text(re.sub(r'iotdb = ".*"', 'iotdb = "127.0.0.1:1"', text), encoding="utf-8")
    code, out, err = ask("SHOW TABLES", "--json")
    assert code == 3
    assert json.loads(out)["exit"] == 3
    assert "127.0.0.1:1" in err


def prompt(plant: Path, typed: str) -> str:
    """What a terminal shows when somebody types."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*FERRY, "sql", "--plant", str(plant)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as child:
        os.close(theirs)
        shown = b""
        while b"ferry> " not in shown:
            shown += os.read(ours, 4_096)
        os.write(ours, typed.encode())
        try:
            while part := os.read(ours, 4_096):
                shown += part
        except OSError:  # Linux's way of saying that the other end is closed
            pass
        assert child.wait(60) == 0, shown.decode()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def test_a_prompt_takes_statements_over_lines_and_remembers_them(plant: Path) -> None:
    state = load_plant(plant).state_dir
    state.mkdir()
    shown = prompt(
        plant,
        "SELECT count(*) AS pump_events\nFROM states WHERE source = 'pi1'\nAND point = 'P101.STATE';\n"
        "DELETE FROM samples;\nSELECT nope FROM samples;\nquit\n",
    )
    pumps = sum(e[0] == PUMP for e in EVENTS["pi1"])
    assert re.search(rf"pump_events\s+{pumps}\s", shown), shown
    assert "DELETE is not a statement that only reads" in shown
    assert "cannot be resolved" in shown
    history = (state / "sql_history").read_text(encoding="utf-8")
    assert "SELECT count(*) AS pump_events FROM states WHERE source = 'pi1' AND point = 'P101.STATE';" in history
    again = prompt(plant, "\x1b[A\x1b[A\x1b[A\nquit\n")
    assert re.search(rf"pump_events\s+{pumps}\s", again), again


def test_minutes(store: IoTDBStore, rows: Callable[[str], list[Any]]) -> None:
    """The grouping that the docs call right, with some thousand groups."""
    found = rows(
        "SELECT point, tie, date_bin(1m, time) AS m, count(*) AS n FROM samples WHERE source = 'pi1' "
        "GROUP BY source, point, tie, date_bin(1m, time)"
    )
    counts: dict[tuple[str, str, str], int] = {}
    for e in EVENTS["pi1"]:
        if e[3] is not None:
            key = (e[0], str(e[2]), moment(e[1] // MINUTE_NS * MINUTE_NS))
            counts[key] = counts.get(key, 0) + 1
    assert {row[:3]: row[3] for row in found} == counts
    assert len(found) == len(counts) > 4_000
