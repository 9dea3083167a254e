"""Partitions of a source: window × point_group. Fine grain lives in the ledger."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import dagster as dg

from pipelines.landing import window_label
from pipelines.plant import PARTITIONS_MAX, SourceSettings
from pipelines.points import group_label
from pipelines.ports import Stop
from pipelines.timeline import Interval, days, months, parse, to_datetime

WINDOW, GROUP = "window", "point_group"
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_FORMAT = "%Y-%m-%d"
_CRON = {"month": "0 0 1 * *", "day": "0 0 * * *"}
_MEAN_NS = {"month": 30 * 86_400 * 10**9, "day": 86_400 * 10**9}
_WARN_ABOVE = 25_000


class WindowGroups(dg.MultiPartitionsDefinition):
    """Window × point_group; a run of one partition is tagged with its key and not with the dimensions beside it.

    A backfill from a job's page puts the dimensions of its first partition on all of its range runs, and Dagster then
    takes each run for that one partition (dagster-io/dagster#28861).
    """

    def get_tags_for_partition_key(self, partition_key: str) -> Mapping[str, str]:
        """The key alone, from which everything else follows."""
        return {PARTITION: partition_key}


def windows_of(settings: SourceSettings) -> dg.TimeWindowPartitionsDefinition:
    """The windows of one source alone."""
    cut = months if settings.window == "month" else days
    first = cut(Interval(settings.start, settings.start + 1))[0]
    end = None if settings.end is None else cut(Interval(settings.end - 1, settings.end))[0].end_ns
    return dg.TimeWindowPartitionsDefinition(
        start=to_datetime(first.start_ns),
        end=None if end is None else to_datetime(end),
        fmt=_FORMAT,
        cron_schedule=_CRON[settings.window],
        timezone="UTC",
        end_offset=1 + -(-settings.horizon // _MEAN_NS[settings.window]) if end is None else 0,
    )


def partitions_of(settings: SourceSettings, now_ns: int) -> WindowGroups:
    """The two dimensions of one source. Raises Stop above 100,000 keys (facts/models.md, section 5)."""
    windows = windows_of(settings)
    groups = dg.StaticPartitionsDefinition([group_label(index) for index in range(settings.point_groups)])
    keys = settings.point_groups * len(settings.windows(now_ns))
    if keys > PARTITIONS_MAX:
        raise Stop(
            f"source {settings.name!r} would have {keys:,} partitions, above {PARTITIONS_MAX:,}: use window = "
            '"month", fewer point_groups, or a later start'
        )
    if keys > _WARN_ABOVE:
        warnings.warn(f"source {settings.name!r} has {keys:,} partitions; the UI is slow above 25,000", stacklevel=2)
    return WindowGroups({WINDOW: windows, GROUP: groups})


def key_of(group: str, window: Interval) -> str:
    """The partition key of a pair, as Dagster writes it: dimensions in alphabetical order."""
    return f"{group}|{window_label(window)}"


def multi_key(group: str, window: Interval) -> dg.MultiPartitionKey:
    """The same key with its dimensions, which an event that we write ourselves needs to be found by either."""
    return dg.MultiPartitionKey({GROUP: group, WINDOW: window_label(window)})


def window_of(settings: SourceSettings, label: str) -> Interval:
    """The window behind its partition key."""
    start_ns = parse(label)
    return (months if settings.window == "month" else days)(Interval(start_ns, start_ns + 1))[0]


def pairs_of(keys: Iterable[str], settings: SourceSettings) -> list[tuple[str, Interval]]:
    """Partition keys → (group, window), windows outermost, in time order."""
    pairs = []
    for key in keys:
        group, label = key.split("|")
        pairs.append((group, window_of(settings, label)))
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))
