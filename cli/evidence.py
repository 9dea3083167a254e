"""Evidence: what the ledger proved over a span, as the object that `verify --json` shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets_defs.line import Line
from pipelines.landing import window_label
from pipelines.ledger import current
from pipelines.plant import SourceSettings
from pipelines.ports import Exclusion
from pipelines.timeline import Interval, missing
from pipelines.transfer import Recount

NO_PROOF = "covered, but its proof reaches out of this span or was withdrawn in part; ferry verify recounts it"


@dataclass(slots=True)
class Evidence:
    """Proofs of the ledger put together. `loose` are points whose coverage no standing proof explains."""

    found: Recount
    origins: dict[str, int] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)


def gather(line: Line, settings: SourceSettings, span: Interval, asked: Collection[str] | None = None) -> Evidence:
    """What is proved of the source's points (or the `asked` ones) over the span. Asks the ledger only.

    A point is proved when proofs other than `none` fill the span, no exception touches it and its group is covered.
    """
    groups = {
        label: {point.id for point in points if asked is None or point.id in asked}
        for label, points in line.by_group(settings).items()
    }
    wanted = set().union(*groups.values())
    evidence = Evidence(Recount(points=len(wanted)))
    proved_ns: dict[str, int] = {}
    counted: set[str] = set()
    origins: dict[str, set[str]] = {}
    for window in line.windows(settings, span):
        part = window.intersect(span)
        assert part is not None
        table = line.ledger.proofs(settings.name, part)
        for row in _by_point(table, wanted):
            _count(evidence.found, row, window_label(window))
            proved_ns[row["point"]] = proved_ns.get(row["point"], 0) + row["proved_ns"]
            if row["counted"]:
                counted.add(row["point"])
            for origin in row["origins"]:
                origins.setdefault(origin, set()).add(row["point"])
    _name_unproved(line, settings, span, groups, proved_ns, evidence, asked)
    proved = wanted - set(evidence.found.unproved)
    evidence.found.counted = proved & counted
    evidence.found.deep = proved - counted
    evidence.origins = {origin: len(points & proved) for origin, points in sorted(origins.items())}
    return evidence


def _by_point(table: pa.Table, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """One row a point: events of the three sides, proved time, kinds of proof."""
    kept = table.filter(pc.is_in(table["point"], value_set=pa.array(sorted(wanted), pa.string())))
    length = pc.subtract(kept["end_ns"], kept["start_ns"])
    proved = pc.not_equal(kept["proof"], "none")
    landed = kept["events"]
    differs = pc.or_(
        pc.not_equal(pc.coalesce(kept["source_events"], landed), landed),
        pc.not_equal(pc.coalesce(kept["stored_events"], landed), landed),
    )
    kept = kept.append_column("proved_ns", pc.if_else(proved, length, 0))
    kept = kept.append_column("counted", pc.equal(kept["proof"], "counted"))
    kept = kept.append_column("differs", differs)
    kept = kept.append_column("landed_only", pc.if_else(pc.is_null(kept["stored_events"]), landed, 0))
    sums = ["source_events", "events", "stored_events", "proved_ns", "landed_only"]
    summed = kept.group_by("point", use_threads=False).aggregate(
        [*((name, "sum") for name in sums), ("counted", "any"), ("differs", "any"), ("origin", "distinct")]
    )
    for row in summed.to_pylist():
        yield {
            "point": row["point"],
            **{name: row[f"{name}_sum"] or 0 for name in sums},
            "counted": row["counted_any"],
            "differs": row["differs_any"],
            "origins": row["origin_distinct"],
        }


def _count(found: Recount, row: dict[str, Any], window: str) -> None:
    found.source_events += row["source_events"]
    found.landed_events += row["events"]
    found.stored_events += row["stored_events"]
    found.landed_only += row["landed_only"]
    if row["differs"]:
        found.differs(row["point"], window, row["source_events"], row["events"], row["stored_events"])


def _name_unproved(
    line: Line,
    settings: SourceSettings,
    span: Interval,
    groups: dict[str, set[str]],
    proved_ns: dict[str, int],
    evidence: Evidence,
    asked: Collection[str] | None,
) -> None:
    name, unproved = settings.name, evidence.found.unproved
    for each in line.ledger.exclusions(name, None, span):
        if asked is None or each.point in asked:
            unproved[each.point] = reason_of(each)
    for label, points in groups.items():
        gaps = missing(span, line.ledger.coverage(name, label))
        if gaps:
            more = f" and {len(gaps) - 1} more gaps" if len(gaps) > 1 else ""
            for point in points:
                unproved.setdefault(point, f"{gaps[0]}{more} is not covered; ferry backfill fills it")
        evidence.loose |= {point for point in points - set(unproved) if proved_ns.get(point, 0) < span.length_ns}
        history = line.ledger.history(name, label, span)
        evidence.found.rounded_events += sum(
            each.record.rounded for each in current(history, span) if each.span == each.record.slice.span
        )
    for point in evidence.loose:
        unproved[point] = NO_PROOF


def reason_of(exclusion: Exclusion) -> str:
    """Why a point is not proved, and where."""
    return f"{exclusion.span}: {exclusion.reason}"
