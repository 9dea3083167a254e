"""What Prometheus is told of a source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from cli.standing import SourceStanding
from pipelines.ports import NEWCOMER, Exclusion
from pipelines.sync import TOLD
from pipelines.timeline import SECOND_NS
from pipelines.transfer import DRIFT, LOST

_GAUGES = {
    "points": "Points in the newest catalogue",
    "events": "Events that are proved",
    "covered_ratio": "Covered part of what the plant file asks for",
    "gaps": "Gaps in what the plant file asks for",
    "gap_seconds": "Length of these gaps together",
    "lag_seconds": "From what is proved of every group to now; +Inf where a clock ran ahead",
    "unproved_points": "Points with an open exception",
    "quarantined_spans": "Spans that wait for a person",
    "catalogue_age_seconds": "Since the source was asked for its points",
    "events_per_second": "Of the last runs that moved history",
    "spool_bytes": "What the spool of PLCs takes on disk",
    "request_budget_used_ratio": "Rate of the newest requests beside requests_per_s",
}
_CAUSES = {NEWCOMER: "newcomer", DRIFT: "drift", LOST: "lost", TOLD: "changed"}


class Figures:
    """Gauges named ferry_…, all with the label source; NaN never stands for what nobody knows: it is left out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            name: Gauge(f"ferry_{name}", text, ["source"], registry=registry) for name, text in _GAUGES.items()
        }
        self._group_lag = Gauge(
            "ferry_group_lag_seconds", "From what is proved of a group to now", ["source", "group"], registry=registry
        )
        self._exceptions = Gauge(
            "ferry_point_exceptions", "Open exceptions of points, by cause", ["source", "cause"], registry=registry
        )
        self._slices = Gauge(
            "ferry_slices", "Newest state of slices: retry_at and quarantined are errors", ["source", "state"],
            registry=registry,
        )  # fmt: skip
        self._schedules = Gauge(
            "ferry_schedule_on", "Whether a schedule of Dagster is switched on", ["source", "schedule"],
            registry=registry,
        )  # fmt: skip

    def add(self, found: SourceStanding, budget_used: float | None) -> None:
        """Takes one source in."""
        groups = found.groups
        values: dict[str, float | None] = {
            "points": found.points,
            "events": found.events,
            "covered_ratio": found.share,
            "gaps": sum(len(each.standing.gaps) for each in groups),
            "gap_seconds": sum(each.gap_ns for each in groups) / SECOND_NS,
            "lag_seconds": math.inf if found.ahead else found.lag_s,
            "unproved_points": len(found.unproved),
            "quarantined_spans": sum(len(each.standing.quarantined) for each in groups),
            "catalogue_age_seconds": found.catalogue_age_s,
            "events_per_second": found.pace.events_per_s if found.pace else None,
            "spool_bytes": found.spool_bytes,
            "request_budget_used_ratio": budget_used,
        }
        for name, value in values.items():
            if value is not None:
                self._gauges[name].labels(found.source).set(value)
        for group, lag_s in found.group_lag_s.items():
            self._group_lag.labels(found.source, group).set(math.inf if lag_s is None else lag_s)
        for cause, number in causes(one for each in groups for one in each.standing.exclusions).items():
            self._exceptions.labels(found.source, cause).set(number)
        states: Counter[str] = Counter()
        for each in groups:
            states.update(each.states)
        for state in {"verified", "retry_at", "quarantined", *states}:
            self._slices.labels(found.source, state).set(states[state])
        for name, state in found.schedules.items():
            self._schedules.labels(found.source, name).set(state == "on")


def causes(exclusions: Iterable[Exclusion]) -> dict[str, int]:
    """Exceptions by their cause; every cause is there, so that a series does not end when its trouble does."""
    found = dict.fromkeys([*_CAUSES.values(), "unproved"], 0)
    for each in exclusions:
        found[_CAUSES.get(each.reason, "unproved")] += 1
    return found
