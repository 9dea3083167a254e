"""The `journal` asset of a source that tells alarms and operators' writes: one partition a window."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets_defs.events import emit
from assets_defs.failures import keys_or_failure, readable
from assets_defs.ferry_resource import FerryResource
from assets_defs.instance import mark_process
from assets_defs.line import Line
from assets_defs.partitions import window_of, windows_of
from assets_defs.samples import source_pool
from pipelines.landing import window_label
from pipelines.marts.journal import export_journal
from pipelines.plant import SourceSettings
from pipelines.ports import Retry
from pipelines.timeline import Interval, days

KINDS = frozenset({"wonderware"})
"""Kinds of sources that tell a journal."""


@dataclass(frozen=True, slots=True)
class JournalResult:
    """A window's journal: what the source counted, what stands in the ledger of it, and how many alarms began."""

    counted: int
    entries: int
    alarms: int

    @property
    def proved(self) -> bool:
        return self.counted == self.entries


def journal_key(settings: SourceSettings) -> dg.AssetKey:
    """The asset's key."""
    return dg.AssetKey([settings.name, "journal"])


def build_journal(settings: SourceSettings) -> dg.AssetsDefinition:
    """The asset of one source."""

    @dg.asset(
        key=journal_key(settings),
        partitions_def=windows_of(settings),
        backfill_policy=dg.BackfillPolicy.multi_run(31),
        pool=source_pool(settings),
        group_name=settings.name,
        kinds={"postgres", "parquet"},
        description=f"Alarms and operators' writes of `{settings.name}`, in the ledger's database and as Parquet.",
    )
    def journal(context: dg.AssetExecutionContext, ferry: FerryResource) -> None:
        mark_process(context)
        keys = keys_or_failure(context, settings, grouped=False)
        differing = []
        with readable(), ferry.line(context.run.run_id) as line:
            for key in keys:
                window = window_of(settings, key)
                found = move_journal(line, settings, window)
                context.add_asset_metadata(_metadata(found), partition_key=key)
                emit({"kind": "journal", "window": window_label(window), "entries": found.entries})
                if not found.proved:
                    differing.append(f"{key}: the source counts {found.counted}, {found.entries} stand in the ledger")
            if differing:
                raise Retry(f"journal of {settings.name}: {'; '.join(differing)}", after_s=60.0)

    return journal


def move_journal(line: Line, settings: SourceSettings, window: Interval) -> JournalResult:
    """Reads a window's journal, as far as it is final, compares it with the source's count and exports its days.

    Raises Retry, Stop, NoRoom.
    """
    span = line.wanted(settings, window)
    if span is None:
        return JournalResult(0, 0, 0)
    counted, kept = line.read_journal(settings, span)
    if counted != kept:  # it may have grown in between
        counted, kept = line.read_journal(settings, span)
    whole = days(span)
    reach = Interval(whole[0].start_ns, whole[-1].end_ns)
    alarms = line.ledger.alarms(settings.name, reach)
    entries = line.ledger.journal(settings.name, reach)
    export_journal(entries, alarms, reach, line.plant.exports_dir, settings.name)
    line.ledger.compare_journal(settings.name, span, counted, kept)
    return JournalResult(counted, kept, len(alarms))


def open_windows(line: Line, settings: SourceSettings, span: Interval) -> list[Interval]:
    """Windows of the span whose journal was not read since they settled, or not as the source counts it."""
    wanted = line.wanted(settings, span)
    if settings.kind not in KINDS or wanted is None:
        return []
    parts = {window: window.intersect(wanted) for window in line.windows(settings, wanted)}
    return [
        window
        for window, part in parts.items()
        if part and not line.ledger.journal_closed(settings.name, part, part.end_ns + settings.lateness)
    ]


def _metadata(found: JournalResult) -> dict[str, dg.MetadataValue[Any]]:
    return {
        "dagster/row_count": dg.MetadataValue.int(found.entries),
        "entries": dg.MetadataValue.int(found.entries),
        "counted_at_the_source": dg.MetadataValue.int(found.counted),
        "alarms_begun": dg.MetadataValue.int(found.alarms),
    }
