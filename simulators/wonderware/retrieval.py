"""What the retrieval engine is asked for, and the rows that it makes up or leaves out.

Facts 2.3 (Full and Delta), 2.4 (initial rows and boundaries), 2.6 (zones), 2.9 (versions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlglot import exp

from simulators.tds.database import SqlError
from simulators.wonderware.criteria import Criteria
from simulators.wonderware.events import BAD, INITIAL, QD_NO_DATA, Bools, Events, Version, blank
from simulators.wonderware.plant import FAR_NS, Plant
from simulators.wonderware.statements import UNSUPPORTED, remote_error
from simulators.wonderware.zones import UnknownZoneError, to_utc, windows_zone

MODES = (
    "Cyclic", "Delta", "Full", "Interpolated", "BestFit", "Average", "Min", "Max", "Integral", "Slope", "Counter",
    "ValueState", "RoundTrip",
)  # fmt: skip  # facts 2.3, codes 0 to 12
# Inputs that would thin or change the rows, and the values at which they do not.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "wwtimedeadband": (0, None),
    "wwvaluedeadband": (0, None),
    "wwqualityrule": ("extended", "server", None),
    "wwfilter": ("nofilter", "", None),
    "wwedgedetection": ("none", "", None),
    "wwvalueselector": ("auto", "", None),
    "wwexpression": ("", None),
    "wwunit": ("", None),
}
Evaluate = Callable[[exp.Expr], Any]
"""The value of a constant expression: a number, a text or None."""


@dataclass(frozen=True, slots=True)
class Options:
    """What decides how rows look, whatever tags and time they are of."""

    mode: str
    version: Version
    zone: str  # IANA
    echoes: tuple[tuple[str, Any], ...] = ()  # inputs in small letters, as given


@dataclass(frozen=True, slots=True)
class Span:
    """The time asked for, UTC ns: rows in [first, last], and whether an initial row is due at `first`."""

    first_ns: int
    last_ns: int
    initial: bool


def options_of(
    plant: Plant, inputs: Mapping[str, exp.Expr], evaluate: Evaluate, modes: tuple[str, ...], default: str
) -> Options:
    """The options among the inputs; `modes` are those that are built. Raises SqlError."""
    values = {name: evaluate(node) for name, node in inputs.items()}
    for name, allowed in _HARMLESS.items():
        given = values.get(name)
        if (given.lower() if isinstance(given, str) else given) not in (*allowed, *_none_given(name, values)):
            raise SqlError(UNSUPPORTED, f"The stand-in has no {name} = {given!r}.")
    return Options(
        _mode(values.get("wwretrievalmode"), modes, default),
        _version(values.get("wwversion")),
        _zone(plant, values.get("wwtimezone")),
        tuple(sorted(values.items())),
    )


def span_of(found: Criteria, evaluate_wall: Callable[[exp.Expr], int], zone: str, now_ns: int) -> Span:
    """The time that the bounds leave; without an upper bound up to now. Raises SqlError 7320 for no bound at all.

    A start later than now has one row without a value (facts 2.4), which `initial_row` gives.
    """
    if not found.times:
        raise remote_error(f"The query has no criteria on {found.table.times[0]}.")
    first_ns, last_ns, initial = -FAR_NS, max(now_ns, -FAR_NS), False
    bounded = False
    for kind, node, in_utc in found.times:
        utc_ns = to_utc(evaluate_wall(node), "UTC" if in_utc else zone)
        if kind in (exp.GT, exp.GTE, exp.EQ):
            low = utc_ns + 1 if kind is exp.GT else utc_ns
            if low >= first_ns:
                first_ns, initial = low, kind is not exp.GT
        if kind in (exp.LT, exp.LTE, exp.EQ):
            high = utc_ns - 1 if kind is exp.LT else utc_ns
            last_ns = min(last_ns, high) if bounded else high
            bounded = True
    return Span(first_ns, last_ns, initial)


def kept_rows(events: Events, before: Events, mode: str) -> Events:
    """The rows of one version that the mode gives; `before` is the row ahead of them, or none.

    Delta drops rows whose value and quality (Quality and QualityDetail) are those of the row before, and all of a run
    without a value but its first, whatever their QualityDetail (facts 2.3, OMI/53887).
    """
    if mode == "Full" or not len(events):
        return events
    return events.take(_changes(events, before))


def _changes(events: Events, before: Events) -> Bools:
    previous = {}
    for name in ("numbers", "valid", "quality", "detail"):
        column, ahead = getattr(events, name), getattr(before, name)
        previous[name] = np.concatenate([ahead[-1:] if len(before) else column[:1], column[:-1]])
    same = (events.numbers == previous["numbers"]) & (events.quality == previous["quality"])
    same &= (events.detail == previous["detail"]) & _same_texts(events, before)
    empty = ~events.valid & ~previous["valid"]
    changed = np.where(events.valid == previous["valid"], ~(same | empty), True)
    if not len(before):
        changed[0] = True
    return np.asarray(changed, dtype=np.bool_)


def _same_texts(events: Events, before: Events) -> Bools:
    """True where the text is that of the row before; equal texts may stand at several places of `names`."""
    first: dict[str, int] = {}
    number = np.asarray([first.setdefault(name, len(first)) for name in events.names] + [-1], dtype=np.int64)
    places = number[events.texts]
    ahead = before.names[int(before.texts[-1])] if len(before) and before.texts[-1] >= 0 else None
    head = -1 if ahead is None else first.get(ahead, -2)
    return np.asarray(places == np.concatenate([[head], places[:-1]]))


def initial_row(plant: Plant, number: int, span: Span, version: Version, now_ns: int) -> Events:
    """The row that `>=` makes the engine add at the start of the span (facts 2.4).

    The last row before the start, stamped with it, Quality 133; where there is none, or the start is later than now,
    no value with QualityDetail 65536, OPCQuality 0 and Quality 1.
    """
    last = plant.before(number, span.first_ns, version)
    stamp = np.array([span.first_ns])
    if len(last) and span.first_ns <= now_ns:
        return replace(last, times=stamp, quality=np.full(1, INITIAL, dtype=np.uint8))
    none = blank(stamp)
    none.valid[:], none.quality[:], none.detail[:], none.opc[:] = False, BAD, QD_NO_DATA, 0
    return none


def has_initial_row(plant: Plant, number: int, span: Span, version: Version) -> bool:
    """Whether the initial row is given: always, or (a setting) only where no real row stands at the start."""
    if not span.initial:
        return False
    return plant.settings.real_with_initial or not len(plant.window(number, span.first_ns, span.first_ns, version))


def _none_given(name: str, values: Mapping[str, Any]) -> tuple[None, ...]:
    return () if name in values else (None,)


def _mode(given: Any, modes: tuple[str, ...], default: str) -> str:
    if given is None:
        return default
    for mode in MODES:
        if str(given).lower() in (mode.lower(), {"Min": "minimum", "Max": "maximum"}.get(mode, mode.lower())):
            if mode not in modes:
                raise SqlError(UNSUPPORTED, f"The stand-in has no retrieval mode {mode} here, only {', '.join(modes)}.")
            return mode
    raise remote_error(f"'{given}' is not a retrieval mode.")


def _version(given: Any) -> Version:
    if given is None or str(given).lower() == "latest":
        return Version.LATEST
    if str(given).lower() == "original":
        return Version.ORIGINAL
    raise remote_error(f"'{given}' is not a version: Latest or Original.")


def _zone(plant: Plant, given: Any) -> str:
    if given is None:
        return plant.settings.zone
    try:
        return windows_zone(str(given))
    except UnknownZoneError as error:
        raise remote_error(f"The time zone '{given}' is not in the TimeZone table.") from error
