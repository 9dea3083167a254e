"""What real Historians hold and naive clients lose, laid over a day of plain rows.

Quality numbers: facts/historians.md 2.5. Shares are small on ordinary tags and large on those with a role.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulators.wonderware.events import (
    BAD,
    DAY_NS,
    DOUBTFUL,
    GOOD,
    HOUR_NS,
    NO_OPC,
    QD_EDITED,
    Bools,
    Events,
    Int64s,
    Version,
    joined,
)
from simulators.wonderware.specs import Spec

# QualityDetail, OPCQuality of rows without a value
_NULLS = ((24, 24), (24, 0), (249, 0), (10, 8), (10, 24), (1, 0), (0, 0), (0, 12), (64, 4), (17, 0), (33, NO_OPC))
_GOODS = ((44, 192), (150, 192), (151, 192), (252, 192), (212, 192), (202, 192), (192, 216), (202, 217), (192, 448))
_UNCERTAIN = (64, 65, 68, 71, 72, 80, 84, 88, 91)
_FLAGS = (0x100, 0x200, 0x400, 0x300)
_SHARES = {"trouble": 0.08, "nulls": 0.05, "uncertain": 0.02, "no opc": 0.02}


def with_oddities(spec: Spec, events: Events, draw: np.random.Generator, day: int) -> Events:
    """The day's rows with what this tag shows laid over them; `events` is used up."""
    if not len(events) or spec.role == "heartbeat":
        return events
    share = _SHARES.get(spec.role, 0.000_8)
    _borders(spec, events, draw, day)
    _extremes(spec, events, draw)
    _repeats(events, draw, 0.3 if spec.role == "repeat" else 0.02)
    _replicated(spec, events, draw)
    _goods(events, draw, share)
    _uncertain(events, draw, 0.3 if spec.role == "uncertain" else share)
    _nulls(events, draw, share)
    _bad_with_value(events, draw, share / 2)
    _flags(events, draw, share)
    if spec.role in ("no opc", "trouble"):
        events.opc[draw.random(len(events)) < (0.5 if spec.role == "no opc" else 0.05)] = NO_OPC
    _ties(events, draw, 0.02 if spec.role == "trouble" else 0.000_7)
    if spec.role == "ties":
        events = _many_ties(spec, events, draw, day)
    return _edited(spec, events, draw, 0.05 if spec.role == "edited" else 0.000_5)


def begun(spec: Spec, events: Events, start_ns: int) -> Events:
    """The first day of a tag: every second one begins with storage startup at block start (facts 2.4, HIST/72348)."""
    if spec.number % 2 or not len(events):
        return events
    first = events.take(np.flatnonzero(events.valid)[:1])
    first.times[:], first.quality[:] = start_ns, GOOD
    first.detail[:], first.opc[:], first.versions[:] = 150, 192, int(Version.BOTH)
    return joined([first, events.take(events.times > start_ns)])


def _some(draw: np.random.Generator, events: Events, share: float, least: float = 0.05) -> Int64s:
    """Places of about `share` of the rows."""
    return draw.integers(0, len(events), int(draw.poisson(len(events) * share + least)))


def _borders(spec: Spec, events: Events, draw: np.random.Generator, day: int) -> None:
    """Rows exactly at midnight, at full hours, and on the last step of the day."""
    times, midnight = events.times, day * DAY_NS
    edges = spec.role == "edges"
    if edges or spec.number % 4 == 0:
        times[0] = midnight
    if edges or (spec.number % 6 == 0 and len(times) > 1):
        times[-1] = midnight + DAY_NS - spec.step_ns
    for hour in range(1, 24) if edges else draw.integers(1, 24, 2 * (spec.number % 3 == 0)):
        place = int(np.searchsorted(times, midnight + hour * HOUR_NS))
        if place < len(times) - 1:
            times[place] = midnight + hour * HOUR_NS


def _extremes(spec: Spec, events: Events, draw: np.random.Generator) -> None:
    """Numbers that only a whole double holds."""
    if spec.role != "big":
        return
    odd = (2.0**53, 2.0**53 - 1, -(2.0**53), 1e300, -1e300, 5e-324, 0.1 + 0.2, 1e15, 123_456_789_012.5, 1e-7, 0.0)
    places = draw.integers(0, len(events), len(events) // 2)
    events.numbers[places] = np.asarray(odd)[draw.integers(0, len(odd), len(places))]


def _repeats(events: Events, draw: np.random.Generator, share: float) -> None:
    """Rows equal to the one before: Full keeps them, Delta drops them (facts 2.3)."""
    places = np.unique(_some(draw, events, share))
    places = places[places > 0]
    events.numbers[places] = events.numbers[places - 1]
    events.texts[places] = events.texts[places - 1]


def _replicated(spec: Spec, events: Events, draw: np.random.Generator) -> None:
    """Replicated tags may show QualityDetail 202 on rows that nobody edited (facts 2.9)."""
    if spec.role == "replica":
        events.detail[_some(draw, events, 0.03)] = QD_EDITED


def _goods(events: Events, draw: np.random.Generator, share: float) -> None:
    places = _some(draw, events, share)
    detail, opc = np.asarray(_GOODS, dtype=np.int32)[draw.integers(0, len(_GOODS), len(places))].T
    events.detail[places], events.opc[places] = detail, opc


def _uncertain(events: Events, draw: np.random.Generator, share: float) -> None:
    """Uncertain is stored as Quality 0; only OPCQuality, or QualityDetail too, keep it. A few are Doubtful."""
    places = np.unique(_some(draw, events, share))
    opc = np.asarray(_UNCERTAIN, dtype=np.int32)[draw.integers(0, len(_UNCERTAIN), len(places))]
    events.opc[places] = opc
    events.detail[places] = np.where(draw.random(len(places)) < 0.2, opc, events.detail[places])
    doubtful = places[draw.random(len(places)) < 0.2]
    events.quality[doubtful] = DOUBTFUL
    events.opc[doubtful] = np.where(draw.random(len(doubtful)) < 0.7, 192, events.opc[doubtful])


def _nulls(events: Events, draw: np.random.Generator, share: float) -> None:
    """Runs without a value: one row, or two to four whose QualityDetail changes, such as 249 then 24."""
    for begin in np.unique(_some(draw, events, share / 2)).tolist():
        places = np.arange(begin, min(begin + int(draw.choice((1, 1, 2, 3, 4))), len(events)))
        kinds = draw.integers(0, len(_NULLS), len(places))
        if len(places) > 1 and draw.random() < 0.5:
            kinds[:2] = 2, 0  # 249 then 24, as in OMI/53887
        _void(events, places, kinds)


def _void(events: Events, places: Int64s, kinds: Int64s) -> None:
    detail, opc = np.asarray(_NULLS, dtype=np.int32)[kinds].T
    events.valid[places], events.quality[places] = False, BAD
    events.detail[places], events.opc[places] = detail, opc
    events.numbers[places], events.texts[places] = 0.0, -1


def _bad_with_value(events: Events, draw: np.random.Generator, share: float) -> None:
    places = _some(draw, events, share)
    places = places[events.valid[places]]
    detail, opc = np.asarray(_NULLS[:8], dtype=np.int32)[draw.integers(0, 8, len(places))].T
    events.quality[places], events.detail[places], events.opc[places] = BAD, detail, opc


def _flags(events: Events, draw: np.random.Generator, share: float) -> None:
    """0x100, 0x200 and 0x400 over the base (facts 2.5)."""
    places = _some(draw, events, share)
    events.detail[places] |= np.asarray(_FLAGS, dtype=np.int32)[draw.integers(0, len(_FLAGS), len(places))]


def _ties(events: Events, draw: np.random.Generator, share: float) -> None:
    """Some rows at the stamp of the one before, half of them its equal in every column."""
    for place in np.unique(_some(draw, events, share)).tolist():
        if 0 < place < len(events) - 1:
            events.times[place] = events.times[place - 1]
            if draw.random() < 0.5:
                for column in (events.numbers, events.texts, events.valid, events.quality, events.detail, events.opc):
                    column[place] = column[place - 1]


def _many_ties(spec: Spec, events: Events, draw: np.random.Generator, day: int) -> Events:
    """Three to twelve rows at midnight, at noon, on the day's last step and somewhere; some of them equal."""
    stamps = (0, DAY_NS // 2, DAY_NS - spec.step_ns, int(draw.integers(0, DAY_NS // spec.step_ns)) * spec.step_ns)
    times = np.repeat(np.asarray(stamps) + day * DAY_NS, draw.integers(3, 13, len(stamps)))
    many = events.take(draw.integers(0, len(events), len(times)))
    many.times[:] = times
    same = np.flatnonzero(draw.random(len(times)) < 0.4)
    same = same[same > 0]
    for column in (many.numbers, many.texts, many.valid, many.quality, many.detail, many.opc):
        column[same] = column[same - 1]
    both = joined([events, many])
    return both.take(np.argsort(both.times, kind="stable"))


def _edited(spec: Spec, events: Events, draw: np.random.Generator, share: float) -> Events:
    """Rows that somebody changed, inserted late or took away: what Original and Latest differ in (facts 2.9)."""
    places = np.unique(_some(draw, events, share, 0.02))
    places = places[events.valid[places] & (events.quality[places] == GOOD)]
    if not len(places):
        return events
    fate = draw.random(len(places))
    lost, late, changed = places[fate < 0.1], places[(fate >= 0.1) & (fate < 0.3)], places[fate >= 0.3]
    events.versions[lost] = int(Version.ORIGINAL)
    events.versions[late] = int(Version.LATEST)
    events.versions[changed] = int(Version.ORIGINAL)
    newer = moved(spec, events.take(changed))
    events.detail[late], events.opc[late] = QD_EDITED, 192
    order = np.argsort(np.concatenate([np.arange(len(events)), changed]), kind="stable")
    return joined([events, newer]).take(order)


def moved(spec: Spec, events: Events) -> Events:
    """The Latest rows that an edit puts in the place of these: another value, QualityDetail 202."""
    rows = len(events)
    numbers = np.where(events.valid, events.numbers, 0.0)
    if spec.kind == "discrete":
        numbers = 1.0 - numbers
    elif spec.kind == "analog":
        numbers = numbers + np.where(np.abs(numbers) < 1e12, 1.0, -np.abs(numbers) / 2)
    texts, names = events.texts, events.names
    if spec.kind == "string":
        old = [names[place] if place >= 0 else "" for place in texts.tolist()]
        names = names + tuple(f"{text[:900]} (corrected)" for text in old)
        texts = np.arange(len(names) - rows, len(names), dtype=np.int32)
    return replace(
        events,
        numbers=np.asarray(numbers),
        texts=texts,
        names=names,
        valid=_full(rows, True),
        quality=np.full(rows, GOOD, dtype=np.uint8),
        detail=np.full(rows, QD_EDITED, dtype=np.int32),
        opc=np.full(rows, 192, dtype=np.int32),
        versions=np.full(rows, int(Version.LATEST), dtype=np.uint8),
    )


def _full(rows: int, value: bool) -> Bools:
    return np.full(rows, value, dtype=np.bool_)
