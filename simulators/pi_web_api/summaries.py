"""Summaries: totals, averages, counts of one stream or a set.

Source: facts/historians.md 1.4. Event-weighted over one interval takes the events at both ends; over several, the
end of each is left to the next. Count is events when event-weighted and seconds when time-weighted. Only Count works
on what is not a number. Whether bad events count is unverified there, so it is a switch here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from simulators.pi_web_api.clock import TimeTextError, interval_ns, iso
from simulators.pi_web_api.events import DAY_NS, SECOND_NS, Events, Flag, joined
from simulators.pi_web_api.exchange import Question, RefusalError
from simulators.pi_web_api.interpolation import at_times
from simulators.pi_web_api.precision import texts_of
from simulators.pi_web_api.service import Service
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import NO_DATA, SYSTEM_STATES

_ALL = (
    "Total", "Average", "Minimum", "Maximum", "Range", "StdDev", "PopulationStdDev", "Count", "PercentGood",
)  # fmt: skip
_FOR_ANY = ("Count", "PercentGood")
_NUMERIC = ("Int16", "Int32", "Float16", "Float32", "Float64")
_CALC_FAILED = 249


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked: names of summaries, the weighting, and the intervals [first, last], both ends included."""

    types: tuple[str, ...]
    event_weighted: bool
    spans: tuple[tuple[int, int], ...]
    time_type: str


def wanted(service: Service, question: Question) -> Wanted:
    """The parameters of a summary question. Raises RefusalError."""
    known = {name.lower(): name for name in (*_ALL, "TotalWithUOM")}
    types: list[str] = []
    for text in question.texts("summaryType") or ["Total"]:
        for word in text.lower().split(","):
            if word.strip() == "all":
                types += _ALL
            elif word.strip() == "allfornonnumeric":
                types += _FOR_ANY
            elif word.strip() in known:
                types.append(known[word.strip()])
            else:
                raise RefusalError(400, f"The value '{word}' is not valid for parameter 'summaryType'.")
    basis = question.text("calculationBasis", "TimeWeighted").lower()
    if not basis.startswith(("timeweighted", "eventweighted")):
        raise RefusalError(400, f"The value '{basis}' is not valid for parameter 'calculationBasis'.")
    start_ns, end_ns = service.window(question, "*-1d")
    first_ns, last_ns = min(start_ns, end_ns), max(start_ns, end_ns)
    spans = [(first_ns, last_ns)]
    if question.text("summaryDuration"):
        try:
            step_ns = interval_ns(question.text("summaryDuration"))
        except TimeTextError as error:
            raise RefusalError(400, str(error)) from error
        if step_ns <= 0 or (last_ns - first_ns) // step_ns > service.settings.max_items:
            raise RefusalError(400, "The value of parameter 'summaryDuration' is not valid.")
        starts = range(first_ns, max(last_ns, first_ns + 1), step_ns)
        spans = [(start, min(start + step_ns, last_ns)) for start in starts]
    time_type = question.text("timeType", "Auto").lower()
    return Wanted(tuple(types), basis.startswith("event"), tuple(spans), time_type)


def summarised(service: Service, spec: Spec, ask: Wanted) -> list[dict[str, Any]]:
    """The Items of one stream's summary."""
    items = []
    for place, (first_ns, last_ns) in enumerate(ask.spans):
        inner = place < len(ask.spans) - 1
        if ask.event_weighted:
            upto_ns = last_ns - 1 if inner else last_ns
            found = _by_events(service, spec, ask, first_ns, upto_ns)
        else:
            found = _by_time(service, spec, first_ns, last_ns)
        items += [_item(spec, ask, name, found, (first_ns, last_ns)) for name in ask.types]
    return items


Found = dict[str, tuple[float, int]]
"""A number and the time it belongs to (0: the interval), by name of summary."""


def _by_events(service: Service, spec: Spec, ask: Wanted, first_ns: int, last_ns: int) -> Found:
    if set(ask.types) == {"Count"} and service.settings.count_bad:
        return {"Count": (service.plant.count(spec.number, first_ns, last_ns), 0)}
    events = service.plant.window(spec.number, first_ns, last_ns)
    good = int(np.count_nonzero(events.flags & Flag.BAD == 0))
    found: Found = {"Count": (len(events) if service.settings.count_bad else good, 0)}
    if len(events):
        found["PercentGood"] = (100.0 * good / len(events), 0)
    plain = events.take(events.plain())
    if len(plain) and spec.pi_type in _NUMERIC:
        amounts = plain.amounts()
        added = amounts
        if service.settings.totals == "texts":
            added = np.asarray(texts_of(amounts, plain.precision).cast(pa.float64()))
        with np.errstate(over="ignore"):  # a square of 1e300 is infinite here and there
            found |= _statistics(float(added.sum()), float(amounts.mean()), float(amounts.var()), plain)
            if len(plain) > 1:
                found["StdDev"] = (float(amounts.std(ddof=1)), 0)
    return found


def _by_time(service: Service, spec: Spec, first_ns: int, last_ns: int) -> Found:
    """Integrals over time; straight lines between good numbers, held values after other events."""
    plant, number = service.plant, spec.number
    inside = plant.window(number, first_ns + 1, last_ns - 1)
    events = joined([at_times(plant, number, [first_ns]), inside, at_times(plant, number, [last_ns])])
    spans_s = np.diff(events.times) / SECOND_NS
    plain, amounts = events.plain(), events.amounts()
    known = plain if spec.pi_type in _NUMERIC else events.flags & Flag.BAD == 0
    counted = known[:-1]
    seconds = float(spans_s[counted].sum())
    whole_s = (last_ns - first_ns) / SECOND_NS
    found: Found = {"Count": (seconds, 0)}
    if whole_s > 0:
        found["PercentGood"] = (100.0 * seconds / whole_s, 0)
    if spec.pi_type not in _NUMERIC or seconds <= 0:
        return found
    left = amounts[:-1]
    right = left if spec.step else np.where(plain[1:], amounts[1:], left)
    area = float(((left + right) / 2 * spans_s)[counted].sum())
    squares = float(((left**2 + left * right + right**2) / 3 * spans_s)[counted].sum())
    average = area / seconds
    variance = max(squares / seconds - average**2, 0.0)
    # A time-weighted total is per day: the integral in value · days.
    found |= _statistics(area * SECOND_NS / DAY_NS, average, variance, events.take(plain))
    found["StdDev"] = (math.sqrt(variance), 0)
    return found


def _statistics(total: float, average: float, variance: float, plain: Events) -> Found:
    amounts = plain.amounts()
    low, high = int(amounts.argmin()), int(amounts.argmax())
    return {
        "Total": (total, 0),
        "TotalWithUOM": (total, 0),
        "Average": (average, 0),
        "Minimum": (float(amounts[low]), int(plain.times[low])),
        "Maximum": (float(amounts[high]), int(plain.times[high])),
        "Range": (float(amounts[high] - amounts[low]), 0),
        "PopulationStdDev": (math.sqrt(variance), 0),
    }


def _item(spec: Spec, ask: Wanted, name: str, found: Found, span: tuple[int, int]) -> dict[str, Any]:
    number, time_ns = found.get(name, (0.0, 0))
    good = name in found
    value: Any = number
    if not good:
        state = NO_DATA if spec.pi_type in _NUMERIC else _CALC_FAILED
        value = {"Name": SYSTEM_STATES[state], "Value": state, "IsSystem": True}
    if ask.time_type == "mostrecenttime":
        stamp_ns = span[1]
    else:
        # Auto stamps an extreme with its own time, all else with the start of the interval.
        stamp_ns = time_ns if time_ns and ask.time_type == "auto" else span[0]
    return {
        "Type": name,
        "Value": {
            "Timestamp": iso(stamp_ns),
            "UnitsAbbreviation": "",
            "Good": good,
            "Questionable": False,
            "Substituted": False,
            "Annotated": False,
            "Value": value,
        },
    }
