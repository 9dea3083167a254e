"""Dagster's UI and daemon on this plant: servers up, the instance rendered, then `dagster dev` takes over."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from assets_defs.definitions import plant_file
from assets_defs.instance import fail_dead_runs, opened_instance, render
from assets_defs.location import WORKSPACE, carry_switches
from assets_defs.rectangle_child import FEW_ARENAS
from pipelines.plant import load_plant
from pipelines.ports import FerryError, Unreachable
from resources.modes import keep_private
from resources.outside import Outside

WRONG_USE, UNREACHABLE, INTERRUPTED = 2, 3, 130
# `dg dev`, which the warning recommends, is another package and wants another layout.
_QUIET = "ignore:Function `dev_command` is superseded"


def main() -> int:
    """Does not return when all went well. Arguments are passed on to `dagster dev`: --port, --host."""
    path = plant_file()
    try:
        plant = load_plant(path)
        keep_private(plant)
        outside = Outside(plant)
        outside.up()
        home = render(plant, outside)
        os.environ["DAGSTER_HOME"] = str(home)
        with opened_instance() as instance:
            fail_dead_runs(instance)
            carry_switches(instance, home)
    except FerryError as error:
        sys.stderr.write(f"{error}\n")
        return UNREACHABLE if isinstance(error, Unreachable) else WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    os.environ["FERRY_PLANT"] = str(path)
    for name, value in FEW_ARENAS.items():
        os.environ.setdefault(name, value)
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), _QUIET)))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it, and dev would never stop
    program = str(Path(sys.executable).with_name("dagster"))
    os.chdir(home)  # in a folder with another dagster.yaml it would warn that it does not use that one
    return os.execv(program, [program, "dev", "-w", str(home / WORKSPACE), *sys.argv[1:]])  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    sys.exit(main())
