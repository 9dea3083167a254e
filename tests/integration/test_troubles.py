"""What goes wrong in a plant's night: a full disk, and whether anything that is written down gives a secret away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.contract.stand_in import running

FERRY = str(Path(sys.executable).with_name("ferry"))
SECRET, WRONG = "correct-horse-4711", "wrong-horse-0815"
# A file system of its own that is full soon and then gets room, seen by the commands that it is handed.
ON_A_SMALL_DISK = """
disk=$1 left=$2; shift 2
id=$(cat "$disk/.landing-id")
mount -t tmpfs -o size=150k tmpfs "$disk" || exit 99
echo "$id" > "$disk/.landing-id"  # the landing was moved to a smaller disk
"$@" > "$left.out" 2> "$left.err"; code=$?
find "$disk" -type f ! -name .landing-id > "$left"
mount -o remount,size=64m "$disk" && "$@" || exit 98
exit $code
"""


@pytest.fixture
def url() -> Iterator[str]:
    with running("--points", "40", "--hours", "24", "--auth", "basic", FERRY_SIM_PASSWORD=SECRET) as address:
        yield address


def ferry(path: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, FERRY, *arguments, "--plant", str(path), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def namespaces_are_allowed() -> bool:
    asked = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return sys.platform == "linux" and subprocess.run(asked, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not namespaces_are_allowed(), reason="a small disk needs Linux and a mount namespace")
def test_a_full_disk_is_one_clear_message_and_nothing_is_half_done(
    plant_file: Callable[..., Path], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing, left = tmp_path / "small_disk", tmp_path / "left"
    landing.mkdir()
    path = plant_file(url, more=f'[landing]\nuri = "{landing}"\n[limits]\nslice_events = 20000')
    monkeypatch.setenv("FERRY_TEST_PI", SECRET)
    assert ferry(path, "discover").returncode == 0
    small = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh")
    done = ferry(path, "backfill", before=(*small, str(landing), str(left)))
    said, shown = (left.with_suffix(end).read_text(encoding="utf-8") for end in (".out", ".err"))
    assert done.returncode == 4, (shown, done.stderr)
    assert str(landing) in json.loads(said)["error"]
    assert "free some space and run the same command again" in json.loads(said)["error"]
    assert shown.count("free some space") == 1, shown
    assert "Traceback" not in shown
    kept = [Path(each) for each in left.read_text(encoding="utf-8").split()]
    whole = {each.stem for each in kept if each.suffix == ".json"}
    assert {each.suffix for each in kept} <= {".json", ".parquet"}
    assert {each.stem for each in kept if each.suffix == ".parquet"} == whole

    found = json.loads(done.stdout)  # the same command, with room
    assert found["unproved_points"] == 0
    assert found["source_events"] == found["landed_events"] == found["stored_events"] > 10_000


@pytest.mark.slow
def test_no_secret_is_written_down(
    plant_file: Callable[..., Path], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    """Neither in an output, nor in a file of the plant, nor in the ledger's or Dagster's tables."""
    path = plant_file(url)
    monkeypatch.setenv("FERRY_TEST_PI", SECRET)
    outputs = [ferry(path, "discover"), ferry(path, "backfill"), ferry(path, "doctor")]
    assert [each.returncode for each in outputs] == [0, 0, 0], outputs
    monkeypatch.setenv("FERRY_TEST_PI", WRONG)
    assert ferry(path, "restate", "--start", "2026-01-01", "--end", "2026-01-02").returncode == 0
    outputs += [ferry(path, "backfill"), ferry(path, "doctor")]
    assert [each.returncode for each in outputs[3:]] == [2, 2], outputs
    texts = {f"output {number}": each.stdout + each.stderr for number, each in enumerate(outputs)}
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert any(each.name == "runs.log" for each in files)
    texts |= {str(each): each.read_bytes().decode("utf-8", "replace") for each in files}
    texts |= tables_of(postgres_dsn)
    assert any("runs" in name for name in texts)
    for name, text in texts.items():
        for secret in (SECRET, WRONG, postgres_dsn.split("@", maxsplit=1)[0].rsplit(":", 1)[1]):
            assert secret not in text, name


def tables_of(dsn: str) -> dict[str, str]:
    """Every table as text."""
    with psycopg.connect(dsn) as database:
        tables = database.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        return {
            f"{schema}.{table}": str(
                database.execute(
                    sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, table))
                ).fetchall()
            )
            for schema, table in tables
        }
