"""The proofs of a span point by point, put together with where its groups stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.evidence.standing import Scope, Standing, standings
from pipelines.landing import Landing, window_label
from pipelines.ports import Exclusion, LedgerStore
from pipelines.transfer import Recount


@dataclass(slots=True)
class Evidence:
    """The standings of all groups, and from the proofs point by point what `verify --json` shows.

    `loose` are points whose own kept proofs do not fill what is covered: passes proved the rest and have not settled
    it, or a slice reaches out of the span. Not those that are gone: their proofs ended when they went.
    """

    standings: list[Standing]
    found: Recount
    origins: dict[str, int] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    """Points that the source would not count somewhere."""

    @property
    def slices(self) -> int:
        """Generations that count; 0 where nothing was moved."""
        return sum(each.slices for each in self.standings)

    @property
    def proved_events(self) -> int:
        return sum(each.proved_events for each in self.standings)

    @property
    def followed_events(self) -> int:
        return sum(each.followed_events for each in self.standings)


def gather(ledger: LedgerStore, landing: Landing, scope: Scope) -> Evidence:
    """What is proved of the scope, point by point. Asks no source and no store.

    A point is proved when all of the span is covered but for what is open, and no exception touches it. What sync
    proved and has not settled yet counts as `counted`, the lesser of the two.
    """
    stands = standings(ledger, landing, scope)
    wanted = {point for points in scope.points.values() for point in points}
    landed = sum(each.covered_events for each in stands)
    forgotten = sum(each.forgotten_events for each in stands)
    found = Recount(
        points=len(wanted), source_events=landed, landed_events=landed, stored_events=landed - forgotten,
        rounded_events=sum(each.rounded_events for each in stands), landed_only=forgotten,
        damaged=[damage for each in stands for damage in each.damaged],
        gone={point: since_ns for point, since_ns in scope.gone.items() if point in wanted},
    )  # fmt: skip
    evidence = Evidence(stands, found)
    _name_unproved(scope, stands, found)
    proofs = _Proofs()
    for window in scope.windows:
        if part := window.intersect(scope.span):
            proofs.take(
                ledger.proofs(scope.source, part, scope.only),
                None if scope.whole else wanted,
                window_label(window),
                found,
            )
    proved = wanted - set(found.unproved)
    evidence.loose = {
        point
        for stand in stands
        for point in (proved - found.gone.keys()).intersection(scope.points[stand.group])
        if proofs.proved_ns.get(point, 0) < sum(part.length_ns for part in stand.covered)
    }
    found.deep = (proved & proofs.proved_ns.keys()) - proofs.counted - evidence.loose
    found.counted = proved - found.deep
    evidence.untold = proofs.untold
    evidence.origins = {origin: len(points & proved) for origin, points in sorted(proofs.origins.items())}
    return evidence


def reason_of(exclusion: Exclusion) -> str:
    """Why a point is not proved, and where."""
    return f"{exclusion.span}: {exclusion.reason}"


@dataclass(slots=True)
class _Proofs:
    """What the proofs that are kept say of each point."""

    proved_ns: dict[str, int] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    origins: dict[str, set[str]] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)

    def take(self, table: pa.Table, only: Collection[str] | None, window: str, found: Recount) -> None:
        """Adds the proofs of one window, and to `found` what source and store hold other than the landing."""
        if only is not None:
            table = table.filter(pc.is_in(table["point"], value_set=pa.array(sorted(only), pa.string())))
        for row in _by_point(table):
            point = row["point"]
            found.source_events += row["source_events"] - row["events"]
            found.stored_events += row["stored_events"] - row["events"]
            if row["differs"]:
                found.differs(point, window, row["source_events"], row["events"], row["stored_events"])
            self.proved_ns[point] = self.proved_ns.get(point, 0) + row["proved_ns"]
            if row["counted"]:
                self.counted.add(point)
            if row["untold"]:
                self.untold.add(point)
            for origin in row["origins"]:
                self.origins.setdefault(origin, set()).add(point)


def _by_point(table: pa.Table) -> Iterable[dict[str, Any]]:
    """One row a point: events of the three sides, proved time, kinds of proof. What the source did not tell is none
    of its events; what the store was not asked about is as landed."""
    landed, proved = table["events"], pc.not_equal(table["proof"], "none")
    source, stored = pc.coalesce(table["source_events"], 0), pc.coalesce(table["stored_events"], landed)
    told = pc.coalesce(table["source_events"], landed)
    columns = {
        "point": table["point"],
        "source_events": source,
        "events": landed,
        "stored_events": stored,
        "proved_ns": pc.if_else(proved, pc.subtract(table["end_ns"], table["start_ns"]), 0),
        "counted": pc.equal(table["proof"], "counted"),
        "differs": pc.or_(pc.not_equal(told, landed), pc.not_equal(stored, landed)),
        "untold": pc.is_null(table["source_events"]),
        "origins": table["origin"],
    }
    sums = ["source_events", "events", "stored_events", "proved_ns"]
    summed = (
        pa.table(columns)
        .group_by("point", use_threads=False)
        .aggregate(
            [
                *((name, "sum") for name in sums),
                *((name, "any") for name in ("counted", "differs", "untold")),
                ("origins", "distinct"),
            ]
        )
    )
    names = ["point", *sums, "counted", "differs", "untold", "origins"]
    return (dict(zip(names, row.values(), strict=True)) for row in summed.to_pylist())


def _name_unproved(scope: Scope, stands: Sequence[Standing], found: Recount) -> None:
    for stand in stands:
        for each in stand.exclusions:
            found.unproved[each.point] = reason_of(each)
        if stand.gaps:
            more = f" and {len(stand.gaps) - 1} more gaps" if len(stand.gaps) > 1 else ""
            for point in scope.points[stand.group]:
                found.unproved.setdefault(point, f"{stand.gaps[0]}{more} is not covered; ferry backfill fills it")
