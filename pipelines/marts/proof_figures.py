"""The proof as rows of the quality report: totals, kinds of proof, coverage in bins, drift, and what is unproved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.evidence import Evidence, Standing, reason_of
from pipelines.points import point_name
from pipelines.timeline import Interval, clip, missing

Row = dict[str, Any]

_FEW = 3
"""So many points of one group that share a gap are named; more are counted."""


def totals(evidence: Evidence) -> Row:
    """The three counts in events, None where nobody knows, and how much was compared."""
    found, moved = evidence.found, evidence.slices > 0
    told = moved and not (evidence.untold and not found.source_events)
    return {
        "source_events": found.source_events if told else None,
        "landed_events": found.landed_events if moved else None,
        "stored_events": found.stored_events if moved else None,
        "landed_only": found.landed_only,
        "proved_events": evidence.proved_events if moved else None,
        "untold": len(evidence.untold),
        "points": found.points,
        "point_groups": len(evidence.standings),
        "slices": evidence.slices,
    }


def proof_kinds(evidence: Evidence) -> list[Row]:
    """How many points are proved in which way."""
    found = evidence.found
    kinds = (("deep", len(found.deep)), ("counted", len(found.counted)), ("none", len(found.unproved)))
    return [{"proof": kind, "points": points} for kind, points in kinds if points]


def coverage(evidence: Evidence, bin_ns: int) -> list[Row]:
    """Per point group and bin: the share of its points' time that is proved, of what is not open, in percent; whether
    anything was moved there, and whether all of it is open."""
    return [row for standing in evidence.standings for row in _group_coverage(standing, bin_ns)]


def _group_coverage(standing: Standing, bin_ns: int) -> Iterator[Row]:
    span = standing.wanted
    for opens in range(span.start_ns, span.end_ns, bin_ns):
        cell = Interval(opens, min(opens + bin_ns, span.end_ns))
        due_ns = _length(missing(cell, standing.open))
        covered = clip(standing.covered, cell)
        proved_ns = _length(covered) * max(standing.points, 1)
        for each in standing.exclusions:
            if each.span.overlaps(cell):
                proved_ns -= _length(clip(covered, each.span))
        yield {
            "point_group": standing.group,
            "opens": cell.start_ns,
            "closes": cell.end_ns,
            "tried": bool(clip(standing.moved, cell)),
            "open": not due_ns,
            "percent_proved": 100.0 * proved_ns / (max(standing.points, 1) * due_ns) if due_ns else 100.0,
        }


def _length(spans: list[Interval]) -> int:
    return sum(each.length_ns for each in spans)


def drift(evidence: Evidence, names: Mapping[str, str]) -> list[Row]:
    """Points whose sides differ in events, by window."""
    return [
        {"name": names.get(point) or point_name(point), "window": window, **counts}
        for (point, window), counts in sorted(evidence.found.drift.items())
    ]


def unproved(evidence: Evidence, names: Mapping[str, str]) -> list[Row]:
    """Rows of name and reason: points with an exception of their own first, then what is just not covered, by group."""
    named = {each.point: each for standing in evidence.standings for each in standing.exclusions}
    rows = [
        {"name": names.get(point) or point_name(point), "reason": reason_of(each)}
        for point, each in sorted(named.items())
    ]
    rest: dict[str, list[str]] = {}
    for point, why in evidence.found.unproved.items():
        if point not in named:
            rest.setdefault(why, []).append(names.get(point) or point_name(point))
    for why, alike in sorted(rest.items()):
        if len(alike) <= _FEW:
            rows += [{"name": name, "reason": why} for name in sorted(alike)]
        else:
            rows.append({"name": f"{len(alike):,} points", "reason": why})
    return rows
