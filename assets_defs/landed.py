"""What is landed of a source, as marts, exports and the report read it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from assets_defs.line import Line
from pipelines.landing import Piece
from pipelines.ledger import current
from pipelines.marts import Landed
from pipelines.plant import SourceSettings
from pipelines.ports import SliceRecord
from pipelines.timeline import DAY_NS, Interval

EVENTS_AT_ONCE = 1_000_000
"""Small groups of a window are worked on together, as long as they hold no more events than this."""
REACH_NS = 31 * DAY_NS
"""How far outside a window its nearest event is looked for, in what is landed."""
Pair = tuple[str, Interval]


def pieces(line: Line, settings: SourceSettings, group: str, span: Interval) -> list[Piece]:
    """The landed files that count over the span, in time order."""
    return _pieces(line, settings, line.ledger.history(settings.name, group, span), span)


def around(line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval) -> dict[str, Landed]:
    """What is landed in the window and around it, by group."""
    reach = Interval(window.start_ns - REACH_NS, window.end_ns + REACH_NS)
    spans = (window, Interval(reach.start_ns, window.start_ns), Interval(window.end_ns, reach.end_ns))
    points = line.by_group(settings)
    history = history_of(line, settings, groups, reach)
    return {
        group: Landed(points[group], *(_pieces(line, settings, history[group], span) for span in spans))
        for group in groups
    }


def inside(line: Line, settings: SourceSettings, groups: Sequence[str], span: Interval) -> dict[str, Landed]:
    """What is landed in the span, by group."""
    points = line.by_group(settings)
    history = history_of(line, settings, groups, span)
    return {group: Landed(points[group], _pieces(line, settings, history[group], span)) for group in groups}


def together(line: Line, settings: SourceSettings, pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Pairs of one window after another, cut into what is worked on at once."""
    for window, each in itertools.groupby(pairs, key=lambda pair: pair[1]):
        groups = [group for group, _ in each]
        history = history_of(line, settings, groups, window)
        some: list[Pair] = []
        held = 0
        for group in groups:
            events = sum(piece.record.events for piece in current(history[group], window))
            if some and held + events > EVENTS_AT_ONCE:
                yield some
                some, held = [], 0
            some.append((group, window))
            held += events
        yield some


def history_of(
    line: Line, settings: SourceSettings, groups: Iterable[str], span: Interval
) -> dict[str, list[SliceRecord]]:
    """The slices of the span as the ledger has them, by group; also of groups without one."""
    history: dict[str, list[SliceRecord]] = {group: [] for group in groups}
    one = next(iter(history)) if len(history) == 1 else None
    for record in line.ledger.history(settings.name, one, span):
        if record.slice.group in history:
            history[record.slice.group].append(record)
    return history


def _pieces(line: Line, settings: SourceSettings, history: Iterable[SliceRecord], span: Interval) -> list[Piece]:
    return [
        Piece(line.landing.path(each.record.slice, _window_of(line, settings, each.span), each.record.generation),
              each.span)
        for each in current(history, span)
    ]  # fmt: skip


def _window_of(line: Line, settings: SourceSettings, span: Interval) -> Interval:
    return line.windows(settings, Interval(span.start_ns, span.start_ns + 1))[0]
