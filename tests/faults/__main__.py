"""Plays seeds of the scheduler of faults, and says which invariants of docs/proof.md they violate.

python -m tests.faults --count 20 --seed 1     seeds 1 to 20, with all kinds of faults
python -m tests.faults --seed 17               that seed alone, its program and what it found
python -m tests.faults --seed 17 --kinds edits,kill     the same with these kinds only; --without leaves some out
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults import kinds
from tests.faults.ground import servers
from tests.faults.power_cut import can_mount, cut
from tests.faults.scheduler import run


def main() -> int:
    """0 when nothing was violated."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=1, help="the first")
    options.add_argument("--count", type=int, default=1)
    options.add_argument("--kinds", default="", help="only these, by comma")
    options.add_argument("--without", default="", help="not these, by comma")
    options.add_argument("--power-cuts", type=int, default=0, help="so many beside them (needs root)")
    options.add_argument("--list", action="store_true", help="the kinds that there are")
    given = options.parse_args()
    known = list(kinds.names())
    if given.list:
        sys.stdout.write("\n".join(known) + "\n")
        return 0
    allowed = given.kinds.split(",") if given.kinds else known
    allowed = [name for name in allowed if name not in given.without.split(",")]
    if strange := set(allowed) - set(known):
        options.error(f"no such kinds: {', '.join(sorted(strange))}; --list shows them")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers are stopped
    violated: dict[int, int] = {}
    with servers() as ground:
        for seed in range(given.seed, given.seed + given.count):
            found = run(ground, seed, allowed, _say)
            if found.violations:
                violated[seed] = len(found.violations)
    lost = power_cuts(given.seed, given.power_cuts)
    _say(f"{given.count} seeds, {len(violated)} of them violated: {', '.join(map(str, violated)) or 'none'}")
    return 1 if violated or lost else 0


def power_cuts(seed: int, times: int) -> int:
    """The power goes so many times while a backfill runs; how often something that was proved was lost."""
    if times and not can_mount():
        _say("no power is cut: this machine lets nobody mount a file system from a file")
        return 0
    dice, lost = random.Random(seed), 0
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="ferry-power-") as folder:
            found = cut(Path(folder), dice.randint(1, 60))
        lost += found.lost
        _say(f"power cut {number + 1} after {found.verified} proved slices: {'LOST' if found.lost else 'whole'}")
    return lost


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
