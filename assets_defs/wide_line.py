"""Wide tables of one plant's line: which landed files they read, and where what is landed counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets_defs.landed import REACH_NS, pieces
from assets_defs.line import Line
from assets_defs.marts_line import MEMORY_BYTES
from pipelines import marts
from pipelines.plant import SourceSettings
from pipelines.points import selected
from pipelines.timeline import Interval, merge, subtract
from resources.modes import open_exports


@dataclass(frozen=True, slots=True)
class Resampling:
    """How a wide table is resampled and written; no tolerance is no limit."""

    every_ns: int
    rule: marts.Rule
    tolerance_ns: int | None = None
    csv: bool = False


def write_wide(
    line: Line,
    settings: SourceSettings,
    span: Interval,
    globs: Sequence[str],
    resampling: Resampling,
    destination: Path | None = None,
) -> marts.WideResult:
    """A table of the points that match, one column each. Raises Stop, DamagedLanding, NoRoom."""
    chosen = selected(line.catalogue(settings), globs)
    sides = (
        span, Interval(span.start_ns - REACH_NS, span.start_ns), Interval(span.end_ns, span.end_ns + REACH_NS),
    )  # fmt: skip
    inside, before, after, covered = [], [], [], {}
    for group, points in line.by_group(settings, chosen).items():
        if points:
            landed = [pieces(line, settings, group, side) for side in sides]
            inside += landed[0]
            before += landed[1]
            after += landed[2]
            counting = merge(piece.span for found in landed for piece in found)
            reach = Interval(sides[1].start_ns, sides[2].end_ns)
            excepted = line.ledger.exclusions(settings.name, group, reach)
            for point in points:
                holes = [each.span for each in excepted if each.point == point.id]
                covered[point.id] = subtract(counting, holes)
    into = destination or line.plant.exports_dir
    done = marts.write_wide(
        marts.WideInput(
            points=chosen, pieces=inside, before=before, after=after, covered=covered, span=span,
            destination=into, source=settings.name, select=tuple(globs),
            memory_bytes=MEMORY_BYTES, every_ns=resampling.every_ns, rule=resampling.rule,
            tolerance_ns=resampling.tolerance_ns, csv=resampling.csv,
        )
    )  # fmt: skip
    open_exports(line.plant, into, [*into.rglob("*.parquet"), *into.rglob("*.csv")])
    return done
