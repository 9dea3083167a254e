"""How far the coverage of a source reaches: what checks and the report look at."""

from __future__ import annotations

from assets_defs.line import Line
from pipelines.plant import SourceSettings
from pipelines.timeline import Interval, clip


def covered_reach(line: Line, settings: SourceSettings) -> Interval | None:
    """From the first to the last instant that any group has covered."""
    covered = [part for group in line.groups(settings) for part in line.ledger.coverage(settings.name, group)]
    if not covered:
        return None
    return Interval(min(part.start_ns for part in covered), max(part.end_ns for part in covered))


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
