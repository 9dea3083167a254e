"""What is landed of a source, as marts, exports and the report read it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

from assets_defs.line import Line
from pipelines.landing import DamagedLanding, Piece
from pipelines.ledger import Current, current
from pipelines.marts import Landed
from pipelines.plant import SourceSettings
from pipelines.ports import SliceRecord
from pipelines.timeline import DAY_NS, Interval

EVENTS_AT_ONCE = 1_000_000
BYTES_AT_ONCE = 32 << 20
"""Small groups of a window are worked on together, as long as they hold no more events and bytes than this."""
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
        held = held_bytes = 0
        for group in groups:
            counted = current(history[group], window)
            events, size = sum(piece.record.events for piece in counted), _text_bytes(line, settings, counted)
            if some and (held + events > EVENTS_AT_ONCE or held_bytes + size > BYTES_AT_ONCE):
                yield some
                some, held, held_bytes = [], 0, 0
            some.append((group, window))
            held += events
            held_bytes += size
        yield some


def _text_bytes(line: Line, settings: SourceSettings, pieces: Iterable[Current]) -> int:
    """What the texts of landed files take in memory: as their manifests say, or about the size of an older file."""
    size = 0
    for each in pieces:
        with contextlib.suppress(DamagedLanding):  # whoever reads it says so
            manifest = line.landing.manifest(
                each.record.slice, _window_of(line, settings, each.span), each.record.generation
            )
            size += manifest.text_bytes or manifest.bytes
    return size


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
