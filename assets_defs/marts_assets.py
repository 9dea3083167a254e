"""What is made of the samples: aggregates, quality figures and exports by window and point group, and the report."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets_defs.automation import follows_marts, follows_samples
from assets_defs.events import emit
from assets_defs.failures import keys_or_failure, readable
from assets_defs.ferry_resource import FerryResource
from assets_defs.instance import mark_process
from assets_defs.landed import Pair, together
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.marts_line import (
    MartResult,
    make_aggregates,
    make_clocks,
    make_exports,
    make_quality,
    write_report,
)
from assets_defs.partitions import pairs_of, partitions_of
from assets_defs.reach import covered_reach
from assets_defs.samples import WINDOWS_PER_RUN, samples_key
from assets_defs.window_events import WindowEvents
from pipelines.landing import DamagedLanding, window_label
from pipelines.plant import SourceSettings
from pipelines.ports import Stop
from pipelines.timeline import Interval

_AT_ONCE = 2
"""Batches that are made beside each other, each with MEMORY_BYTES: some of the work waits for IoTDB and files."""
_COUNTED = {"quality": "quality", "exports": "events", "clocks": "clocks"}
"""The table of a mart whose rows Dagster shows as the asset's."""
Make = Callable[[Line, SourceSettings, Sequence[str], Interval], list[MartResult]]


def mart_key(settings: SourceSettings, name: str) -> dg.AssetKey:
    """The key of `aggregates`, `quality`, `exports` or `report` of a source."""
    return dg.AssetKey([settings.name, name])


def build_marts(settings: SourceSettings) -> list[dg.AssetsDefinition]:
    """The partitioned assets of one source: three, and the audit of clocks where its servers tell the time."""
    made = [
        _mart(settings, "aggregates", make_aggregates, "1-minute, 1-hour and 1-day aggregates, in Parquet and IoTDB."),
        _mart(settings, "quality", make_quality, "Quality figures a point and day: gaps, stuck runs, bad states."),
        _mart(
            settings, "exports", make_exports, "Events and aggregates as Parquet with names and units.", "aggregates"
        ),
    ]
    if tells_time(settings):
        made.append(_mart(settings, "clocks", make_clocks, "Offset, drift and jumps of clocks, a day."))
    return made


def tells_time(settings: SourceSettings) -> bool:
    """Whether clocks of the source are told: those of PLCs behind OPC UA."""
    return any(each.opc_ua for each in settings.connection)


def build_report(settings: SourceSettings) -> dg.AssetsDefinition:
    """The quality report, one file over all that is covered."""

    @dg.asset(
        key=mart_key(settings, "report"),
        deps=[mart_key(settings, "quality"), mart_key(settings, "aggregates")],
        automation_condition=follows_marts(),
        group_name=settings.name,
        kinds={"html"},
        description=f"The quality report of `{settings.name}`: one HTML file over everything that is covered.",
    )
    def report(context: dg.AssetExecutionContext, ferry: FerryResource) -> dg.MaterializeResult[Any]:
        mark_process(context)
        with readable(), ferry.line(context.run.run_id) as line:
            span = covered_reach(line, settings)
            if span is None:
                raise Stop(f"nothing of source {settings.name!r} is covered yet: materialize its samples first")
            path = write_report(line, settings, span)
        return dg.MaterializeResult(metadata=report_metadata(span, path))

    return report


def report_metadata(span: Interval, path: Path) -> dict[str, dg.MetadataValue[Any]]:
    """What a materialization of the report says, whoever wrote it."""
    return {
        "report": dg.MetadataValue.path(path),
        "span": dg.MetadataValue.text(str(span)),
        "written": dg.MetadataValue.timestamp(dt.datetime.now(dt.UTC)),
    }


def _mart(settings: SourceSettings, name: str, make: Make, description: str, *after: str) -> dg.AssetsDefinition:
    key = mart_key(settings, name)
    upstream = [samples_key(settings), *(mart_key(settings, each) for each in after)]

    @dg.asset(
        key=key,
        deps=[dg.AssetDep(each, partition_mapping=dg.IdentityPartitionMapping()) for each in upstream],
        partitions_def=partitions_of(settings, time.time_ns()),
        automation_condition=follows_samples(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.point_groups * WINDOWS_PER_RUN[settings.window]),
        group_name=settings.name,
        kinds={"duckdb", "parquet", *({"iotdb"} if name == "aggregates" else ())},
        description=f"{description} Made from the landing alone; the source is not asked.",
    )
    def mart(context: dg.AssetExecutionContext, ferry: FerryResource) -> None:
        mark_process(context)
        pairs = pairs_of(keys_or_failure(context, settings), settings)
        with WindowEvents(context, key, pairs) as events, ferry.line(context.run.run_id) as line:

            def make_some(some: Sequence[Pair]) -> list[MartResult]:
                return make(line, settings, [group for group, _ in some], some[0][1])

            for pair, outcome in _each(make_some, list(together(line, settings, pairs))):
                try:
                    made = outcome()
                except DamagedLanding as error:
                    events.failed(pair, [str(error)])
                    continue
                events.through(pair, _metadata(name, made))
                _done(name, made)

    return mart


def _each(
    work: Callable[[Sequence[Pair]], list[MartResult]], batches: Sequence[Sequence[Pair]]
) -> Iterator[tuple[Pair, Callable[[], MartResult]]]:
    """What became of each pair, in order: the first batch alone, which opens what all use, then two at a time.

    Where a landed file of a batch is damaged its pairs are made one by one, so that the others go on.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        begun: list[Future[list[MartResult]]] = []
        try:
            begun += [pool.submit(work, some) for some in batches[:1]]
            wait(begun)
            begun += [pool.submit(work, some) for some in batches[1:]]
            for some, future in zip(batches, begun, strict=True):
                if len(some) > 1 and isinstance(future.exception(), DamagedLanding):
                    for pair in some:
                        yield pair, partial(_only, work, pair)
                else:
                    for place, pair in enumerate(some):
                        yield pair, partial(_result, future, place)
        finally:
            for future in begun:
                future.cancel()


def _only(work: Callable[[Sequence[Pair]], list[MartResult]], pair: Pair) -> MartResult:
    [made] = work([pair])
    return made


def _result(future: Future[list[MartResult]], place: int) -> MartResult:
    return future.result()[place]


def _done(name: str, made: MartResult) -> None:
    emit(
        {
            "kind": "mart", "mart": name, "group": made.group, "window": window_label(made.window),
            "rows": made.rows, "seconds": made.seconds,
        }
    )  # fmt: skip


def _metadata(name: str, made: MartResult) -> dict[str, dg.MetadataValue[Any]]:
    """The row count is of one table only: rows of a minute and of an hour are not to be added."""
    counted = made.rows.get(_COUNTED.get(name, ""))
    return {
        **({} if counted is None else {"dagster/row_count": dg.MetadataValue.int(counted)}),
        "rows": dg.MetadataValue.md(table(["what", "rows"], [(what, f"{n:,}") for what, n in made.rows.items()])),
        "seconds": dg.MetadataValue.float(round(made.seconds, 3)),
    }
