"""Asset checks of a source: coverage and drift of the samples, good values in the quality mart. They change nothing."""

import random
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets_defs.discovery import missing_told, named
from assets_defs.failures import readable
from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.marts_assets import mart_key, tells_time
from assets_defs.reach import asked_reach, covered_reach, never_moved, newest_window
from assets_defs.samples import samples_key, source_pool
from pipelines.clocks import AHEAD
from pipelines.evidence import Standing
from pipelines.marts import CLOCKS_SCHEMA, QUALITY_SCHEMA, mart_files
from pipelines.plant import SourceSettings
from pipelines.points import point_name
from pipelines.timeline import SECOND_NS, iso
from pipelines.transfer import DRIFT, LOST

_DRIFT_POINTS = 50
_DRIFT_ROWS = 200
CLOCK_OFF_S = 2.0
FRESH = "fresh"
SWEPT = "swept"
GOOD_ENOUGH_PERCENT = 90.0
"""Below it most readers of the store would ask what is wrong with the plant."""


def build_checks(settings: SourceSettings) -> list[dg.AssetChecksDefinition]:
    """All checks of one source."""
    checks = [_coverage(settings), _drift(settings), _swept(settings), _fresh(settings), _quality(settings)]
    return [*checks, _clocks(settings)] if tells_time(settings) else checks


def report_check(instance: dg.DagsterInstance, result: dg.AssetCheckResult) -> None:
    """Shows a result that no run of the check itself has made."""
    assert result.asset_key is not None
    assert result.check_name is not None
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=result.check_name,
            passed=result.passed,
            metadata=result.metadata or {},
            description=result.description,
        )
    )


def fresh_result(line: Line, settings: SourceSettings) -> dg.AssetCheckResult:
    """How far every group that is followed is behind now."""
    known = {group: line.behind_s(to_ns) for group, to_ns in line.followed_to(settings).items()}
    lags_s = {group: float("inf") if each is None else each for group, each in known.items()}
    stale = {group: each for group, each in lags_s.items() if each > settings.sync.fresh / SECOND_NS}
    worst = max(stale, key=lambda group: stale[group], default="")
    return dg.AssetCheckResult(
        asset_key=samples_key(settings),
        check_name=FRESH,
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"{worst} is proved up to a time that has not come yet: {AHEAD}"
            if stale and known[worst] is None
            else f"{len(stale)} of {len(lags_s)} groups are behind, most {worst} by {stale[worst] / 60:,.0f} min"
            if stale
            else "every group that is followed is fresh" if lags_s else "nobody follows it yet"
        ),
        metadata={
            "behind_s": dg.MetadataValue.md(
                table(["group", "behind, s"], [(group, f"{each:,.0f}") for group, each in sorted(lags_s.items())])
            )
        },
    )  # fmt: skip


def _fresh(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name=FRESH,
        description="Every point group that is followed is at most `sync.fresh` behind the clock.",
    )
    def fresh(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with readable(), ferry.line(context.run.run_id) as line:
            return fresh_result(line, settings)

    return fresh


def swept_result(line: Line, settings: SourceSettings) -> dg.AssetCheckResult:
    """What sweeps found and nobody has mended yet."""
    reach = covered_reach(line, settings)
    every = line.ledger.exclusions(settings.name, None, reach) if reach else []
    rows = [(point_name(each.point), each.group, str(each.span)) for each in every if each.reason in (DRIFT, LOST)]
    strangers, names = never_moved(line, settings)
    return dg.AssetCheckResult(
        asset_key=samples_key(settings),
        check_name=SWEPT,
        passed=not rows and not strangers,
        description=f"{len({point for point, _, _ in rows})} points have drifted since they were proved; IoTDB holds "
        f"events of {strangers} points that were never moved" + (f": {named(names)}" if names else ""),
        metadata={"drift": dg.MetadataValue.md(table(["point", "group", "span"], rows[:_DRIFT_ROWS]))},
    )


def _swept(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name=SWEPT,
        description="No sweep has found settled history that the source or IoTDB no longer tells as it was moved.",
    )
    def swept(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with readable(), ferry.line(context.run.run_id) as line:
            return swept_result(line, settings)

    return swept


def _coverage(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name="coverage",
        description="Everything that the plant file asks for and that is final is proved, for every point.",
    )
    def coverage(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with readable(), ferry.line(context.run.run_id) as line:
            span = asked_reach(line, settings)
            standings = line.standings(settings, span) if span else []
            missing = missing_told(line, settings)
        gaps = [(each.group, iso(gap.start_ns), iso(gap.end_ns)) for each in standings for gap in each.gaps]
        points = sorted({(point_name(one.point), one.reason) for each in standings for one in each.exclusions})
        waiting = [(each.group, str(part)) for each in standings for part in each.quarantined]
        unproved = len({point for point, _ in points})
        events = sum(each.proved_events for each in standings)
        return dg.AssetCheckResult(
            passed=bool(standings) and not (gaps or points or waiting or missing),
            severity=dg.AssetCheckSeverity.WARN,
            description=(
                f"{_share(standings):.2%} of {span} is covered, {events:,} events are proved; {len(gaps)} gaps, "
                f"{unproved} unproved points, {len(waiting)} spans in quarantine"
                if events or _share(standings)
                else "nothing is covered yet"
            )
            + (f". {missing}" if missing else ""),
            metadata={
                "share_covered": dg.MetadataValue.float(round(_share(standings), 6)),
                "proved_events": dg.MetadataValue.int(events),
                "gaps": dg.MetadataValue.md(table(["group", "from", "to"], gaps)),
                "unproved": dg.MetadataValue.md(table(["point", "reason"], points)),
                "quarantined": dg.MetadataValue.md(table(["group", "span"], waiting)),
            },
        )

    return coverage


def _drift(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=samples_key(settings),
        name="drift",
        description=f"Source, landing and IoTDB are counted again for {_DRIFT_POINTS} points of the newest window.",
        pool=source_pool(settings),
    )
    def drift(context: dg.AssetCheckExecutionContext, ferry: FerryResource) -> dg.AssetCheckResult:
        with readable(), ferry.line(context.run.run_id) as line:
            span = newest_window(line, settings)
            if span is None:
                return dg.AssetCheckResult(passed=True, description="nothing is covered yet")
            points = line.catalogue(settings)
            drawn = random.Random(context.run.run_id).sample(  # noqa: S311 - a sample, no secret
                points, min(_DRIFT_POINTS, len(points))
            )
            found = line.verify(settings, span, deep=False, points=drawn)
        rows = [(found.name_of(p), w, *c.values()) for (p, w), c in sorted(found.drift.items())]
        return dg.AssetCheckResult(
            passed=not (rows or found.damaged),
            description=f"{len(rows)} of {len(drawn)} points differ in {span}"
            + (f"; {len(found.damaged)} landed files are damaged" if found.damaged else ""),
            metadata={
                "points": dg.MetadataValue.int(len(drawn)),
                "events": dg.MetadataValue.int(found.landed_events),
                "drift": dg.MetadataValue.md(table(["point", "window", "source", "landed", "IoTDB"], rows)),
                "damaged": dg.MetadataValue.md(table(["damaged file"], [(each,) for each in found.damaged])),
            },
        )

    return drift


def _quality(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=mart_key(settings, "quality"),
        name="quality",
        description=f"At least {GOOD_ENOUGH_PERCENT:.0f} % of the events are good, over all that the mart holds.",
    )
    def quality(ferry: FerryResource) -> dg.AssetCheckResult:
        files = mart_files(ferry.plant().state_dir / "marts", "quality", settings.name)
        columns = ["point", "events", "bad", "uncertain"]
        empty = QUALITY_SCHEMA.empty_table().select(columns)
        figures = pa.concat_tables([empty, *(pq.ParquetFile(file).read(columns) for file in files)])
        events, good = (int(pc.sum(column).as_py() or 0) for column in (figures["events"], _good(figures)))
        share = 100.0 * good / events if events else 100.0
        return dg.AssetCheckResult(
            passed=share >= GOOD_ENOUGH_PERCENT,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{share:.2f} % of {events:,} events are good" if events else "the mart holds no events yet",
            metadata={
                "percent_good": dg.MetadataValue.float(round(share, 4)),
                "events": dg.MetadataValue.int(events),
                "worst": dg.MetadataValue.md(table(["point", "events", "percent good"], _worst(figures))),
            },
        )

    return quality


def _clocks(settings: SourceSettings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=mart_key(settings, "clocks"),
        name="clocks",
        description=f"On its newest day no clock was more than {CLOCK_OFF_S:g} s off, and no server's jumped.",
    )
    def clocks(ferry: FerryResource) -> dg.AssetCheckResult:
        files = mart_files(ferry.plant().state_dir / "marts", "clocks", settings.name)
        figures = pa.concat_tables([CLOCKS_SCHEMA.empty_table(), *(pq.ParquetFile(file).read() for file in files)])
        newest = {row["point"]: row for row in figures.sort_by("time").to_pylist()}
        off = [row for row in newest.values() if _is_off(row)]
        columns = ["least_s", "most_s", "drift_s_per_day", "jumps"]
        rows = [(point_name(row["point"]), *(f"{row[name]:.3g}" for name in columns)) for row in newest.values()]
        return dg.AssetCheckResult(
            passed=not off,
            severity=dg.AssetCheckSeverity.WARN,
            description=(
                f"{', '.join(sorted(point_name(row['point']) for row in off))} cannot be relied on"
                if off
                else f"{len(newest)} clocks go with the collector's"
            ),
            metadata={"clocks": dg.MetadataValue.md(table(["clock", *columns], sorted(rows)))},
        )

    return clocks


def _is_off(row: dict[str, Any]) -> bool:
    """A source that tells little looks late, though its clock is right: only that it is ahead is sure."""
    server = row["point"].endswith(".server")
    return bool(row["most_s"] > CLOCK_OFF_S or (server and (row["least_s"] < -CLOCK_OFF_S or row["jumps"] > 0)))


def _good(figures: pa.Table) -> pa.ChunkedArray:
    return pc.subtract(pc.subtract(figures["events"], figures["bad"]), figures["uncertain"])


def _worst(figures: pa.Table, most: int = 10) -> list[tuple[str, str, str]]:
    """The points with the smallest share of good events, those without a doubtful event left out."""
    summed = (
        figures.append_column("good", _good(figures)).group_by("point").aggregate([("events", "sum"), ("good", "sum")])
    )
    rows = [
        (100.0 * row["good_sum"] / row["events_sum"], row["point"], row["events_sum"])
        for row in summed.to_pylist()
        if row["good_sum"] < row["events_sum"]
    ]
    return [(point_name(point), f"{events:,}", f"{share:.1f}") for share, point, events in sorted(rows)[:most]]


def _share(standings: Sequence[Standing]) -> float:
    return sum(each.share for each in standings) / len(standings) if standings else 0.0
