"""`ferry backfill`: moves and proves what the ledger lacks of a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source, span
from cli.outcome import PROVED, UNPROVED
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.backfill import BackfillSummary
    from assets_defs.line import Line
    from pipelines.evidence import Evidence
    from pipelines.plant import SourceSettings
    from pipelines.timeline import Interval


@click.command()
@framed
@source
@span()
@click.option("--points", "globs", metavar="GLOB", multiple=True, help="Only these points; may be given often.")
def backfill(
    session: Session, source_name: str | None, start_ns: int | None, end_ns: int | None, globs: tuple[str, ...]
) -> int:
    """Move history into IoTDB and prove it. Running it again changes nothing and goes on where it stopped."""
    from assets_defs.journal import KINDS
    from cli.annotated import annotations_json, show_annotations
    from cli.proofs import is_proved, show_counts, show_doubts
    from cli.servers import start

    settings, screen = session.source(source_name), session.screen
    asked_span = session.span(settings, start_ns, end_ns)
    with session.line() as line:
        start(session, line)
        asked = chosen_points(session, line, settings, globs)
        summary = move(session, line, settings, asked_span, globs)
        evidence = proved(session, line, settings, asked_span, asked)
        annotated = line.ledger.annotation_counts(settings.name, asked_span)
        told = line.ledger.journal_entries(settings.name, asked_span) if settings.kind in KINDS and not globs else None
    moved = f"moved {summary.events:,} events in {summary.slices:,} slices, {summary.seconds:.1f} s"
    screen.say(f"{moved}, {rate_of(summary):,.0f} events/s" if summary.slices else "nothing to do: it is all covered")
    show_counts(screen, settings.name, asked_span, evidence.found, evidence.origins)
    show_annotations(screen, annotated)
    show_doubts(screen, evidence.found)
    if told is not None:
        screen.say(f"  journal       {told:>15,} alarms and writes in the ledger, as many as the source counts")
    told_json = {"annotations": annotations_json(annotated)}
    screen.emit({**evidence.found.as_json(settings.name), **figures(summary), **told_json})
    return PROVED if is_proved(evidence.found) and not summary.problems else UNPROVED


def chosen_points(
    session: Session, line: Line, settings: SourceSettings, globs: tuple[str, ...]
) -> frozenset[str] | None:
    """Ids of the points that the globs name, None for all. Raises Stop when none is."""
    from cli.discover import known_points
    from pipelines.points import selected
    from pipelines.ports import Stop

    points = known_points(session, line, settings)
    found = selected(points, globs or ("*",))
    if not found:
        what = f"{' '.join(globs)!r} names none of its {len(points):,} points" if globs else "it shows no point"
        raise Stop(f"nothing to move of source {settings.name!r}: {what}")
    return frozenset(point.id for point in found) if globs else None


def move(
    session: Session, line: Line, settings: SourceSettings, asked: Interval, globs: tuple[str, ...]
) -> BackfillSummary:
    """Runs the backfill with its progress shown."""
    from assets_defs.backfill import backfill as run_backfill
    from cli.progress import Moving
    from pipelines.timeline import missing

    covered = [line.ledger.coverage(settings.name, group) for group in line.groups(settings)]
    gap_ns = sum(gap.length_ns for each in covered for gap in missing(asked, each))
    with Moving(session.screen, gap_ns) as moving:
        return run_backfill(line, session.plant_file.absolute(), settings, asked, globs, moving.take)


def proved(
    session: Session, line: Line, settings: SourceSettings, asked: Interval, points: frozenset[str] | None
) -> Evidence:
    """What the ledger proves of the span; recounted where its proofs do not fill the span exactly."""
    from pipelines.evidence import Evidence

    evidence = line.evidence(settings, asked, points)
    if not evidence.loose:
        return evidence
    with session.screen.busy("recounting: not all that is covered has its proof point by point in just this span"):
        catalogue = [each for each in line.catalogue(settings) if points is None or each.id in points]
        return Evidence(evidence.standings, line.verify(settings, asked, deep=False, points=catalogue))


def rate_of(summary: BackfillSummary) -> float:
    """Events moved per second of the whole backfill."""
    return summary.events / summary.seconds if summary.seconds else 0.0


def figures(summary: BackfillSummary) -> dict[str, Any]:
    """What `backfill --json` and `demo --json` add to the proof."""
    return {
        "seconds": round(summary.seconds, 3),
        "events_per_s": round(rate_of(summary), 1),
        "slices": summary.slices,
    }
