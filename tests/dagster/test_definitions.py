"""The definitions: the graph that scripts rely on, partitions, and what loading them must not do."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.load import location_origins_from_yaml_paths

from assets_defs.catalog import without_secrets
from assets_defs.definitions import build_defs, plant_file
from assets_defs.location import render_workspace
from assets_defs.partitions import key_of, multi_key, pairs_of, partitions_of
from assets_defs.samples import SamplesConfig
from pipelines.plant import load_plant
from pipelines.ports import Stop
from pipelines.samples import SCHEMA
from pipelines.timeline import DAY_NS, from_datetime, parse
from tests.dagster.graph import GOLDEN, PLANT, graph

ROOT = Path(__file__).parents[2]
OPEN_ENDED = """
[plant]
name = "unit"
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:9/piwebapi"
point_groups = {groups}
window = "{window}"
start = {start}T00:00:00Z
{more}
"""


def write(folder: Path, groups: int = 2, window: str = "day", start: str = "2026-01-01", more: str = "") -> Path:
    path = folder / "ferry.toml"
    path.write_text(OPEN_ENDED.format(groups=groups, window=window, start=start, more=more), encoding="utf-8")
    return path


def test_the_graph_is_the_golden_one() -> None:
    """`python -m tests.dagster.graph` writes it anew; who changes it changes what scripts rely on."""
    assert graph(build_defs(PLANT)) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(build_defs(PLANT))


def test_nothing_is_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_defs(PLANT)


def test_loading_opens_no_socket_and_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object, **__: object) -> None:
        raise AssertionError("loading definitions went outside")

    monkeypatch.setattr("socket.socket.connect", no)
    monkeypatch.setattr("subprocess.Popen", no)
    dg.Definitions.validate_loadable(build_defs(PLANT))


def test_the_plant_file_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FERRY_PLANT", raising=False)
    assert plant_file() == tmp_path / "ferry.toml"
    monkeypatch.setenv("FERRY_PLANT", "elsewhere.toml")
    assert plant_file() == tmp_path / "elsewhere.toml"
    monkeypatch.setenv("FERRY_PLANT", str(PLANT))
    assert plant_file() == PLANT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[plant]\nname = 'x'\nstat_dir = 'y'\n", "[plant] › stat_dir: unknown key; did you mean 'state_dir'?"),
        (None, "no such plant file; name one with --plant or FERRY_PLANT"),
    ],
)
def test_a_wrong_plant_file_is_named_when_the_definitions_load(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "ferry.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import assets_defs.defs"], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "FERRY_PLANT": str(path)},
    )  # fmt: skip
    assert done.returncode != 0
    last = [line for line in done.stderr.splitlines() if line.strip()]
    assert any(said in line and str(path) in line for line in last[-4:]), done.stderr
    assert "During handling" not in done.stderr


def test_too_many_partitions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, groups=40, window="day", start="2010-01-01", more="end = 2025-01-01T00:00:00Z")
    with pytest.raises(Stop, match=r"219,160 partitions, above 100,000: use window = \"month\""):
        build_defs(path)
    write(tmp_path, groups=40, window="month", start="2010-01-01", more="end = 2025-01-01T00:00:00Z")
    build_defs(path)


@pytest.mark.parametrize("window", ["day", "month"])
@pytest.mark.parametrize("horizon", ["0 d", "3 d", "45 d"])
def test_every_window_of_the_plant_has_a_partition(tmp_path: Path, window: str, horizon: str) -> None:
    settings = load_plant(write(tmp_path, window=window, more=f'horizon = "{horizon}"')).source[0]
    for now in ("2026-01-01T00:00:00", "2026-01-31T23:59:59", "2026-02-28T12:00:00", "2026-12-31T00:00:00"):
        moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
        now_ns = from_datetime(moment)
        partitions = partitions_of(settings, now_ns)
        keys = set(partitions.get_partition_keys(current_time=moment))
        wanted = {key_of(f"g00{group}", each) for each in settings.windows(now_ns) for group in (0, 1)}
        assert wanted <= keys, now


def test_keys_and_pairs_are_each_others_inverse(tmp_path: Path) -> None:
    settings = load_plant(write(tmp_path, more="end = 2026-01-05T00:00:00Z")).source[0]
    windows = settings.windows(parse("2026-01-05"))
    pairs = [(group, window) for window in windows for group in ("g000", "g001")]
    keys = [key_of(*pair) for pair in pairs]
    assert pairs_of(reversed(keys), settings) == pairs
    assert [str(multi_key(*pair)) for pair in pairs] == keys
    assert set(keys) == set(partitions_of(settings, parse("2026-01-05")).get_partition_keys())
    assert windows[0].length_ns == DAY_NS


def test_the_job_may_be_found_by_the_workspace_file(tmp_path: Path) -> None:
    """Of the repository, and the one that is rendered for a plant, whose location is named after it."""
    text = (ROOT / "workspace.yaml").read_text(encoding="utf-8")
    assert "module_name: assets_defs.defs" in text
    [location] = location_origins_from_yaml_paths([str(render_workspace(load_plant(PLANT), tmp_path))])
    assert location.location_name == "golden"
    assert location.loadable_target_origin.module_name == "assets_defs.defs"


def test_a_job_of_a_source_has_its_name() -> None:
    names: set[Any] = {job.name for job in build_defs(PLANT).jobs or []}
    assert names == {
        f"{what}_{source}"
        for what in ("backfill", "marts", "report", "sync", "discover", "sweep")
        for source in ("pi1", "pi2")
    }


def test_the_catalogue_knows_owners_columns_tables_and_places() -> None:
    specs = {spec.key.to_user_string(): spec for spec in build_defs(PLANT).resolve_all_asset_specs()}
    samples = specs["pi1/samples"]
    assert samples.owners == ["ops@plant.example", "team:historian"]
    assert samples.metadata["dagster/table_name"] == "golden.samples"
    assert samples.metadata["dagster/uri"].startswith("file:///")
    columns = {each.name: each for each in samples.metadata["dagster/column_schema"].columns}
    assert set(columns) == set(SCHEMA.names)
    assert columns["point"].type == "string"
    assert not columns["quality"].constraints.nullable
    assert columns["value"].constraints.nullable
    assert samples.kinds == {"iotdb", "parquet", "python"}
    assert specs["pi1/historian"].metadata["address"].value == "https://pi1.example/piwebapi"


@pytest.mark.parametrize("owner", ["somebody", "team:", "a@b", ""])
def test_an_owner_is_a_mail_address_or_a_team(tmp_path: Path, owner: str) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"unit"', f'"unit"\nowners = ["{owner}"]'), "utf-8")
    with pytest.raises(Stop, match=r"\[plant\] › owners.*neither a mail address nor team:"):
        load_plant(path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("opc.tcp://op:secret@plc.example:4840/path?password=secret", "opc.tcp://plc.example:4840/path"),
        ("https://pi1.example/piwebapi", "https://pi1.example/piwebapi"),
        ("host:1433", "host:1433"),
    ],
)
def test_no_secret_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_the_launchpad_describes_its_fields() -> None:
    fields = SamplesConfig.model_fields
    assert all(field.description for field in fields.values()), fields
