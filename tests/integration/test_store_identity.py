"""Proved is proved in one store: an empty one, another's, an older copy of it are known when they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.main import run
from resources.embedded.addresses import IoTDBAddress
from resources.iotdb.identity import Identity, read_identity, write_identity
from resources.iotdb.sessions import Sessions
from tests.contract.stand_in import running

DAY = ("--source", "pi1", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")


class Moved:
    """A plant of one day that was moved and proved."""

    def __init__(self, file: Path, iotdb: IoTDBAddress, read: Callable[[], tuple[str, str]]) -> None:
        self.file, self.read = file, read
        self.database = next(
            line.split('"')[1] for line in file.read_text(encoding="utf-8").splitlines() if "name =" in line
        )
        self.sessions = Sessions([f"{iotdb.host}:{iotdb.port}"], iotdb.user, iotdb.password, self.database)
        code, _, said = self.ferry("backfill", *DAY)
        assert code == 0, said

    def ferry(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the JSON object, and what it told."""
        code = run([*arguments, "--plant", str(self.file), "--json"])
        out, told = self.read()
        return code, json.loads(out) if out.startswith("{") else {}, told

    def run(self, statement: str) -> None:
        self.sessions.administer(lambda session: session.run(statement), "a test's own statement")

    @property
    def events(self) -> int:
        return int(self.ferry("verify", *DAY)[1]["stored_events"])

    def assert_refused(self, *why: str) -> None:
        """By every command: nothing is called proved, and nothing is changed."""
        code, status, told = self.ferry("status")
        assert code == 1, told
        assert not status["store"]["ours"]
        assert all(each in status["store"]["trouble"] for each in why), status["store"]["trouble"]
        assert status["sources"][0]["covered_percent"] == 0
        assert status["sources"][0]["events"] == 0
        for command in (("sync", "--source", "pi1"), ("backfill", *DAY), ("sweep", *DAY)):
            code, _, told = self.ferry(*command)
            assert code == 2, (command, told)
            assert all(each in told for each in why), (command, told)


@pytest.fixture
def moved(plant_file: Callable[..., Path], iotdb: IoTDBAddress, capfd: pytest.CaptureFixture[str]) -> Iterator[Moved]:
    with running("--points", "12", "--hours", "24", "--auth", "basic") as url:
        plant = Moved(plant_file(url), iotdb, capfd.readouterr)
        yield plant
        plant.sessions.close()


@pytest.mark.timeout(600)
def test_an_empty_store_is_known_and_filled_again(moved: Moved) -> None:
    events = moved.events
    moved.run(f'DROP DATABASE "{moved.database}"')
    moved.assert_refused("holds nothing of it", "ferry rebuild")
    code, found, told = moved.ferry("rebuild")
    assert (code, found["sources"][0]["left_s"]) == (0, 0), told
    code, status, _ = moved.ferry("status")
    assert (code, status["sources"][0]["covered_percent"]) == (0, 100)
    assert moved.events == events
    code, _, told = moved.ferry("rebuild")
    assert "the one that the history was proved in" in told


@pytest.mark.timeout(600)
def test_an_older_copy_is_known_and_the_right_one_again(moved: Moved) -> None:
    before = read_identity(moved.sessions)
    assert before is not None
    code, _, told = moved.ferry("sweep", "--source", "pi1", "--store-only")
    after = read_identity(moved.sessions)
    assert code == 0, told
    assert after is not None
    assert after.token != before.token
    write_identity(moved.sessions, before)
    moved.assert_refused("older copy")
    write_identity(moved.sessions, after)
    code, status, told = moved.ferry("status")
    assert (code, status["sources"][0]["covered_percent"]) == (0, 100), told
    write_identity(moved.sessions, Identity(after.ledger, "00000000-0000-4000-8000-000000000000", after.plant))
    moved.assert_refused("newer copy")


@pytest.mark.timeout(600)
def test_another_ledgers_store_is_refused(
    moved: Moved, postgres: Any, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    monkeypatch.setenv("FERRY_TEST_DSN", f"{postgres_dsn}?options=-csearch_path%3Dother")
    code, _, told = moved.ferry("backfill", *DAY)
    assert code == 2, told
    assert "another ledger" in told
    code, status, _ = moved.ferry("status")
    assert code == 1
    assert "another ledger" in status["store"]["trouble"]
    code, _, told = moved.ferry("rebuild")
    assert (code, "--take-over" in told) == (2, True), told
    code, _, told = moved.ferry("rebuild", "--take-over")
    assert code == 0, told
    code, found, told = moved.ferry("backfill", *DAY)
    assert (code, found["unproved_points"]) == (0, 0), told


@pytest.mark.timeout(600)
def test_what_was_lost_or_forged_is_found_without_the_source(moved: Moved) -> None:
    events = moved.events
    moved.run(f'DELETE FROM "{moved.database}".samples WHERE time < 1767240000000000000')
    with moved.sessions.asking(f'SELECT point FROM "{moved.database}".samples LIMIT 1') as answer:
        point = answer.table()["point"][0].as_py()
    forged = f"('pi1', '{point}', '0', 1.0, 192, 0, 1767300000000000000)"
    moved.run(
        f'INSERT INTO "{moved.database}".samples(source, point, tie, value, quality, detail, time) VALUES {forged}'
    )
    text = moved.file.read_text(encoding="utf-8")
    moved.file.write_text(text.replace("http://127.0.0.1:", "http://127.0.0.1:1"), encoding="utf-8")  # switched off
    code, found, told = moved.ferry("sweep", "--source", "pi1", "--store-only")
    assert code == 0, told
    assert found["store"]["put_back"]
    moved.file.write_text(text, encoding="utf-8")
    assert moved.events == events
    assert moved.ferry("verify", *DAY, "--deep")[0] == 0
    moved.run(
        f'INSERT INTO "{moved.database}".samples(source, point, tie, value, quality, detail, time) VALUES '
        "('pi1', 'nobody', '0', 1.0, 192, 0, 1767300000000000000)"
    )
    code, found, told = moved.ferry("sweep", "--source", "pi1", "--store-only")
    assert (code, found["store"]["never_moved"]) == (1, ["nobody"]), told
    code, status, _ = moved.ferry("status")
    assert (code, status["sources"][0]["never_moved_points"], status["sources"][0]["never_moved"]) == (1, 1, ["nobody"])
