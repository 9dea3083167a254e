"""Where point groups stand over a span: what is covered, and how many events of it are proved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.landing import DamagedLanding, Landing
from pipelines.ledger import FORGOTTEN, Current, current, is_open, quarantined
from pipelines.ports import Exclusion, LedgerStore, SliceRecord
from pipelines.timeline import Interval, clip, merge, missing, subtract


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked about: points of a source (ids by group) over a span.

    `whole`: whether these are all points of the groups that are named. `open_from_ns`: by group, from when on what is
    not covered yet is just new; a group that nobody follows has none. `gone`: points that the source no longer has, and
    since when.
    """

    source: str
    span: Interval
    points: Mapping[str, Collection[str]]
    windows: Sequence[Interval]
    whole: bool = True
    open_from_ns: Mapping[str, int] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def only(self) -> str | None:
        """The one group that is asked about, None for several."""
        return next(iter(self.points)) if len(self.points) == 1 else None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one group stands over a span, in events and in time.

    `moved`: what was ever moved, in `slices` generations that count. `open`: its newest end, which is yet to be moved
    and not late. `gaps`: what else is not covered. `landed_events` are
    of all generations that count, `covered_events` of those whose time is covered, `proved_events` of these without
    the points that are excepted there; `followed_events` are proved by passes, whose proofs are kept point by point
    once they settle. `forgotten_events` are covered, and IoTDB keeps them no more.
    """

    group: str
    wanted: Interval
    points: int
    slices: int
    moved: tuple[Interval, ...]
    covered: tuple[Interval, ...]
    open: tuple[Interval, ...]
    gaps: tuple[Interval, ...]
    quarantined: tuple[Interval, ...]
    exclusions: tuple[Exclusion, ...]
    landed_events: int
    covered_events: int
    proved_events: int
    followed_events: int
    forgotten_events: int
    rounded_events: int
    damaged: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Covered part of the wanted time that is not open, 0 to 1."""
        due_ns = self.wanted.length_ns - sum(part.length_ns for part in self.open)
        return sum(part.length_ns for part in self.covered) / due_ns if due_ns else 1.0

    @property
    def withdrawn(self) -> list[Interval]:
        """What was proved once and is not now."""
        return subtract(self.moved, self.covered)

    @property
    def watermark_ns(self) -> int:
        """End of the contiguous coverage from the start of the span."""
        first = self.covered[0] if self.covered else None
        return first.end_ns if first and first.start_ns == self.wanted.start_ns else self.wanted.start_ns


def standings(ledger: LedgerStore, landing: Landing, scope: Scope) -> list[Standing]:
    """Where every group of the scope stands. Asks the ledger, and the landing where something cuts a generation."""
    history: dict[str, list[SliceRecord]] = {group: [] for group in scope.points}
    for record in ledger.history(scope.source, scope.only, scope.span):
        history.setdefault(record.slice.group, []).append(record)
    exclusions: dict[str, list[Exclusion]] = {}
    for each in ledger.exclusions(scope.source, scope.only, scope.span):
        if scope.whole or each.point in scope.points.get(each.group, ()):
            exclusions.setdefault(each.group, []).append(each)
    expired = ledger.expired(scope.source)
    found = []
    for group in scope.points:
        coverage = ledger.coverage(scope.source, group)
        count = _Count(landing, scope, group, clip(coverage, scope.span), exclusions.get(group, []), expired)
        found.append(_standing(scope, group, coverage, history[group], count))
    return found


def _standing(
    scope: Scope, group: str, coverage: Sequence[Interval], history: Sequence[SliceRecord], count: _Count
) -> Standing:
    gaps, open_from_ns = missing(scope.span, coverage), scope.open_from_ns.get(group)
    newest = [gaps.pop()] if is_open(gaps, scope.span, open_from_ns) else []
    pieces = current(history, scope.span)
    for piece in pieces:
        count.take(piece)
    return Standing(
        group=group,
        wanted=scope.span,
        points=len(scope.points[group]),
        slices=len({piece.record.generation for piece in pieces}),
        moved=tuple(merge(piece.span for piece in pieces)),
        covered=tuple(count.spans),
        open=tuple(newest),
        gaps=tuple(gaps),
        quarantined=tuple(quarantined(history, scope.span)),
        exclusions=tuple(count.exclusions),
        landed_events=count.landed,
        covered_events=count.covered,
        proved_events=count.proved,
        followed_events=count.followed,
        forgotten_events=count.forgotten,
        rounded_events=count.rounded,
        damaged=tuple(count.damaged),
    )


class _Count:
    """Adds up the events of one group."""

    def __init__(
        self,
        landing: Landing,
        scope: Scope,
        group: str,
        covered: Sequence[Interval],
        exclusions: Sequence[Exclusion],
        expired: Sequence[Interval],
    ) -> None:
        self._landing, self._scope, self.spans = landing, scope, covered
        self._points = None if scope.whole else frozenset(scope.points[group])
        self.exclusions, self._expired = exclusions, expired
        self.landed = self.covered = self.proved = self.followed = self.forgotten = self.rounded = 0
        self.damaged: list[str] = []

    def take(self, piece: Current) -> None:
        """Adds one generation, as far as it counts."""
        record, parts = piece.record, clip(self.spans, piece.span)
        excepted: dict[Interval, list[str]] = {}
        for each in self.exclusions:
            if each.span.overlaps(piece.span):
                excepted.setdefault(each.span, []).append(each.point)
        expired = clip(self._expired, piece.span)
        if not excepted and self._is_all_alike(piece, parts, expired):
            events = record.events
            forgotten = events if expired or record.note == FORGOTTEN else 0
            self._add(piece, events, events if parts else 0, events if parts else 0, forgotten)
            return
        try:
            points, times = self._read(piece)
        except DamagedLanding as error:  # what the ledger counted was landed; nothing of it is called proved
            self.damaged.append(str(error))
            uncut = piece.span == record.slice.span
            self._add(piece, record.events if uncut else 0, record.events if uncut and parts else 0, 0, 0)
            return
        inside = _within(times, [piece.span])
        if self._points is not None:
            inside &= _among(points, self._points)
        covered = inside & _within(times, parts)
        proved = covered.copy()
        for span, ids in excepted.items():
            proved &= ~(_among(points, ids) & _within(times, [span]))
        gone = covered if record.note == FORGOTTEN else covered & _within(times, expired)
        self._add(piece, *(int(np.count_nonzero(each)) for each in (inside, covered, proved, gone)))

    def _is_all_alike(self, piece: Current, parts: Sequence[Interval], expired: Sequence[Interval]) -> bool:
        """Whether what the ledger says of the generation holds for all of its events."""
        either: tuple[list[Interval], ...] = ([piece.record.slice.span], [])
        alike = piece.span == piece.record.slice.span and parts in either and expired in either
        return alike and (self._points is None or not piece.record.events)

    def _add(self, piece: Current, landed: int, covered: int, proved: int, forgotten: int) -> None:
        self.landed += landed
        self.covered += covered
        self.proved += proved
        self.forgotten += forgotten if covered else 0
        if piece.provisional:
            self.followed += proved
        if covered and piece.span == piece.record.slice.span:
            self.rounded += piece.record.rounded

    def _read(self, piece: Current) -> tuple[pa.ChunkedArray, npt.NDArray[np.int64]]:
        """Points and times (UTC nanoseconds) of a generation, one element an event. Raises DamagedLanding."""
        at_ns = piece.record.slice.span.start_ns
        window = next((each for each in self._scope.windows if each.start_ns <= at_ns < each.end_ns), piece.span)
        table = self._landing.columns(piece.record.slice, window, piece.record.generation, ["point", "time"])
        return table["point"].cast(pa.string()), table["time"].cast(pa.int64()).to_numpy()


def _among(points: pa.ChunkedArray, ids: Collection[str]) -> npt.NDArray[np.bool_]:
    """Which of the events are of these points."""
    found: npt.NDArray[np.bool_] = pc.is_in(points, value_set=pa.array(sorted(ids), pa.string())).to_numpy()
    return found


def _within(times: npt.NDArray[np.int64], spans: Iterable[Interval]) -> npt.NDArray[np.bool_]:
    """Which of the times (UTC nanoseconds) lie in any of the spans."""
    found = np.zeros(len(times), dtype=bool)
    for span in spans:
        found |= (times >= span.start_ns) & (times < span.end_ns)
    return found
