"""What the stand-in measures: every signal at any time by arithmetic alone, so that a test can tell the truth of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

SECOND_NS = 1_000_000_000
KINDS = (
    "Double", "Int32", "Boolean", "String", "Float", "State", "Int64", "UInt64", "Array", "DateTime", "Byte", "Int16",
)  # fmt: skip
STATES = ("Stopped", "Running", "Störung")
ARRAY = 3
_PERIODS_S = (1, 2, 5, 10)
GOOD, UNCERTAIN, BAD = 0x0000_0000, 0x4090_0000, 0x808C_0000
Plain = bool | int | float | str | list[float] | None


@dataclass(frozen=True, slots=True)
class Event:
    """A value at a time (ns UTC, a multiple of 100) with its status code."""

    time_ns: int
    value: Plain
    status: int = GOOD


@dataclass(frozen=True)
class Signal:
    """One variable. `every_ns` 0 takes a period by its number."""

    number: int
    seed: int = 1
    every_ns: int = 0

    @property
    def kind(self) -> str:
        return KINDS[self.number % len(KINDS)]

    @property
    def name(self) -> str:
        return f"Unit{self.number // 12 % 4 + 1}.Ü{self.number:04d} {self.kind}"

    @cached_property
    def period_ns(self) -> int:
        return self.every_ns or _PERIODS_S[self._drawn("period") % len(_PERIODS_S)] * SECOND_NS

    @cached_property
    def phase_ns(self) -> int:
        return self._drawn("phase") % (self.period_ns // 100) * 100

    def events(self, start_ns: int, end_ns: int) -> Iterator[Event]:
        """All of [start, end), in order; now and then two of one time, a bad one, an uncertain one."""
        step = max(0, (start_ns - self.phase_ns) // self.period_ns)
        while (time_ns := step * self.period_ns + self.phase_ns) < end_ns:
            if time_ns >= start_ns:
                yield self._event(step, time_ns)
                if (step + self.number) % 89 == 0:
                    yield Event(time_ns, self._value(step + 1))
            step += 1

    def last(self, at_ns: int) -> Event:
        """The newest at a time."""
        *_, newest = self.events(at_ns - 2 * self.period_ns, at_ns + 1)
        return newest

    def _event(self, step: int, time_ns: int) -> Event:
        place = (step + 7 * self.number) % 61
        if place == 3:
            return Event(time_ns, None, BAD)
        return Event(time_ns, self._value(step), UNCERTAIN if place == 5 else GOOD)

    def _value(self, step: int) -> Plain:
        turn = (step * 7 + self.number) % 1_000
        found: dict[str, Plain] = {
            "Double": float("nan") if turn == 500 else turn / 7, "Float": turn / 8, "Int16": turn - 500,
            "Byte": turn % 256, "Int32": -turn * 1_000_003, "Int64": 2**62 + turn, "UInt64": 2**63 + turn,
            "Boolean": turn % 2 == 0, "String": f"Charge {turn} läuft" if turn % 10 else "",
            "State": turn % len(STATES),
            "Array": [turn + place / 4 for place in range(ARRAY)], "DateTime": self._value_time(step),
        }  # fmt: skip
        return found[self.kind]

    def _value_time(self, step: int) -> int:
        return (step * self.period_ns // 100) * 100

    def _drawn(self, what: str) -> int:
        text = f"{self.seed} {self.number} {what}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


def plant(points: int, seed: int = 1, every_ns: int = 0) -> list[Signal]:
    """All signals."""
    return [Signal(number, seed, every_ns) for number in range(points)]
