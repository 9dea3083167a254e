"""What `ferry doctor` finds at a real stand-in, and in a state folder of another user."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tests.contract.stand_in import running
from tests.unit.cli.conftest import PLANT

NOBODY = 65534


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--points", "12", "--hours", "1", "--auth", "basic", "--server", "PI One") as url:
        yield url


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_UNIT_PASSWORD", "ferry-demo")
    monkeypatch.setenv("FERRY_UNIT_DSN", "postgresql://me:hunter2secret@127.0.0.1:9/x")


def checks(
    capsys: pytest.CaptureFixture[str], folder: Path, url: str, more: str = "", text: str = PLANT
) -> dict[str, dict[str, Any]]:
    path = folder / "ferry.toml"
    path.write_text(
        text.replace("http://127.0.0.1:9/piwebapi", url).replace("point_groups = 2", more), encoding="utf-8"
    )
    run(["doctor", "--plant", str(path), "--json"])
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_a_source_that_is_well(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    found = checks(capsys, tmp_path, url, 'data_server = "pi one"\npoints = ["*"]')
    assert found["source pi1"]["well"]
    assert found["source pi1: catalogue"]["detail"] == "points = [\"*\"] selects points of data server 'PI One'"
    assert found["source pi1: catalogue"]["code"] == 0


@pytest.mark.parametrize(("token_url", "code", "says"), [
    ("http://127.0.0.1:9/token", 3, "token endpoint http://127.0.0.1:9/token: "),
    ("{}/identitymanager/connect/token", 2, "refuses client 'nobody' (401 invalid_client"),
])  # fmt: skip
def test_a_token_endpoint_that_gives_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, token_url: str, code: int, says: str
) -> None:
    token_url = token_url.format(url.removesuffix("/piwebapi"))
    basic = 'auth = { kind = "basic", username = "ferry", password_env = "FERRY_UNIT_PASSWORD" }'
    assert basic in PLANT
    auth = (
        f'auth = {{ kind = "bearer", token_url = "{token_url}", client_id = "nobody", client_secret_env = "SECRET" }}'
    )
    auth = auth.replace("SECRET", "FERRY_UNIT_PASSWORD")
    found = checks(capsys, tmp_path, url, text=PLANT.replace(basic, auth))
    assert found["secret FERRY_UNIT_PASSWORD"]["well"]
    assert found["source pi1"]["code"] == code
    assert says in found["source pi1"]["detail"]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_url_without_its_end(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, end: str) -> None:
    root = url.removesuffix("/piwebapi")
    found = checks(capsys, tmp_path, root + end)["source pi1"]
    assert found["code"] == 2
    assert f'there is one: write url = "{url}"' in found["detail"]


def test_another_server_at_the_url(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    root = url.removesuffix("/piwebapi")
    found = checks(capsys, tmp_path, f"{root}/elsewhere")["source pi1"]
    assert found["code"] == 2
    assert "404" in found["detail"]
    assert "ends in /piwebapi, and this one does not" in found["detail"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('data_server = "PI Two"', "no data_server 'PI Two'; there are: 'PI One'"),
        ('points = ["NOWHERE.*"]', "points = [\"NOWHERE.*\"] selects no point of data server 'PI One'"),
        ('points = ["NO*", "[x]"]', 'points = ["NO*", "[x]"] selects no point'),
        ('exclude = ["*"]', 'points = ["*"] without ["*"] selects no point'),
    ],
)
def test_nothing_to_move(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, more: str, says: str) -> None:
    found = checks(capsys, tmp_path, url, more)
    assert found["source pi1"]["well"]
    assert found["source pi1: catalogue"]["code"] == 2
    assert says in found["source pi1: catalogue"]["detail"]
    assert "data_server" in found["source pi1: catalogue"]["advice"]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may pass through: pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="ferry-other-"))
    folder.chmod(0o755)
    yield folder
    for each in folder.rglob("*"):
        each.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", [".ferry", ".ferry/postgres"])
@pytest.mark.parametrize("command", ["doctor", "status"])
def test_a_state_folder_of_another_user(
    shared: Path, closed: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    path = shared / "ferry.toml"
    text = PLANT[: PLANT.index("[store]")].replace("point_groups = 2", "simulate = { points = 5 }")
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    for name in (".ferry", ".ferry/postgres", ".ferry/iotdb"):
        (shared / name).mkdir()
        (shared / name).chmod(0o777)
    (shared / closed).chmod(0o700 if os.geteuid() == 0 else 0)
    said = shared / "said"
    said.touch(mode=0o666)
    said.chmod(0o666)
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with said.open("w", encoding="utf-8") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                sys.stdout = sys.stderr = file
                code = run([command, "--plant", str(path)])
        except BaseException:
            code = 99
        os._exit(code)
    _, status = os.waitpid(child, 0)
    text = said.read_text(encoding="utf-8")
    assert os.waitstatus_to_exitcode(status) == 2, text
    if command == "doctor":
        assert f"state_dir: {shared / closed} belongs to user " in text
        assert "another state_dir" in text
    assert "unexpected" not in text
    assert "Traceback" not in text
