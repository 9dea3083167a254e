"""Asset checks of a source: coverage and drift of the samples. They read, and change nothing."""

import random
from collections.abc import Sequence

import dagster as dg

from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.samples import samples_key
from pipelines.ledger import Standing
from pipelines.plant import SourceSettings
from pipelines.timeline import Interval, clip, iso

_DRIFT_POINTS = 50


def build_checks(settings: SourceSettings) -> list[dg.AssetChecksDefinition]:
    """All checks of one source."""
    return [_coverage(settings), _drift(settings)]


def _coverage(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name="coverage",
        description="Everything between the first and the last covered instant is proved, for every point.",
    )
    def coverage(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with ferry.line(context.run.run_id) as line:
            span = _reach(line, settings)
            standings = line.standings(settings, span) if span else []
        gaps = [(each.group, iso(gap.start_ns), iso(gap.end_ns)) for each in standings for gap in each.gaps]
        points = [(one.point, one.reason) for each in standings for one in each.exclusions]
        waiting = sum(len(each.quarantined) for each in standings)
        return dg.AssetCheckResult(
            passed=not (gaps or points),
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(gaps)} gaps, {len({p for p, _ in points})} unproved points, {waiting} quarantined",
            metadata={
                "share_covered": dg.MetadataValue.float(_share(standings)),
                "gaps": dg.MetadataValue.md(table(["group", "from", "to"], gaps)),
                "unproved": dg.MetadataValue.md(table(["point", "reason"], sorted(set(points)))),
            },
        )

    return coverage


def _drift(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name="drift",
        description=f"Source, landing and store are counted again for {_DRIFT_POINTS} points of the newest window.",
    )
    def drift(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with ferry.line(context.run.run_id) as line:
            span = _newest(line, settings)
            if span is None:
                return dg.AssetCheckResult(passed=True, description="nothing is covered yet")
            points = line.catalogue(settings)
            drawn = random.Random(context.run.run_id).sample(  # noqa: S311 - a sample, no secret
                points, min(_DRIFT_POINTS, len(points))
            )
            found = line.verify(settings, span, deep=False, points=drawn)
        rows = [(p, w, c["source"], c["landed"], c["stored"]) for (p, w), c in sorted(found.drift.items())]
        return dg.AssetCheckResult(
            passed=not rows,
            description=f"{len(rows)} of {len(drawn)} points differ in {span}",
            metadata={
                "points": dg.MetadataValue.int(len(drawn)),
                "events": dg.MetadataValue.int(found.landed_events),
                "drift": dg.MetadataValue.md(table(["point", "window", "source", "landed", "stored"], rows)),
            },
        )

    return drift


def _reach(line: Line, settings: SourceSettings) -> Interval | None:
    """From the first to the last instant that any group has covered."""
    covered = [part for group in line.groups(settings) for part in line.ledger.coverage(settings.name, group)]
    if not covered:
        return None
    return Interval(min(part.start_ns for part in covered), max(part.end_ns for part in covered))


def _newest(line: Line, settings: SourceSettings) -> Interval | None:
    """The newest window in which every group is covered, as far as it is."""
    reach = _reach(line, settings)
    if reach is None:
        return None
    for window in reversed(line.windows(settings, reach)):
        parts = [clip(line.ledger.coverage(settings.name, group), window) for group in line.groups(settings)]
        if all(parts):
            return Interval(max(p[0].start_ns for p in parts), min(p[-1].end_ns for p in parts))
    return None


def _share(standings: Sequence[Standing]) -> float:
    return round(sum(each.share for each in standings) / len(standings), 4) if standings else 0.0
