"""Clocks: how far those of the others are from this host's, which one stands alone, and how old a watermark is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise

from pipelines.ports import Stop
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, iso

HOST = "this host"
AHEAD = "a clock ran ahead when it was recorded; the next pass of sync withdraws it and pulls it again"


async def ahead_ns(ask: Callable[[], Awaitable[int | None]], now_ns: Callable[[], int]) -> int | None:
    """How far the clock that `ask` gives (ns UTC) is ahead of ours, at the least: it was read somewhen between the
    question and the answer. None where it does not tell. Raises what `ask` raises."""
    asked_ns = now_ns()
    told_ns = await ask()
    return None if told_ns is None else at_least_ns(told_ns, asked_ns, now_ns())


def at_least_ns(told_ns: int, asked_ns: int, answered_ns: int) -> int:
    """By how much a clock that showed `told_ns` between two instants of ours is ahead of ours for sure, or behind."""
    return max(told_ns - answered_ns, 0) + min(told_ns - asked_ns, 0)


def check_clocks(host_ns: int, others: Mapping[str, int], tolerance_ns: int, *, same: frozenset[str]) -> None:
    """Raises Stop where one of `others`, given by how far each is ahead of this host's, is further than the tolerance.

    It names both, the difference, and which stands alone where that can be told: those of `same`, which run on this
    host, cannot confirm its clock.
    """
    apart = {name: ahead for name, ahead in others.items() if abs(ahead) > tolerance_ns}
    if not apart:
        return
    said = "; ".join(
        f"the clock of {name} shows {_shown(host_ns + ahead)} and that of {HOST} {_shown(host_ns)}: "
        f"{length(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"
        for name, ahead in apart.items()
    )
    raise Stop(
        f"{said}; at most {length(tolerance_ns)} are allowed, because what is final and what is expired is judged by "
        f"it. {_verdict(apart, others, tolerance_ns, same)}. Nothing was moved or recorded. Only if a clock cannot be "
        "set, clock_apart under [limits] in the plant file allows more: what is final then goes by the one that is "
        "behind"
    )


def lag_s(now_ns: int, up_to_ns: int, tolerance_ns: int) -> float | None:
    """Seconds from a watermark to now. None for one that lies in the future: a clock was wrong, and nothing is fresh.

    Within the tolerance, by which two hosts may differ, it is 0.
    """
    lag_ns = now_ns - up_to_ns
    return None if lag_ns < -tolerance_ns else max(lag_ns, 0) / SECOND_NS


def length(span_ns: int) -> str:
    """A duration in its two largest units: `3 d 2 h`, `5 min`."""
    span_ns = round(span_ns / SECOND_NS) * SECOND_NS
    units = [(DAY_NS, "d"), (HOUR_NS, "h"), (MINUTE_NS, "min"), (SECOND_NS, "s")]
    for (unit_ns, unit), (less_ns, less) in pairwise(units):
        if span_ns >= unit_ns:
            rest = span_ns % unit_ns // less_ns
            return f"{span_ns // unit_ns} {unit}" + (f" {rest} {less}" if rest else "")
    return f"{span_ns / SECOND_NS:.0f} s"


def _verdict(apart: Mapping[str, int], others: Mapping[str, int], tolerance_ns: int, same: frozenset[str]) -> str:
    agreeing = [name for name in others if name not in apart and name not in same]
    if len(apart) == 1 and agreeing:
        alone = next(iter(apart))
        return f"{' and '.join(agreeing)} and {HOST} agree: that of {alone} stands alone; set it (NTP)"
    spread = max(apart.values()) - min(apart.values())
    if len(apart) > 1 and len(apart) == len(others) and spread <= tolerance_ns:
        return f"{' and '.join(apart)} agree: that of {HOST} stands alone; set it (NTP)"
    return "Which is wrong cannot be told from here: let all follow one time server (NTP)"


def _shown(time_ns: int) -> str:
    return iso(time_ns // SECOND_NS * SECOND_NS)
