"""`ferry init` against a real stand-in, as a script and as a person at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import plant_answers
from cli.main import run
from pipelines.plant import load_plant
from pipelines.timeline import parse
from tests.contract.stand_in import running

PASSWORD = "ferry-demo"
FERRY = [sys.executable, "-c", "from cli.main import main; main()"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--points", "30", "--hours", "1", "--auth", "basic", "--server", "PI One") as url:
        yield url


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORTH_PASSWORD", PASSWORD)
    monkeypatch.delenv("PI1_PASSWORD", raising=False)


def login(url: str, variable: str = "NORTH_PASSWORD") -> list[str]:
    return ["--kind", "pi_web_api", "--address", url, "--username", "ferry", "--password-env", variable]


def init(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> tuple[int, str, str]:
    return run(["init", "--plant", str(path), *arguments]), *capsys.readouterr()


def test_a_script_writes_a_plant_file_that_works(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    path = tmp_path / "north plant" / "ferry.toml"
    code, out, err = init(
        capsys, path, *login(url), "--points", "UNIT1.*", "--data-server", "PI One", "--start", "2026-01-01T00:00:00Z",
        "--json",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert told["plant_file"] == str(path)
    assert (told["source"], len(told["first"])) == ("pi1", 10)
    assert all(each["name"].startswith("UNIT1.") for each in told["first"])
    plant = load_plant(path)
    [source] = plant.source
    assert (plant.plant.name, source.name, source.kind, source.url) == ("north_plant", "pi1", "pi_web_api", url)
    assert (source.auth.username, source.auth.password_env) == ("ferry", "NORTH_PASSWORD")
    assert (source.points, source.data_server, source.start) == (("UNIT1.*",), "PI One", parse("2026-01-01"))
    text = path.read_text(encoding="utf-8")
    assert PASSWORD not in text + out + err
    commented = [
        line for line in text.splitlines() if line.startswith(("state_dir", "points", "window", "start", "iotdb"))
    ]
    assert len(commented) == 5
    assert all(" # " in line for line in commented)
    run(["doctor", "--plant", str(path), "--json"])
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert all(checks[name]["well"] for name in ("plant file", "source pi1", "source pi1: catalogue"))


def test_a_file_that_is_there_stays(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    path = tmp_path / "ferry.toml"
    path.write_text("# mine\n", encoding="utf-8")
    code, _, err = init(capsys, path, *login(url))
    assert code == 2
    assert "is there already" in err
    assert path.read_text(encoding="utf-8") == "# mine\n"
    assert init(capsys, path, *login(url), "--force")[0] == 0
    assert load_plant(path).source[0].url == url


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--kind", "pi_web_api"], 2, "--address must be given"),
        ([], 2, "--kind and --address must be given"),
        (login("URL", "NORTH_NOTHING"), 2, "NORTH_NOTHING is not set: export it"),
        (login("URL", "NORTH_WRONG"), 2, "the login as ferry was refused"),
        (login("http://127.0.0.1:9/piwebapi"), 3, "nobody answers"),
        (login("ROOT/elsewhere"), 2, "ends in /piwebapi, and this one does not"),
        ([*login("URL"), "--points", "NOWHERE*"], 2, "selects nothing"),
        ([*login("URL"), "--data-server", "PI Two"], 2, "no data_server 'PI Two'; there are: 'PI One'"),
        ([*login("URL"), "--name", "My Plant"], 2, '[plant] › name: "My Plant" cannot stand here'),
        ([*login("URL"), "--auth", "magic"], 2, '[[source]] 1 (pi1) › auth › kind: "magic" is not known'),
        (["--kind", "wonderware", "--address", "h"], 2, 'it needs auth = { kind = "basic"'),
    ],
)
def test_nothing_is_written_that_would_not_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, more: list[str],
    code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("NORTH_WRONG", "wrong-4711")
    path = tmp_path / "ferry.toml"
    arguments = [each.replace("ROOT", url[:-9]).replace("URL", url) for each in more]
    found, out, err = init(capsys, path, *arguments)
    assert found == code, err
    assert says in err
    assert "wrong-4711" not in out + err
    assert not list(tmp_path.glob("*.toml*"))


@pytest.mark.parametrize(
    ("arguments", "key", "auth"),
    [
        (["--kind", "wonderware", "--address", "h:1433", "--username", 'DOM"\\x', "--no-tls"], "address", "basic"),
        (["--kind", "opcua", "--address", "opc.tcp://h:4840/s"], "url", "none"),
        (["--kind", "pi_web_api", "--address", "https://h/piwebapi", "--token-env", "T"], "url", "bearer"),
        (["--kind", "pi_web_api", "--address", "https://h/piwebapi", "--auth", "kerberos"], "url", "kerberos"),
        (
            [
                "--kind",
                "pi_web_api",
                "--address",
                "https://h/piwebapi",
                "--token-url",
                "https://a/t",
                "--client-id",
                "c",
            ],
            "url",
            "bearer",
        ),
    ],
)
def test_every_kind_without_asking_the_server(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], key: str, auth: str
) -> None:
    path = tmp_path / "ferry.toml"
    code, _, err = init(capsys, path, *arguments, "--offline", "--name", "north", "--ca-file", "ca.pem")
    assert code == 0, err
    [source] = load_plant(path).source
    assert (getattr(source, key), source.auth.kind) == (arguments[3], auth)
    assert (source.ca_file, source.tls) == ("ca.pem", "--no-tls" not in arguments)
    if "--token-url" in arguments:
        found = source.auth
        assert (found.token_url, found.client_id, found.client_secret_env) == ("https://a/t", "c", "PI1_SECRET")
    if auth == "basic":
        assert (source.auth.username, source.auth.password_env) == ('DOM"\\x', "HISTORIAN1_PASSWORD")


@pytest.mark.parametrize(("endpoint", "secret_env"), [("https://a/t", "PI1_SECRET"), ("", "PI1_TOKEN")])
def test_a_person_is_asked_where_tokens_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, secret_env: str
) -> None:
    said = {"Token endpoint": endpoint, "Client id": "c"}

    def question(text: str, default: str | None = None, *_: object, **__: object) -> str | None:
        return next((answer for words, answer in said.items() if text.startswith(words)), default)

    monkeypatch.setattr(plant_answers, "_question", question)
    known = plant_answers.Answers(kind="pi_web_api", address="https://h/piwebapi", auth="bearer", start_ns=0)
    found = plant_answers.asked(known, tmp_path / "ferry.toml")
    assert (found.token_url, found.secret_env) == (endpoint, secret_env)
    assert found.client_id == ("c" if endpoint else "")


def test_a_person_is_asked_and_may_err(tmp_path: Path, url: str) -> None:
    talk = [
        ("Kind of historian", ""), ("Its url, such as", url[:-9]), ("Login", "basic"),
        ("Name of the plant", "North Plant"), ("lower-case", "north"), ("Name of the source", ""),
        ("User name", "ferry"), ("Environment variable of its", ""), ("Data server", ""), ("Points", "UNIT1.*"),
        ("History from when on", "2026-01-01T00:00:00"), ("no time zone", "2026-01-01T00:00:00Z"),
        ("PI1_PASSWORD is not set", PASSWORD), ("Answer again?", ""),
        ("Its url, such as", url), ("Login", ""), ("User name", "ferry"), ("Environment variable of its", ""),
        ("Data server", ""), ("Points", "UNIT1.*"),
    ]  # fmt: skip
    path = tmp_path / "ferry.toml"
    code, said = conversation([*FERRY, "init", "--plant", str(path)], talk)
    assert code == 0, said
    assert "there is one: write url" in said
    assert "as ferry" in said
    assert PASSWORD not in said
    plant = load_plant(path)
    assert (plant.plant.name, plant.source[0].url, plant.source[0].points) == ("north", url, ("UNIT1.*",))
    assert plant.source[0].auth.password_env == "PI1_PASSWORD"


def conversation(command: list[str], talk: list[tuple[str, str]]) -> tuple[int, str]:
    """Runs a command at a terminal of its own; each answer is given when its question has been asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    said, from_here = "", 0
    end_s = time.monotonic() + 120
    waiting = list(talk)
    while True:
        assert time.monotonic() < end_s, said
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # the terminal of a child that has ended
            piece = b""
        if not piece:
            break
        said += piece.decode("utf-8", "replace")
        while waiting and (at := said.find(waiting[0][0], from_here)) >= 0 and said.rstrip(" ").endswith(":"):
            from_here = at + len(waiting[0][0])
            os.write(terminal, f"{waiting.pop(0)[1]}\n".encode())
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), said
