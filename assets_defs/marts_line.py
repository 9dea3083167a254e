"""Marts, exports and the report of one plant's line: which landed files they read, and where they go."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets_defs.line import Line
from pipelines import marts
from pipelines.landing import Piece
from pipelines.ledger import current
from pipelines.marts.report import ReportContext, render_report
from pipelines.plant import SourceSettings
from pipelines.timeline import DAY_NS, Interval, days

MEMORY_BYTES = 512 << 20
_REACH_NS = 31 * DAY_NS
"""How far outside a window its nearest event is looked for, in what is landed."""


@dataclass(frozen=True, slots=True)
class MartResult:
    """What one mart of one (group, window) holds now."""

    group: str
    window: Interval
    rows: dict[str, int]
    seconds: float


def pieces(line: Line, settings: SourceSettings, group: str, span: Interval) -> list[Piece]:
    """The landed files that count over the span, in time order."""
    history = line.ledger.history(settings.name, group, span)
    return [
        Piece(line.landing.path(each.record.slice, _window_of(line, settings, each.span), each.record.generation),
              each.span)
        for each in current(history, span)
    ]  # fmt: skip


def make_aggregates(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    """Aggregates of a pair: Parquet beside the exports, and tables in IoTDB."""

    def build(given: marts.MartInput) -> dict[str, marts.MartFile]:
        made = marts.build_aggregates(given)
        ids = [point.id for point in given.points]
        for interval, file in made.items():
            line.store.write_aggregates(settings.name, interval, marts.for_store(file.path), window, ids)
        return made

    return _made(build, line, settings, group, window)


def make_quality(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    """Quality figures of a pair, Parquet."""
    return _made(marts.build_quality, line, settings, group, window)


def make_clocks(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    """The audit of the clocks of a pair, Parquet."""
    return _made(marts.build_clocks, line, settings, group, window)


def write_exports(
    line: Line,
    settings: SourceSettings,
    span: Interval,
    globs: Sequence[str] = ("*",),
    destination: Path | None = None,
    groups: Sequence[str] | None = None,
) -> marts.ExportResult:
    """Hive-style Parquet of the events, whole UTC days. Raises Stop when the destination is not ours, NoRoom."""
    whole = days(span)
    reach = Interval(whole[0].start_ns, whole[-1].end_ns)
    landed = {group: pieces(line, settings, group, reach) for group in groups or line.groups(settings)}
    points = line.catalogue(settings)
    target = destination or line.plant.exports_dir
    return marts.export(points, landed, reach, target, settings.name, MEMORY_BYTES, tuple(globs))


def write_report(line: Line, settings: SourceSettings, span: Interval, destination: Path | None = None) -> Path:
    """The quality report of the span, one HTML file; those made before are kept in a folder beside it."""
    target = destination or line.plant.state_dir / "reports" / f"{settings.name}.html"
    ahead = Interval(span.start_ns - _REACH_NS, span.start_ns)
    context = ReportContext(
        source=settings.name,
        span=span,
        proofs=line.ledger.proofs(settings.name, span),
        exclusions=line.ledger.exclusions(settings.name, None, span),
        points=line.catalogue(settings),
        marts=line.plant.state_dir / "marts",
        pieces=[piece for group in line.groups(settings) for piece in pieces(line, settings, group, span)],
        before=[
            piece
            for group in line.groups(settings)
            if span.start_ns % DAY_NS
            for piece in pieces(line, settings, group, ahead)
        ],
        generated_at=dt.datetime.now(dt.UTC),
        plant=line.plant.plant.name,
        zone=line.plant.plant.time_zone,
        memory_bytes=MEMORY_BYTES,
    )
    render_report(context, target)
    return target


def _made(
    build: Callable[[marts.MartInput], dict[str, marts.MartFile]],
    line: Line,
    settings: SourceSettings,
    group: str,
    window: Interval,
) -> MartResult:
    began = time.monotonic()
    made = build(_input(line, settings, group, window))
    return MartResult(group, window, {name: file.rows for name, file in made.items()}, time.monotonic() - began)


def _input(line: Line, settings: SourceSettings, group: str, window: Interval) -> marts.MartInput:
    """What is landed in the window and around it."""
    return marts.MartInput(
        points=line.by_group(settings)[group],
        pieces=pieces(line, settings, group, window),
        window=window,
        out=line.plant.state_dir / "marts",
        memory_bytes=MEMORY_BYTES,
        source=settings.name,
        group=group,
        before=pieces(line, settings, group, Interval(window.start_ns - _REACH_NS, window.start_ns)),
        after=pieces(line, settings, group, Interval(window.end_ns, window.end_ns + _REACH_NS)),
    )


def _window_of(line: Line, settings: SourceSettings, span: Interval) -> Interval:
    return line.windows(settings, Interval(span.start_ns, span.start_ns + 1))[0]
