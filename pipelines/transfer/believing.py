"""Whether a newer pull of a slice is believed: what is settled and shrinks much, or changes in most values, is asked
about (design.md, rule 3).

Compared is with what counts now, and with the base: what was first verified after the lateness was over, and after a
person last accepted a loss. Losses of every pass, each of them small, so add up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.landing import DamagedLanding, Landing
from pipelines.ledger import Current, current, first_settled
from pipelines.ports import LedgerStore, SliceId
from pipelines.samples import UNCERTAIN
from pipelines.samples.events import codes_of
from pipelines.timeline import Interval
from pipelines.transfer.generations import changed, joined, of_points, within

_FEW_EVENTS = 10
"""So many may go from an open slice, or change in a settled one, without a doubt: such edits are everyday."""
_EVENTS = "events"
_USABLE = "usable events"

_FEW_POINTS, _FEW_SHARE = 10, 0.1
"""So many points, or such a share of the group, may each be in doubt by themselves."""

Sizes = Mapping[str, tuple[int, int]]
"""Events, and usable ones (not bad), by point."""


class Loss(NamedTuple):
    """What a point had and has now, of `what`: events, usable events (not bad), or values as they were."""

    before: int
    now: int
    what: str

    @property
    def gone(self) -> int:
        return self.before - self.now


class Doubt(NamedTuple):
    """The points of a slice that are not believed, and what was there before; `whole`: so many that no point is."""

    lost: dict[str, Loss]
    before: pa.Table
    whole: bool = False

    def reasons(self, span: Interval) -> dict[str, str]:
        """By point, for the exceptions of the slice."""
        return {
            point: f"the source now shows {loss.now:,} of {loss.before:,} {loss.what} of {span}: not believed, "
            "what was there is kept. If the source is right: ferry restate --accept-loss over this span"
            for point, loss in self.lost.items()
        }


class Base(NamedTuple):
    """What was first settled of a slice: the events that the landing still has, and sizes, also where it has not."""

    events: pa.Table
    sizes: Sizes


def doubted(
    landing: Landing,
    ledger: LedgerStore,
    slice_id: SliceId,
    window: Interval,
    events: pa.Table,
    before: pa.Table,
    points: Collection[str],
    *,
    believe_shrink: float,
    believe_change: float,
) -> dict[str, Loss]:
    """Of a settled slice: the points that lost too much, or changed too much, to be believed without asking."""
    points = changed(of_points(before, points), of_points(events, points), points)
    if not points:
        return {}
    lost = turned(before, events, points, believe_change) | shrunk(before, events, points, believe_shrink)
    history = ledger.since_acceptance(slice_id)
    pieces = first_settled(history, slice_id.span)
    if pieces == current(history, slice_id.span):  # what counts now is what was first settled
        return lost
    base = _base(landing, ledger, window, pieces)
    gone = _smaller(base.sizes, _sizes(events), points, believe_shrink)
    return turned(base.events, events, points, believe_change) | lost | gone


def too_many(lost: Collection[str], before: pa.Table, points: int) -> bool:
    """Whether an archive that is not mounted is more likely than a loss of each of the points: they are more than a few
    of the group's `points`, or all that had events."""
    had = set(pc.unique(before["point"].cast(pa.string())).to_pylist())
    return len(lost) > max(_FEW_POINTS, points * _FEW_SHARE) or had <= set(lost)


def shrunk(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Points that lost more than `share` of their events or of their usable ones, or all of them.

    Usable ones, since a point whose type was changed shows what cannot be coerced as a bad state for each value
    (AVEVA, Data Archive Administration, "Allowable point type coercions").
    """
    return _smaller(_sizes(before), _sizes(now), points, share)


def too_much_gone(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Of an open slice: the points that lost events, when these are too many together to be believed."""
    lost = shrunk(before, now, points, 0.0)
    return lost if sum(loss.gone for loss in lost.values()) > max(_FEW_EVENTS, share * len(before)) else {}


def late_losses(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Of a slice that nobody has asked about since its lateness was over: like of an open one, and points whose events
    are there and none of them usable any more, which a changed type does."""
    was, left = _sizes(before), _sizes(now)
    sizes = [(point, was.get(point, (0, 0))[1], *left.get(point, (0, 0))) for point in points]
    bad = {point: Loss(had, 0, _USABLE) for point, had, there, usable in sizes if had and there and not usable}
    return too_much_gone(before, now, points, share) | bad


def turned(before: pa.Table, now: pa.Table, points: Collection[str], share: float) -> dict[str, Loss]:
    """Points of whose events, as far as they are still there by time, more than `share` and more than a few have
    another value, text, code or quality; or all that have some, where it is so of all events together."""
    events, wanted = _valued(of_points(before, points)), _valued(of_points(now, points))
    there = _rows(events.join(wanted, keys=["point", "time"], join_type="left semi"))
    same = _rows(events.join(wanted, keys=wanted.column_names, join_type="left semi"))
    found = {point: Loss(rows, same.get(point, 0), "values as they were") for point, rows in there.items()}
    other = {point: loss for point, loss in found.items() if loss.gone}
    most = {point: loss for point, loss in other.items() if loss.gone > max(_FEW_EVENTS, share * loss.before)}
    together = sum(loss.gone for loss in other.values()) > max(_FEW_EVENTS, share * len(before))
    return other if together else most


def _base(landing: Landing, ledger: LedgerStore, window: Interval, pieces: Sequence[Current]) -> Base:
    """The events of the pieces; of a file that is gone or damaged, the counts that its proofs kept."""
    parts: list[pa.Table] = []
    counts: dict[str, tuple[int, int]] = {}
    for piece in pieces:
        try:
            parts.append(within(landing.read(piece.record.slice, window, piece.record.generation), piece.span))
        except DamagedLanding:
            for point, size in _counts(ledger, piece).items():
                counts[point] = _added(counts.get(point, (0, 0)), size)
    events = joined(parts)
    for point, size in _sizes(events).items():
        counts[point] = _added(counts.get(point, (0, 0)), size)
    return Base(events, counts)


def _counts(ledger: LedgerStore, piece: Current) -> Sizes:
    """Events and good ones by point; nothing where just a part of the slice counts: proofs tell of all of it."""
    if piece.span != piece.record.slice.span:
        return {}
    proofs = ledger.proofs_of(piece.record)
    sizes = zip(proofs["events"].to_pylist(), proofs["good"].to_pylist(), strict=True)
    return dict(zip(proofs["point"].to_pylist(), sizes, strict=True))


def _added(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    return one[0] + two[0], one[1] + two[1]


def _smaller(was: Sizes, left: Sizes, points: Collection[str], share: float) -> dict[str, Loss]:
    lost: dict[str, Loss] = {}
    for point in points:
        sizes = zip((_EVENTS, _USABLE), was.get(point, (0, 0)), left.get(point, (0, 0)), strict=True)
        for loss in (Loss(had, has, what) for what, had, has in sizes):
            if loss.before and (loss.now == 0 or loss.gone > share * loss.before):
                lost.setdefault(point, loss)
    return lost


def _sizes(events: pa.Table) -> Sizes:
    """Events and usable events by point."""
    codes, ids = codes_of(events)
    usable = np.asarray(events["quality"].combine_chunks()) >= UNCERTAIN
    every, kept = np.bincount(codes, minlength=len(ids)), np.bincount(codes[usable], minlength=len(ids))
    return dict(zip(ids, zip(every.tolist(), kept.tolist(), strict=True), strict=True))


def _valued(events: pa.Table) -> pa.Table:
    """What the events say, in types that a join takes and without nulls, which it never finds equal."""
    values = np.asarray(events["value"].combine_chunks().fill_null(np.nan))
    return pa.table(
        {
            "point": events["point"].cast(pa.string()),
            "time": events["time"].cast(pa.int64()),
            "value": pa.array(np.where(np.isnan(values), np.nan, values).view(np.int64)),
            "number": pc.is_valid(events["value"]),
            "text": pc.fill_null(events["text"], ""),
            "code": pc.fill_null(events["code"], 0),
            "quality": events["quality"],
        }
    )


def _rows(found: pa.Table) -> dict[str, int]:
    counted = found["point"].value_counts()
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
