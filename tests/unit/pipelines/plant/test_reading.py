"""Mistakes in a plant file are told in words of the field: where, what stands there, what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.plant import load_plant
from pipelines.ports import Stop
from pipelines.timeline import parse

FILE = """
[plant]
name = "north"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "https://pi.example/piwebapi"
start = 2026-01-01T00:00:00Z
[[source]]
name = "pi2"
kind = "pi_web_api"
url = "https://pi.example/piwebapi"
start = 2026-01-01T00:00:00Z
# more of pi2
[store]
iotdb = "embedded"
[ledger]
postgres = "embedded"
[limits]
slice_events = 400000
"""
OF_PI2 = "# more of pi2"
PI2 = "[[source]] 2 (pi2)"
PLCS = '[[source]]\nname = "line"\nkind = "plc4x"\nstart = 2026-01-01T00:00:00Z\n'


def told(folder: Path, before: str, after: str) -> list[str]:
    """The lines of the error, without the file's name, of FILE with a piece changed."""
    assert FILE.count(before) == 1
    path = folder / "ferry.toml"
    path.write_text(FILE.replace(before, after), encoding="utf-8")
    with pytest.raises(Stop) as stopped:
        load_plant(path)
    lines = str(stopped.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_the_file_is_well_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(FILE, encoding="utf-8")
    assert [source.start for source in load_plant(path).source] == [parse("2026-01-01T00:00:00Z")] * 2


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("requests_per_s = 0", "requests_per_s: 0 cannot stand here: expected a number above 0"),
        ('requests_per_s = "fast"', 'requests_per_s: "fast" cannot stand here: expected a number above 0'),
        ("requests_per_s = inf", "requests_per_s: inf cannot stand here: expected a number above 0"),
        ("concurrency = 100", "concurrency: 100 cannot stand here: expected a whole number from 1 to 64"),
        ("point_groups = 8.5", "point_groups: 8.5 cannot stand here: expected a whole number from 1 to 1,000"),
        ('tls = "perhaps"', 'tls: "perhaps" cannot stand here: expected true or false'),
        ("ca_file = 5", "ca_file: 5 cannot stand here: expected a text in quotes"),
        ("database = [5]", "database: a list cannot stand here: expected a text in quotes"),
        ('points = "U*"', 'points: "U*" cannot stand here: expected a list, [ … ], each a text in quotes'),
        ('points = ["U*", 5]', "points 2: 5 cannot stand here: expected a text in quotes"),
        ('window = "days"', "window: \"days\" is not known; did you mean 'day'?: expected one of \"month\", \"day\""),
        ('auth = "basic"', 'auth: "basic" cannot stand here: expected a table { kind, username, password_env, '
                           "token_env, … }"),
        ('auth = { kind = "basik" }', "auth › kind: \"basik\" is not known; did you mean 'basic'?: expected one of"),
        ('auth = { kind = "basic" }', 'auth: kind "basic" needs username and password_env'),
        ('auth = { password = "pa55word" }', "auth › password: unknown key; a secret never stands here: password_env"),
        ("requests_per_sec = 3", "requests_per_sec: unknown key; did you mean 'requests_per_s'?"),
        ("xyzzy = 3", "xyzzy: unknown key; docs/plant-file.md names those that there are"),
        ("sweep = { xyzzy = 3 }", "sweep › xyzzy: unknown key; there are: cron, budget, restate"),
        ("lateness = 60", "lateness: 60 is not a duration: expected a number and one of ms, s, m, min, h, d, w"),
        ('sync = { lag = "5 fortnights" }', "sync › lag: '5 fortnights' is not a duration"),
        ('sync = { cron = "hourly" }', 'sync › cron: "hourly" cannot stand here: expected the five fields of cron'),
        ('quiet_hours = ["5-6"]', "quiet_hours 1: '5-6' is not a span of the UTC day: expected HH:MM-HH:MM"),
        ('security = "best"', 'security: "best" cannot stand here: expected "None", "Basic256Sha256"'),
        ('simulate = { points = 0 }', "simulate › points: 0 cannot stand here: expected a whole number from 1"),
    ],
)  # fmt: skip
def test_a_key_of_a_source(tmp_path: Path, key: str, says: str) -> None:
    [line] = told(tmp_path, OF_PI2, key)
    assert line.startswith(f"{PI2} › {says}")
    assert "pa55word" not in line


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2026-11-21", "2026-11-21 has no time zone: write end = 2026-11-21T00:00:00Z (UTC), or an offset"),
        ('"2026-11-21"', "2026-11-21 has no time zone: write end = 2026-11-21T00:00:00Z (UTC), or an offset"),
        ("2026-11-21T06:30:00", "2026-11-21T06:30:00 has no time zone: write end = 2026-11-21T06:30:00Z"),
        ("2026-11-21 06:30:00", "2026-11-21T06:30:00 has no time zone: write end = 2026-11-21T06:30:00Z"),
        ('"2026-11-21T06:30"', "2026-11-21T06:30 has no time zone: write end = 2026-11-21T06:30:00Z"),
        ("06:30:00", "'06:30:00' is not a time: expected a day, a time and its zone, end = 2026-01-31T06:00:00Z"),
        ('"tomorrow"', "'tomorrow' is not a time: expected a day, a time and its zone"),
        ("2500-01-01T00:00:00Z", "2500-01-01 00:00:00+00:00 does not fit into 64-bit nanoseconds (1677 to 2262)"),
    ],
)
def test_a_time_needs_its_zone(tmp_path: Path, written: str, says: str) -> None:
    [line] = told(tmp_path, OF_PI2, f"end = {written}")
    assert line.startswith(f"{PI2} › end: {says}")


@pytest.mark.parametrize("written", ["2026-11-21T01:00:00+01:00", '"2026-11-21T00:00Z"', "2026-11-21 00:00:00Z"])
def test_a_time_with_its_zone(tmp_path: Path, written: str) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(FILE.replace(OF_PI2, f"end = {written}"), encoding="utf-8")
    assert load_plant(path).source[1].end == parse("2026-11-21T00:00:00Z")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('name = "pi2"', 'name = "PI 2"', '[[source]] 2 (PI 2) › name: "PI 2" cannot stand here: expected a word of '),
        ('name = "pi2"\n', "", "[[source]] 2 › name: it is missing: expected a word of lower-case letters"),
        ('name = "pi2"', 'name = "pi1"', "two sources are called 'pi1'"),
        (OF_PI2, "end = 2025-01-01T00:00:00Z", f"{PI2}: end 2025-01-01T00:00:00Z is not after start 2026-01-01T00:"),
        (OF_PI2, f'{PLCS}tags = "t.csv"', "[[source]] 3 (line): it needs tags (a CSV file) or [[source.tag]], and at"),
        (OF_PI2, f'{PLCS}tags = "t.csv"\n[[source.connection]]\nname = "5"\nurl = "s7://h"',
         '[[source]] 3 (line) › connection 1 (5) › name: "5" cannot stand here: expected a word of letters'),
        (OF_PI2, f'{PLCS}tags = "t.csv"\n[[source.connection]]\nname = "press"',
         "[[source]] 3 (line) › connection 1 (press): it needs url (or simulate, for a stand-in)"),
        (OF_PI2, '[[source]]\nname = "ww"\nkind = "wonderware"\nstart = 2026-01-01T00:00:00Z',
         '[[source]] 3 (ww): it needs address, such as address = "historian.example" (or simulate'),
        ('iotdb = "embedded"', "iotdb = 5", '[store] › iotdb: 5 cannot stand here: expected "embedded", "host:port" '),
        ('iotdb = "embedded"', "iotdb = [5]", '[store] › iotdb: a list cannot stand here: expected "embedded"'),
        ('iotdb = "embedded"', "heap_mb = 5", "[store] › heap_mb: 5 cannot stand here: expected a whole number from"),
        ('postgres = "embedded"', 'postgres = "host"', '[ledger] › postgres: "host" is not known: expected "embedded"'),
        ('postgres = "embedded"', 'postgres = { dsn = "x" }', "[ledger] › postgres: a table cannot stand here"),
        ("slice_events = 400000", "believe_shrink = 2", "[limits] › believe_shrink: 2 cannot stand here: expected a "
         "number from 0, below 1"),
        ("slice_events = 400000", 'believe_shrink = "\\u001b[31m"',
         '[limits] › believe_shrink: "\\u001b[31m" cannot stand here'),
        ("[limits]", "[limitz]", "[limitz]: unknown table; did you mean 'limits'?"),
        ("\n[plant]\n", '\nfolder = "x"\n[plant]\n', "folder: unknown key"),
        ("\n[plant]\n", "\nplont = 5\n[plant]\n", "plont: unknown key; did you mean 'plant'?"),
        ('name = "north"', "name = north", "cannot be read as TOML: Invalid value (at line 3, column 8)"),
        (FILE[FILE.index("[[source]]") :], "", "[[source]]: it is missing: expected a table with name, kind, start"),
        (FILE[FILE.index("[[source]]") :], "[source]\nname = 'x'",
         "[[source]]: one table where several may stand: write [[source]], with two brackets"),
        (FILE[FILE.index("[[source]]") :], "[notify]\nemail = { to = [], sender = 'x', smtp = 'x' }\n" + PLCS,
         "[[source]] 1 (line): it needs tags"),
    ],
)  # fmt: skip
def test_places_and_tables(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert any(line.startswith(says) for line in told(tmp_path, before, after))


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    lines = told(tmp_path, OF_PI2, 'window = "hour"\nlateness = 5\npoint_group = 3')
    assert [line.split(": ")[0].rpartition(" ")[2] for line in lines] == ["window", "lateness", "point_group"]


def test_nothing_of_the_library_that_checks_is_said(tmp_path: Path) -> None:
    keys = ["auth = 5", "points = [5]", "sync = { lag = [] }", "end = true", "simulate = []", "connection = 5",
            "tag = [{}]", "horizon = {}", "concurrency = nan", 'kind2 = "x"', "sweep = { restate = 5 }"]  # fmt: skip
    for key in keys:
        for line in told(tmp_path, OF_PI2, key):
            assert not {"Input", "validation", "pydantic", "Extra", "Field"} & set(line.split()), line
