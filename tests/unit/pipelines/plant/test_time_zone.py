"""`[plant] time_zone`: the zone of the times in reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.plant import load_plant
from pipelines.ports import Stop

_PLANT = """
[plant]
name = "north"
{zone}
[[source]]
name = "pi1"
kind = "pi_web_api"
url = "http://127.0.0.1:1/piwebapi"
start = 2026-01-01T00:00:00Z
"""


def _file(folder: Path, zone: str) -> Path:
    path = folder / "ferry.toml"
    path.write_text(_PLANT.format(zone=zone), encoding="utf-8")
    return path


def test_it_is_utc_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert load_plant(_file(tmp_path, "")).plant.time_zone == "UTC"
    assert load_plant(_file(tmp_path, 'time_zone = "Europe/Berlin"')).plant.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("zone", "near"),
    [("Europe/Berln", "did you mean 'Europe/Berlin'"), ("Europe", ""), ("../UTC", ""), ("", "")],
)
def test_what_is_no_zone_is_refused(zone: str, near: str, tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"\[plant\] › time_zone: .*is not a time zone: expected an IANA name") as caught:
        load_plant(_file(tmp_path, f'time_zone = "{zone}"'))
    assert near in str(caught.value)
