"""Proving a slice: what should be stored against what is, and what was landed against what the source says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines import reconcile
from pipelines.landing import Manifest
from pipelines.ports import PROOF_SCHEMA, SliceId, SourceTally, Store
from pipelines.reconcile import Drift, Row
from pipelines.transfer.reading_back import counted_stored, deep_stored

_FEW = 20_000
"""So many events are read back as cheaply as they are counted: two questions to the store instead of six."""


@dataclass(frozen=True, slots=True)
class Look:
    """Tallies of what should be stored and of what is; `deep` points were read back event by event."""

    landed: Mapping[str, Row]
    stored: Mapping[str, Row]
    deep: frozenset[str]
    torn: tuple[Drift, ...]
    """Points in which the store differs from the landing."""
    asked: bool = True
    """Whether the store was asked at all."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Points that it could not give back, and why."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What verification found for the points of a slice; `suspects` should be asked for once more."""

    proofs: pa.Table
    unproved: dict[str, str]
    suspects: frozenset[str]


def look(
    store: Store, slice_id: SliceId, stored: pa.Table, whole: Sequence[str], deep_share: float, deep: Collection[str]
) -> Look:
    """Asks the store about the slice. `stored` is what it should hold of the `whole` points; those of `deep` are read
    back event by event, and those that counting cannot prove; all of them where there are few events."""
    landed = reconcile.landed_rows(stored)
    salt = f"{slice_id.source}/{slice_id.group}/{slice_id.span.start_ns}"
    wanted = (reconcile.needs_deep(landed, deep_share, salt) | set(deep)) & set(whole)
    if len(stored) <= _FEW:
        wanted = set(whole)
    counted = [point for point in whole if point not in wanted]
    found, uncounted = counted_stored(store, slice_id.source, counted, slice_id.span)
    read, unread = deep_stored(store, slice_id.source, wanted, slice_id.span)
    found, unread = found | read, unread | uncounted
    torn = reconcile.against_store(landed, found, [point for point in whole if point not in unread])
    return Look(landed, found, frozenset(wanted), tuple(torn), unread=unread)


def only_landed(events: pa.Table) -> Look:
    """The landed side alone, where the store has forgotten the span."""
    return Look(reconcile.deep_rows([events]), {}, frozenset(), (), asked=False)


def prove(
    events: pa.Table,
    seen: Look,
    manifest: Manifest,
    said: SourceTally,
    points: Sequence[str],
    standing: Collection[str] = (),
) -> Proven:
    """Proofs of all `points` of the group from one look at the store and what the source said.

    Of points that are `standing`, proved before and as they were, the source need not tell anything any more.
    """
    whole = manifest.points
    drift = reconcile.against_source(seen.landed, events, said, whole)
    failed = {point: why for point, why in said.failed.items() if point not in standing}
    points = [point for point in points if point in failed or point not in standing]
    unproved = {**manifest.failed, **failed, **seen.unread}
    for each in seen.torn:
        unproved[each.point] = f"the store holds {each.stored} of {each.landed} events ({each.what} differs)"
    for each in drift:
        unproved[each.point] = (
            f"the source counts {each.source} events, {each.landed} were landed ({each.what} differs)"
        )
    told = set(said.table["point"].to_pylist())
    for point in points:
        if point not in told and point not in unproved:
            unproved[point] = "the source gave no count for it"
    table = reconcile.proofs(points, seen.landed, seen.stored, said, set(seen.deep), set(unproved))
    if not seen.asked:
        place = table.schema.get_field_index("stored_events")
        table = table.set_column(place, PROOF_SCHEMA.field(place), pa.nulls(len(table), pa.int64()))
    suspects = {each.point for each in drift} | (failed.keys() & set(whole))
    return Proven(table, unproved, frozenset(suspects))
