"""Wrong use, plant-file errors, help, and the options that every command takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import run
from tests.unit.cli.conftest import PLANT

COMMANDS = [
    "demo", "up", "down", "init", "doctor", "discover", "points", "plan", "backfill", "sync", "status", "verify",
    "sweep", "restate", "rebuild", "report", "export", "metrics", "simulate",
]  # fmt: skip
SPAN = ["--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z"]
NEEDED = {"restate": SPAN, "simulate": ["pi_web_api", "--port", "0"]}


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = called(capsys, command, "--help")
    assert code == 0
    assert "--plant" in out
    assert "--json" in out
    assert "FERRY_PLANT" in out


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "--help")
    assert code == 0
    for command in COMMANDS:
        assert f"  {command} " in out
    assert "unproved" in out


def test_help_loads_nothing_heavy() -> None:
    program = "import sys\nfrom cli.main import run\nrun(['--help'])\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines())
    assert not loaded & {"dagster", "pyarrow", "pydantic", "httpx", "psycopg", "duckdb", "numpy", "asyncio"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("demo", "simulate", "doctor", "init")])
def test_a_missing_plant_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    missing = tmp_path / "none.toml"
    code, out, err = called(capsys, command, *NEEDED.get(command, []), "--plant", str(missing), "--json")
    assert code == 2
    assert "no such plant file" in err
    assert json.loads(out)["exit"] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("point_groups", "point_group"), "did you mean 'point_groups'"),
        (("[plant]", "[plant"), "cannot be read as TOML"),
        (('kind = "pi_web_api"', 'kind = "excel"'), '[[source]] 1 (pi1) › kind: "excel" is not known'),
        (('window = "day"', 'window = "hour"'), '[[source]] 1 (pi1) › window: "hour" is not known'),
    ],
)
def test_mistakes_in_the_plant_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(PLANT.replace(*change), encoding="utf-8")
    for command in ("status", "doctor"):
        code, out, err = called(capsys, command, "--plant", str(path))
        assert code == 2
        assert said in out + err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["status", "--bogus"],
        ["plan", "--start", "yesterday"],
        ["plan", "--start", "2026-01-01T00:00:00"],
        ["restate", "--start", "2026-01-01T00:00:00Z"],
        ["demo", "--points", "0"],
        ["simulate", "excel", "--port", "1"],
        ["simulate", "pi_web_api"],
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = called(capsys, *arguments)
    assert code == 2
    assert err.startswith(("Usage: ferry", "ferry:"))
    assert out == ""
    code, out, _ = called(capsys, *arguments, "--json")
    assert code == 2
    assert json.loads(out)["error"]


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = called(capsys)
    assert code == 2
    assert out == ""
    assert "backfill" in err


def test_several_sources_want_a_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "ferry.toml"
    source = PLANT[PLANT.index("[[source]]") : PLANT.index("[store]")]
    path.write_text(PLANT + source.replace('"pi1"', '"pi2"'), encoding="utf-8")
    code, _, err = called(capsys, "backfill", "--plant", str(path))
    assert code == 2
    assert "pi1, pi2" in err


def test_an_unknown_source_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(PLANT, encoding="utf-8")
    code, _, err = called(capsys, "discover", "--source", "pi11", "--plant", str(path))
    assert code == 2
    assert "did you mean 'pi1'" in err


def test_the_plant_file_of_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRY_PLANT", str(tmp_path / "elsewhere.toml"))
    code, _, err = called(capsys, "status")
    assert code == 2
    assert "elsewhere.toml" in err


def test_doctor_names_a_missing_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FERRY_UNIT_PASSWORD", raising=False)
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://me:hunter2secret@127.0.0.1:9/x")
    path = tmp_path / "ferry.toml"
    path.write_text(PLANT, encoding="utf-8")
    code, out, err = called(capsys, "doctor", "--plant", str(path), "--json")
    found = json.loads(out)
    by_name = {check["name"]: check for check in found["checks"]}
    assert code == 3  # the worst: nobody listens at the DSN's port
    assert not found["well"]
    assert by_name["secret FERRY_UNIT_PASSWORD"]["code"] == 2
    assert by_name["secret FERRY_UNIT_DSN"]["well"]
    assert by_name["ledger"]["code"] == 3
    assert "hunter2secret" not in out + err


def test_an_empty_plant_needs_no_servers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text(PLANT, encoding="utf-8")
    code, out, _ = called(capsys, "down", "--plant", str(path), "--json")
    assert code == 0
    assert json.loads(out) == {"stopped": []}


def test_simulate_ends_with_ctrl_c() -> None:
    ferry = [sys.executable, "-c", "from cli.main import main; main()"]
    with subprocess.Popen(
        [*ferry, "simulate", "pi_web_api", "--port", "0", "--points", "3", "--", "--hours", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline().startswith("listening on http://127.0.0.1:")
        child.terminate()
        assert child.wait(20) == 130


@pytest.mark.parametrize(
    "given",
    [["--every", "1min"], ["--csv"], ["--rule", "last"], ["--tolerance", "1h"], ["--wide", "--nanoseconds"],
     ["--wide", "--every", "soon"], ["--wide", "--rule", "first"]],
)  # fmt: skip
def test_options_of_wide_tables_that_do_not_go_together(capsys: pytest.CaptureFixture[str], given: list[str]) -> None:
    code, _, err = called(capsys, "export", *given)
    assert code == 2
    assert any(word in err for word in given)
