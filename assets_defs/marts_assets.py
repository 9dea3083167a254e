"""What is made of the samples: aggregates, quality figures and exports, one partition a window and point group."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg

from assets_defs.events import emit
from assets_defs.failures import failures, keys_or_failure
from assets_defs.ferry_resource import FerryResource
from assets_defs.line import Line
from assets_defs.markdown import table
from assets_defs.marts_line import MartResult, make_aggregates, make_quality, write_exports
from assets_defs.partitions import key_of, pairs_of, partitions_of
from assets_defs.samples import WINDOWS_PER_RUN, samples_key
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.timeline import Interval

Make = Callable[[Line, SourceSettings, str, Interval], MartResult]


def build_marts(settings: SourceSettings) -> list[dg.AssetsDefinition]:
    """The three assets of one source."""
    return [
        _mart(settings, "aggregates", make_aggregates, "1-minute, 1-hour and 1-day aggregates, in Parquet and IoTDB."),
        _mart(settings, "quality", make_quality, "Quality figures a point and day: gaps, stuck runs, bad states."),
        _mart(settings, "exports", _exported, "The events themselves as Hive-style Parquet with names and units."),
    ]


def _exported(line: Line, settings: SourceSettings, group: str, window: Interval) -> MartResult:
    began = time.monotonic()
    made = write_exports(line, settings, window, groups=[group])
    return MartResult(group, window, {"events": made.rows, "files": len(made.paths)}, time.monotonic() - began)


def _mart(settings: SourceSettings, name: str, make: Make, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([settings.name, name]),
        deps=[samples_key(settings)],
        partitions_def=partitions_of(settings, time.time_ns()),
        backfill_policy=dg.BackfillPolicy.multi_run(settings.point_groups * WINDOWS_PER_RUN[settings.window]),
        group_name=settings.name,
        kinds={"duckdb", "parquet"},
        description=f"{description} Made from the landing alone; the source is not asked.",
    )
    def mart(context: dg.AssetExecutionContext, ferry: FerryResource) -> None:
        keys = keys_or_failure(context)
        with failures(context), ferry.line(context.run_id) as line:
            for group, window in pairs_of(keys, settings):
                made = make(line, settings, group, window)
                context.add_asset_metadata(_metadata(made), partition_key=key_of(group, window))
                _done(name, [made])

    return mart


def _done(name: str, made: Iterable[MartResult]) -> None:
    for each in made:
        emit(
            {
                "kind": "mart", "mart": name, "group": each.group, "window": window_label(each.window),
                "rows": each.rows, "seconds": each.seconds,
            }
        )  # fmt: skip


def _metadata(made: MartResult) -> dict[str, dg.MetadataValue[Any]]:
    return {
        "dagster/row_count": dg.MetadataValue.int(sum(made.rows.values())),
        "rows": dg.MetadataValue.md(table(["what", "rows"], [(what, f"{n:,}") for what, n in made.rows.items()])),
        "seconds": dg.MetadataValue.float(round(made.seconds, 3)),
    }
