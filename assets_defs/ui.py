"""Dagster's UI and daemon on this plant: servers up, the instance rendered, then `dagster dev` takes over."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from assets_defs.definitions import plant_file
from assets_defs.instance import render
from pipelines.plant import load_plant
from pipelines.ports import FerryError
from resources.outside import Outside


def main() -> int:
    """Does not return when all went well."""
    path = plant_file()
    try:
        plant = load_plant(path)
        outside = Outside(plant)
        outside.up()
        os.environ["DAGSTER_HOME"] = str(render(plant, outside))
    except FerryError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.environ["FERRY_PLANT"] = str(path)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it, and dev would never stop
    program = str(Path(sys.executable).with_name("dagster"))
    return os.execv(program, [program, "dev", "-m", "assets_defs.defs", *sys.argv[1:]])  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    sys.exit(main())
