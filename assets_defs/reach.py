"""How far the coverage of a source reaches: what checks and the report look at."""

from __future__ import annotations

from assets_defs.line import Line
from pipelines.ledger import COUNTS
from pipelines.plant import SourceSettings
from pipelines.points import point_name
from pipelines.sync import WHOLE_STORE
from pipelines.timeline import Interval, clip, iso, merge, missing


def asked_reach(line: Line, settings: SourceSettings) -> Interval | None:
    """What the plant file asks for and is final by now; of PLCs from where sync's part begins: nobody read them before,
    so nothing is missing there."""
    reach, handover_ns = line.wanted(settings), line.ledger.handover(settings.name)
    if reach is None or not settings.connection or handover_ns is None:
        return reach
    return Interval(min(max(reach.start_ns, handover_ns), reach.end_ns - 1), reach.end_ns)


def covered_reach(line: Line, settings: SourceSettings) -> Interval | None:
    """From the first to the last instant that any group has covered."""
    covered = [part for group in line.groups(settings) for part in line.ledger.coverage(settings.name, group)]
    if not covered:
        return None
    return Interval(min(part.start_ns for part in covered), max(part.end_ns for part in covered))


def moved_reach(line: Line, settings: SourceSettings) -> Interval | None:
    """From the first to the last instant of which anything was ever moved, proved or not."""
    final = line.wanted(settings)
    if final is None:
        return None
    history = line.ledger.history(settings.name, None, final)
    moved = [each for record in history if record.state in COUNTS and (each := record.slice.span.intersect(final))]
    return Interval(min(each.start_ns for each in moved), max(each.end_ns for each in moved)) if moved else None


def holes(line: Line, settings: SourceSettings) -> list[Interval]:
    """What no group's coverage fills before sync's handover: sync goes on from there, so nobody but a backfill fills
    it. Empty where nobody follows the source, and for PLCs, which nobody read before."""
    handover_ns = line.ledger.handover(settings.name)
    if handover_ns is None or handover_ns <= settings.start or settings.connection or not line.followed_to(settings):
        return []
    before = Interval(settings.start, handover_ns)
    return merge(
        gap for group in line.groups(settings) for gap in missing(before, line.ledger.coverage(settings.name, group))
    )


def filling(settings: SourceSettings, span: Interval) -> str:
    """The command that moves a span."""
    return f"ferry backfill --source {settings.name} --start {iso(span.start_ns)} --end {iso(span.end_ns)}"


def newest_window(line: Line, settings: SourceSettings) -> Interval | None:
    """The newest window in which every group is covered, as far as it is."""
    reach = covered_reach(line, settings)
    if reach is None:
        return None
    for window in reversed(line.windows(settings, reach)):
        parts = [clip(line.ledger.coverage(settings.name, group), window) for group in line.groups(settings)]
        if all(parts):
            start_ns, end_ns = max(p[0].start_ns for p in parts), min(p[-1].end_ns for p in parts)
            if start_ns < end_ns:
                return Interval(start_ns, end_ns)
    return None


def never_moved(line: Line, settings: SourceSettings) -> tuple[int, list[str]]:
    """Points of which the newest sweep found events in IoTDB that nobody has moved: how many, and the first names."""
    for look in reversed(line.ledger.looks(settings.name, WHOLE_STORE, "store")):
        if not look.group:
            return look.differing, [point_name(point) for point in look.points]
    return 0, []
