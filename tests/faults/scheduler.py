"""A seed's program: commands with faults before and during them, and the oracle's checks after each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipelines.timeline import SECOND_NS, iso
from tests.faults import checks, kinds
from tests.faults.ground import Done, Plant, Servers, plant

Say = Callable[[str], None]
_MOST_STEPS = 4
_AT_FIRST = frozenset({"poison", "texts", "ties", "lying_counts", "source_errors"})
"""What may strike before anything was moved."""
MISUSE = 2


@dataclass(frozen=True)
class Step:
    """Faults, then a command with at most one fault during it. `dice` seeds what the faults draw."""

    words: tuple[str, ...]
    before: tuple[str, ...]
    during: str
    dice: int

    def __str__(self) -> str:
        meanwhile = f" with {self.during}" if self.during else ""
        return f"{', '.join(self.before) or 'nothing'}; then {' '.join(self.words)}{meanwhile}"


@dataclass
class Verdict:
    """What one seed found, in the order in which it was found."""

    seed: int
    followed: bool
    steps: list[Step]
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


def program(seed: int, allowed: Sequence[str]) -> tuple[bool, list[Step]]:
    """The same for a seed and a choice of kinds: whether the source goes on, and its steps."""
    dice = random.Random(seed)
    followed = dice.random() < 0.3
    early = sorted(set(allowed) & kinds.BEFORE.keys())
    late = sorted(set(allowed) & kinds.DURING.keys())
    words: list[tuple[str, ...]] = [
        ("backfill",), ("sweep", "--restate"), ("sweep",), ("export",), ("restate",), ("discover",),
    ]  # fmt: skip
    if followed:
        words += [("sync",), ("sync",)]
    steps = [_step(dice, ("backfill",), [name for name in early if name in _AT_FIRST], late)]
    for _ in range(dice.randint(2, _MOST_STEPS)):
        steps.append(_step(dice, dice.choice(words), early, late))
    return followed, steps


def _step(dice: random.Random, words: tuple[str, ...], early: list[str], late: list[str]) -> Step:
    drawn = tuple(dice.sample(early, min(len(early), dice.choice([0, 1, 1, 2]))))
    meanwhile = dice.choice(late) if late and dice.random() < 0.35 else ""
    return Step(words, drawn, meanwhile, dice.randrange(1 << 30))


def run(servers: Servers, seed: int, allowed: Sequence[str], say: Say) -> Verdict:
    """Plays a seed. Raises nothing that the product does: what it does wrong is in the verdict."""
    followed, steps = program(seed, allowed)
    verdict, began_s = Verdict(seed, followed, steps), time.monotonic()
    say(f"seed {seed}: {'a followed source' if followed else 'history only'}")
    with plant(servers, seed, followed) as ground:
        player = _Player(ground, verdict, say)
        for step in steps:
            player.play(step)
        player.sweep_twice()
        player.recover()
    verdict.seconds = time.monotonic() - began_s
    say(f"seed {seed}: {len(verdict.violations)} violations, {verdict.seconds:.0f} s")
    return verdict


@dataclass
class _Player:
    plant: Plant
    verdict: Verdict
    say: Say
    exports: int = 0
    mends: bool = False
    """Whether the two sweeps have left something to mend."""

    def play(self, step: Step) -> None:
        """One step with its checks."""
        self.say(f"  {step}")
        dice, before = random.Random(step.dice), dict(self.plant.config)
        for name in step.before:
            self.say(f"    {name}: {kinds.BEFORE[name](self.plant, dice)}")
        changed = self.plant.config != before
        done = self.command(step.words, step.during, dice, before=before)
        if changed and self.plant.config == before:
            done = self.command(step.words)
        if self._is_sent_to_rebuild(done):
            self.command(("rebuild",))
            self.command(step.words)

    def command(
        self,
        words: tuple[str, ...],
        meanwhile: str = "",
        dice: random.Random | None = None,
        before: dict[str, object] | None = None,
    ) -> Done:
        """One command, and what must hold after it; where it refuses a changed plant file, with the one `before`."""
        child = self.plant.start(*self._given(words))
        if meanwhile:
            self.say(f"    {meanwhile}: {kinds.DURING[meanwhile](self.plant, dice or random.Random(0), child)}")
        done = self.plant.ended(child)
        while self.plant.after:
            self.plant.after.pop()()
        self.say(f"    {done}{self._reason(done)}")
        if done.code == MISUSE and before is not None and self.plant.config != before:
            self.plant.write(**before)
            self.say("    refused, so the plant file is as it was again")
        if done.words[0] == "discover" and done.code == 0:
            self.plant.absent -= {point for point in self.plant.absent if point.startswith("NEW.")}
        if self.verdict.followed:
            self.plant.truth.look(time.time_ns())
        self.find(checks.code_agrees(self.plant, done))
        self.plant.expected = frozenset()
        self.find(checks.proved_is_stored(self.plant))
        if done.words[0] == "export" and done.code == 0:
            self.find(checks.export_is_true(self.plant, f"out{self.exports}"))
        return done

    def sweep_twice(self) -> None:
        """(c): two sweeps with nothing going on, then the status must name every difference."""
        self.say("  two sweeps, then every difference must be named")
        codes = [self.command(("sweep",)).code for _ in range(2)]
        status = self.command(("status",))
        if all(code in (0, 1) for code in codes) and status.told:
            self.find(checks.differences_are_named(self.plant, status))
            self.plant.tampered = False
        self.mends = status.code != 0

    def recover(self) -> None:
        """(e): with all faults over, a backfill proves every point that nothing was aimed at; the export is true."""
        self.say("  all faults are over")
        kinds.calm(self.plant)
        self.command(("discover",))
        done = self.command(("backfill",))
        if self._is_sent_to_rebuild(done):
            self.command(("rebuild",))
            done = self.command(("backfill",))
        self.find(checks.nobody_is_stopped(self.plant, done))
        if self.mends:
            self.command(("sweep", "--restate"))
        self.command(("export",))

    def find(self, violations: list[str]) -> None:
        for each in violations:
            if each not in self.verdict.violations:
                self.verdict.violations.append(each)
                self.say(f"    VIOLATED {each}")

    def _given(self, words: tuple[str, ...]) -> tuple[str, ...]:
        span = self.plant.span
        times = ("--start", iso(span.start_ns), "--end", iso(span.end_ns))
        if words[0] == "backfill":
            return (*words, *times)
        if words[0] == "export":
            self.exports += 1
            return (*words, *times, "--to", str(self.plant.folder / f"out{self.exports}"))
        if words[0] == "restate":
            return (*words, "--start", iso(span.start_ns), "--end", iso(span.start_ns + 3600 * SECOND_NS))
        return words

    @staticmethod
    def _is_sent_to_rebuild(done: Done) -> bool:
        return done.code == MISUSE and "ferry rebuild" in f"{done.told.get('error')}"

    @staticmethod
    def _reason(done: Done) -> str:
        if not done.code:
            return ""
        lines = [line.strip() for line in done.err.splitlines() if line.strip()]
        return f": {str(done.told.get('error') or ' / '.join(lines[-2:]))[:240]}"
