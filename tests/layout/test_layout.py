"""The house of the design: which rooms there are, which way imports point, what must not be in the tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipelines", "resources", "assets_defs", "sql", "cli", "simulators")
FORBIDDEN = {"utils", "util", "helpers", "helper", "manager", "handler", "process", "data", "common", "misc"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CHANGELOG.md", "Makefile", "workspace.yaml", "dagster.yaml",
                                  "ferry.toml", "requirements.lock", ".ci/run", *PACKAGES])  # fmt: skip
def test_the_house_has(name: str) -> None:
    path = ROOT / name
    assert path.exists()
    assert path.is_dir() or path.stat().st_size > 0


def test_no_room_without_a_name_of_its_own() -> None:
    bad = [p for p in tracked() if p.suffix == ".py" and p.stem in FORBIDDEN]
    assert not bad


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES
        and not path.read_text(encoding="utf-8").lstrip().startswith('"""')
    ]  # fmt: skip
    assert not silent


def test_no_generated_output_and_no_registry_host() -> None:
    host = re.compile(r"https?://(repo[0-9]*|registry|proxy|files|index|static|deb|pypi)\.")
    for path in tracked():
        assert path.suffix not in {".jar", ".tsfile", ".parquet", ".db"}, path
        if path.suffix in {".py", ".toml", ".lock", ".md", ".yaml", ".txt", ".sql", ""} and path.is_file():
            assert not host.search(path.read_text(encoding="utf-8", errors="replace")), path


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-spark.lock"])
def test_lock_has_hashes_and_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "index-url" not in text
