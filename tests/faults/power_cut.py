"""The power goes while a backfill runs: what the disk holds at that instant is all that is left.

    python -m tests.faults.power_cut --times 5 --seed 1

A plant's state folder is on an ext4 file system in a file. While its servers and the backfill are stopped (SIGSTOP) the
file is copied: what was not synced is not in it. They are killed, the copy is mounted in its place, and a backfill
moves what the ledger lacks. Then IoTDB must hold everything. Needs root, for mounting.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from assets_defs.line import open_line
from pipelines.ledger import COUNTS
from pipelines.plant import load_plant
from pipelines.timeline import Interval, parse

FERRY = str(Path(sys.executable).with_name("ferry"))
PLANT = """
[plant]
name = "cut"
[[source]]
name = "pi1"
kind = "pi_web_api"
point_groups = 4
window = "day"
start = 2026-01-01T00:00:00Z
end = 2026-01-03T00:00:00Z
requests_per_s = 900
simulate = { points = 40, seed = 7, hours = 48 }
[store]
iotdb = "embedded"
[ledger]
postgres = "embedded"
[limits]
slice_events = 4000
"""
SPAN = Interval(parse("2026-01-01"), parse("2026-01-03"))
_SIZE_BYTES = 3 << 30
_PATIENCE_S = 240.0


@dataclass(frozen=True)
class Cut:
    """`verified`: slices that were proved when the power went; `found`: what `ferry verify --deep` says."""

    verified: int
    code: int
    found: dict[str, object]

    @property
    def lost(self) -> bool:
        return self.code != 0 or bool(self.found.get("drift")) or bool(self.found.get("unproved_points"))


def can_mount() -> bool:
    """Whether this machine lets us mount a file."""
    if shutil.which("mkfs.ext4") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        image, place = Path(folder) / "image", Path(folder) / "place"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(16 << 20)
        if subprocess.run(["mkfs.ext4", "-q", str(image)], check=False, capture_output=True).returncode:
            return False
        with contextlib.suppress(subprocess.CalledProcessError), mounted(image, place):
            return True
    return False


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    """The file system in the image at the place."""
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True, capture_output=True)


def cut(folder: Path, after: int) -> Cut:
    """The power goes once the ledger has called `after` slices proved."""
    image, copy, place = folder / "disk", folder / "copy", folder / "place"
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    plant = place / "ferry.toml"
    with mounted(image, place):
        plant.write_text(PLANT, encoding="utf-8")
        _ferry(plant, "up")
        verified = _cut_off(plant, image, copy, after)
    with mounted(copy, place):
        try:
            _ferry(plant, "backfill")  # what the ledger lacks; what it calls proved is not looked at
            code, found = _ferry(plant, "verify", "--deep", "--json")
        finally:
            _ferry(plant, "down")
    return Cut(verified, code, found)


def _cut_off(plant: Path, image: Path, copy: Path, after: int) -> int:
    """Copies the disk as it is at an instant; → how many slices the ledger called proved by then."""
    with open_line(load_plant(plant)) as line:
        servers = [psutil.Process(pid) for status in line.outside.statuses() for pid in status.pids]
        backfill = subprocess.Popen(
            [FERRY, "backfill", "--plant", str(plant)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        everybody = [psutil.Process(backfill.pid), *servers]
        end_s, verified = time.monotonic() + _PATIENCE_S, 0
        try:
            while verified < after and backfill.poll() is None:
                assert time.monotonic() < end_s, f"only {verified} slices are proved"
                verified = sum(each.state in COUNTS for each in line.ledger.history("pi1", None, SPAN))
            everybody += [child for each in everybody for child in each.children(recursive=True)]
            _signal(everybody, signal.SIGSTOP)
            subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
        finally:
            _signal(everybody, signal.SIGKILL)
            backfill.wait()
            psutil.wait_procs(everybody, timeout=30)
    return verified


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def _ferry(plant: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [FERRY, *arguments, "--plant", str(plant)], capture_output=True, text=True, check=False, timeout=_PATIENCE_S
    )
    if "--json" not in arguments:
        assert done.returncode == 0, done.stderr
        return 0, {}
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"said": done.stderr}


def main() -> int:
    """1 when something was lost."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    dice, lost = random.Random(given.seed), 0
    for number in range(given.times):
        with tempfile.TemporaryDirectory(prefix="ferry-power-") as folder:
            found = cut(Path(folder), dice.randint(1, 60))
        lost += found.lost
        said = f"{number + 1}: {found.verified} slices proved, code {found.code}, {'LOST' if found.lost else 'whole'}"
        sys.stdout.write(f"{said} {json.dumps(found.found)}\n")
        sys.stdout.flush()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
