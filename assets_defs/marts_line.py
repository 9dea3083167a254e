"""Marts, exports and the report of one plant's line: which landed files they read, and where they go."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets_defs.line import Line
from pipelines import marts
from pipelines.landing import Piece
from pipelines.ledger import Current, current
from pipelines.marts.files import appearing, mart_path
from pipelines.marts.report import ReportContext, render_report
from pipelines.plant import SourceSettings
from pipelines.points import Point
from pipelines.ports import SliceRecord
from pipelines.timeline import DAY_NS, Interval, days

MEMORY_BYTES = 384 << 20
_NEEDED = ("aggregates", "quality")
"""The marts that a report is made from."""
_REACH_NS = 31 * DAY_NS
"""How far outside a window its nearest event is looked for, in what is landed."""


@dataclass(frozen=True, slots=True)
class MartResult:
    """What one mart of one (group, window) holds now."""

    group: str
    window: Interval
    rows: dict[str, int]
    seconds: float


def unmade(line: Line, settings: SourceSettings, span: Interval) -> list[tuple[str, Interval]]:
    """The (group, window) pairs of the span that hold something of which the marts were never made, or that has
    changed since: pulled again, settled, or with other points."""
    groups = line.by_group(settings)
    history: dict[str, list[SliceRecord]] = {group: [] for group in groups}
    for record in line.ledger.history(settings.name, None, span):
        history.setdefault(record.slice.group, []).append(record)
    return [
        (group, window)
        for window in line.windows(settings, span)
        for group, points in groups.items()
        if (counting := current(history[group], window))
        and _made_from(line, settings, group, window) != _origin(points, counting)
    ]


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

    return _made("aggregates", build, line, settings, group, window)


def make_quality(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    """Quality figures of a pair, Parquet."""
    return _made("quality", marts.build_quality, line, settings, group, window)


def make_clocks(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    """The audit of the clocks of a pair, Parquet."""
    return _made("clocks", marts.build_clocks, line, settings, group, window)


def write_exports(
    line: Line,
    settings: SourceSettings,
    span: Interval,
    globs: Sequence[str] = ("*",),
    destination: Path | None = None,
    groups: Sequence[str] | None = None,
    nanoseconds: bool = False,
) -> marts.ExportResult:
    """Parquet of the events, whole UTC days, and of what aggregates are made of them.

    Raises Stop when the destination is not ours, NoRoom.
    """
    whole = days(span)
    reach = Interval(whole[0].start_ns, whole[-1].end_ns)
    return marts.export(
        marts.ExportInput(
            points=line.catalogue(settings),
            pieces={group: pieces(line, settings, group, reach) for group in groups or line.groups(settings)},
            span=reach,
            destination=destination or line.plant.exports_dir,
            source=settings.name,
            memory_bytes=MEMORY_BYTES,
            select=tuple(globs),
            marts=line.plant.state_dir / "marts",
            windows=line.windows(settings, reach),
            nanoseconds=nanoseconds,
        )
    )


def write_report(line: Line, settings: SourceSettings, span: Interval, destination: Path | None = None) -> Path:
    """The quality report of the span, one HTML file; those made before are kept in a folder beside it."""
    target = destination or line.plant.state_dir / "reports" / f"{settings.name}.html"
    ahead = Interval(span.start_ns - _REACH_NS, span.start_ns)
    context = ReportContext(
        source=settings.name,
        span=span,
        evidence=line.evidence(settings, span),
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
    name: str,
    build: Callable[[marts.MartInput], dict[str, marts.MartFile]],
    line: Line,
    settings: SourceSettings,
    group: str,
    window: Interval,
) -> MartResult:
    began = time.monotonic()
    given = _input(line, settings, group, window)
    counting = current(line.ledger.history(settings.name, group, window), window)
    made = build(given)
    _remember(line, settings, group, window, name, _origin(given.points, counting))
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


def _origin(points: Iterable[Point], counting: Iterable[Current]) -> str:
    """What marts are made from, as a digest: the points by id and name, and the generations where they count."""
    told = [
        sorted((point.id, point.name) for point in points),
        [(each.record.generation, each.span.start_ns, each.span.end_ns) for each in counting],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _made_from(line: Line, settings: SourceSettings, group: str, window: Interval) -> str | None:
    """What aggregates and quality of a pair were made from; None where one is missing, or both are not of the same."""
    out = line.plant.state_dir / "marts"
    files = (mart_path(out, mart, settings.name, window, group) for mart in ("aggregates/interval=1h", "quality"))
    if not all(file.exists() for file in files):
        return None
    found = {_noted(_note_path(line, settings, group, window, mart)) for mart in _NEEDED}
    return found.pop() if len(found) == 1 else None


def _note_path(line: Line, settings: SourceSettings, group: str, window: Interval, mart: str) -> Path:
    """Beside the marts, not among them: readers open their folders whole."""
    return mart_path(line.plant.state_dir / "marts" / "made", mart, settings.name, window, group).with_suffix(".txt")


def _noted(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None


def _remember(line: Line, settings: SourceSettings, group: str, window: Interval, mart: str, origin: str) -> None:
    with appearing(_note_path(line, settings, group, window, mart)) as part:
        part.write_text(origin, encoding="ascii")


def _window_of(line: Line, settings: SourceSettings, span: Interval) -> Interval:
    return line.windows(settings, Interval(span.start_ns, span.start_ns + 1))[0]
