"""Nobody else reads what we write, unless the plant file says so; and other people's folders are let alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.landing import Landing
from pipelines.plant import Plant, plant_of
from pipelines.ports import SliceId
from pipelines.samples import empty
from pipelines.timeline import Interval
from resources.modes import keep_private, open_exports


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)

    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plant_in(folder: Path, readable_by: str = "", exports: str = "", landing: str = "") -> Plant:
    text = f"""
        [plant]
        name = "p"
        {f'readable_by = "{readable_by}"' if readable_by else ""}
        [[source]]
        name = "pi1"
        kind = "pi_web_api"
        url = "https://pi.example/piwebapi"
        start = 2026-01-01T00:00:00Z
        [landing]
        uri = "{landing}"
        [exports]
        {f'readable_by = "{exports}"' if exports else ""}
    """
    return plant_of(text, folder / "ferry.toml")


def landed(plant: Plant) -> list[Path]:
    day = Interval(0, 86_400 * 10**9)
    Landing(plant.landing_dir).land(SliceId("pi1", "g000", day), day, empty(), [], {})
    return [path for path in plant.landing_dir.rglob("*") if path.is_file()]


def test_what_is_written_is_for_its_owner_only(tmp_path: Path) -> None:
    plant = plant_in(tmp_path)
    keep_private(plant)
    files = landed(plant)
    assert files
    assert all(mode(path) & 0o066 == 0 for path in [*files, *(folder for folder in plant.landing_dir.rglob("*"))])


@pytest.mark.parametrize(("readers", "open_to"), [("group", 0o040), ("everyone", 0o044)])
def test_a_word_widens(tmp_path: Path, readers: str, open_to: int) -> None:
    plant = plant_in(tmp_path, readers)
    keep_private(plant)
    assert all(mode(path) & 0o077 == open_to for path in landed(plant))


def test_a_folder_of_before_is_closed_and_said_once(tmp_path: Path) -> None:
    plant = plant_in(tmp_path)
    plant.state_dir.mkdir(mode=0o755)
    assert keep_private(plant) == [plant.state_dir]
    assert mode(plant.state_dir) & 0o066 == 0
    assert keep_private(plant) == []


def test_a_folder_that_is_somebody_elses_keeps_what_it_lets(tmp_path: Path) -> None:
    outside = tmp_path / "share"
    theirs, ours = outside / "other", outside / "source=pi1"
    for folder in (outside, theirs, ours):
        folder.mkdir(mode=0o755)
    assert keep_private(plant_in(tmp_path, landing=str(outside))) == [ours]
    assert (mode(outside), mode(theirs)) == (0o755, 0o755)


def test_exports_may_be_for_more_than_the_rest(tmp_path: Path) -> None:
    plant = plant_in(tmp_path, exports="everyone")
    keep_private(plant)
    made = tmp_path / "out" / "samples" / "date=2026-01-01" / "a.parquet"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"")
    before = mode(tmp_path)
    open_exports(plant, tmp_path / "out", iter([made]))
    assert mode(made) == 0o644
    assert {mode(folder) for folder in (made.parent, tmp_path / "out")} == {0o755}
    assert mode(tmp_path) == before
