"""Marts, exports and the report of one plant's line: which landed files they read, and where they go."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets_defs.landed import REACH_NS, Pair, around, history_of, inside, pieces, together
from assets_defs.line import PATIENCE_S, Line
from pipelines import marts
from pipelines.ledger import Current, current
from pipelines.marts.attributes import AttributeExport, export_attributes
from pipelines.marts.files import appearing, mart_path
from pipelines.plant import SourceSettings
from pipelines.points import Point, selected
from pipelines.ports import FerryError, SliceId
from pipelines.timeline import DAY_NS, Interval, days
from resources.modes import open_exports

MEMORY_BYTES = 384 << 20
_NEEDED = ("aggregates", "quality")
"""The marts that a report is made from."""


@dataclass(frozen=True, slots=True)
class MartResult:
    """What one mart of one (group, window) holds now."""

    group: str
    window: Interval
    rows: dict[str, int]
    seconds: float
    """Of those that were made together, an equal share."""


def unmade(line: Line, settings: SourceSettings, span: Interval) -> list[Pair]:
    """The (group, window) pairs of the span that hold something of which the marts were never made, or that has
    changed since: pulled again, settled, or with other points."""
    groups = line.by_group(settings)
    history = history_of(line, settings, groups, span)
    return [
        (group, window)
        for window in line.windows(settings, span)
        for group, points in groups.items()
        if (counting := current(history[group], window))
        and _made_from(line, settings, group, window) != _origin(points, counting)
    ]


def make_aggregates(line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval) -> list[MartResult]:
    """Aggregates of a window: Parquet beside the exports, and tables in IoTDB."""

    def build(given: marts.MartInput) -> marts.Made:
        made = marts.build_aggregates(given)
        ids = [point.id for landed in given.groups.values() for point in landed.points]
        _write_aggregates(line, settings, groups, window, made, ids)
        return made

    return _made("aggregates", build, line, settings, groups, window)


def _write_aggregates(
    line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval, made: marts.Made, ids: Sequence[str]
) -> None:
    """Into IoTDB, under a lease. What was made of these pairs counts no more before it, nor when the lease was lost."""
    whole = SliceId(settings.name, "aggregates", window)
    notes = [_note_path(line, settings, group, window, "aggregates") for group in groups]
    with line.ledger.lease(whole.source, whole.group, window, line.run_id or "ferry marts", PATIENCE_S) as lease:
        _unlink(notes)
        try:
            for interval, files in made.items():
                with lease.changing(whole, line.run_id):
                    rows = marts.for_store(file.path for file in files.values())
                    line.store.write_aggregates(settings.name, interval, rows, window, ids)
        except FerryError:
            _unlink(notes)  # also what somebody else has noted since
            raise


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def make_quality(line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval) -> list[MartResult]:
    """Quality figures of a window, Parquet."""
    return _made("quality", marts.build_quality, line, settings, groups, window)


def make_clocks(line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval) -> list[MartResult]:
    """The audit of the clocks of a window, Parquet."""
    return _made("clocks", marts.build_clocks, line, settings, groups, window)


def make_exports(line: Line, settings: SourceSettings, groups: Sequence[str], window: Interval) -> list[MartResult]:
    """Exports of a window where the plant file has them; rows of `events` and of each `aggregates_<interval>`."""
    began = time.monotonic()
    written = write_exports(line, settings, window, groups=groups).written
    seconds = (time.monotonic() - began) / len(groups)
    names = {"samples": "events", **{f"aggregates_{each}": f"aggregates_{each}" for each in marts.INTERVALS}}
    return [
        MartResult(
            group, window, {shown: written.get(group, {}).get(name, 0) for name, shown in names.items()}, seconds
        )
        for group in groups
    ]


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
    landed = inside(line, settings, groups or line.groups(settings), reach)
    into = destination or line.plant.exports_dir
    done = marts.export(
        marts.ExportInput(
            points=line.catalogue(settings),
            batches=[
                {group: landed[group] for group, _ in some}
                for some in together(line, settings, [(group, reach) for group in landed])
            ],
            span=reach,
            destination=into,
            source=settings.name,
            memory_bytes=MEMORY_BYTES,
            select=tuple(globs),
            marts=line.plant.state_dir / "marts",
            windows=line.windows(settings, reach),
            nanoseconds=nanoseconds,
            annotations=line.ledger.annotations(settings.name, reach),
        )
    )
    export_attributes(
        AttributeExport(
            source=settings.name,
            destination=into,
            version=line.ledger.attributes_version(settings.name),
            points={point.id for point in selected(line.catalogue(settings), globs)},
            read=lambda kind, take: line.ledger.attribute_values(settings.name, kind, take),
            changes=lambda: line.ledger.attribute_changes(settings.name),
        )
    )
    open_exports(line.plant, into, into.rglob("*.parquet"))
    return done


def write_report(line: Line, settings: SourceSettings, span: Interval, destination: Path | None = None) -> Path:
    """The quality report of the span, one HTML file; those made before are kept in a folder beside it."""
    from pipelines.marts.report import (  # noqa: PLC0415 - altair takes 0.6 s, and every command loads this module
        ReportContext,
        render_report,
    )

    target = destination or line.plant.state_dir / "reports" / f"{settings.name}.html"
    ahead = Interval(span.start_ns - REACH_NS, span.start_ns)
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
    build: Callable[[marts.MartInput], marts.Made],
    line: Line,
    settings: SourceSettings,
    groups: Sequence[str],
    window: Interval,
) -> list[MartResult]:
    began = time.monotonic()
    counting = history_of(line, settings, groups, window)
    landed = around(line, settings, groups, window)
    made = build(marts.MartInput(landed, window, line.plant.state_dir / "marts", MEMORY_BYTES, settings.name))
    for group in groups:
        origin = _origin(landed[group].points, current(counting[group], window))
        _remember(line, settings, group, window, name, origin)
    seconds = (time.monotonic() - began) / len(groups)
    return [
        MartResult(group, window, {file: by_group[group].rows for file, by_group in made.items()}, seconds)
        for group in groups
    ]


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
