"""How a run fails: one readable error, and tried again only where that can help."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from assets_defs.events import emit
from assets_defs.partitions import PARTITION, RANGE_END, RANGE_START, key_of
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.points import group_label
from pipelines.ports import FerryError, Retry
from resources.foreign import meaning_of


def keys_or_failure(context: dg.AssetExecutionContext, settings: SourceSettings, *, grouped: bool = True) -> list[str]:
    """The partitions that this run was asked for, by window and, if `grouped`, point group.

    A range is its rectangle, though Dagster takes it for one partition where the dimensions of one stand beside it.
    One clear error, not to be tried again, where none are named, where they do not exist, or where the tags name two
    different things. (A range beside `dagster/partition`, and half a range, are refused by Dagster itself.)
    """
    tags = context.run.tags
    if not {RANGE_START, PARTITION} & set(tags):
        raise dg.Failure(no_partitions(settings, grouped=grouped), allow_retries=False)
    first, last = (tags[RANGE_START], tags[RANGE_END]) if RANGE_START in tags else (tags[PARTITION], tags[PARTITION])
    partitions = context.assets_def.partitions_def
    assert partitions is not None
    exist = partitions.has_partition_key(first) and partitions.has_partition_key(last)
    keys = list(partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))) if exist else []
    if not keys:
        raise _refusal(f"there are no partitions from {first} to {last}")
    beside = "|".join(tags[name] for name in sorted(tags) if name.startswith(f"{PARTITION}/"))
    if beside and beside not in keys:  # and Dagster would mark it as materialized
        raise _refusal(f"its tags name {beside}, too, which is not among {first} to {last}")
    return keys


def _refusal(why: str) -> dg.Failure:
    message = (
        f"Nothing was done, for it is not clear which partitions this run was asked for: {why}. Launch it again from "
        f"the asset's page, or with the tags {RANGE_START} and {RANGE_END} alone."
    )
    emit({"kind": "error", "class": "Stop", "message": message})
    return dg.Failure(message, allow_retries=False)


def no_partitions(settings: SourceSettings, *, grouped: bool = True) -> str:
    """What to say to somebody who launched a job without saying over which windows."""
    windows = settings.windows(time.time_ns())
    if grouped:
        first, last = key_of(group_label(0), windows[0]), key_of(group_label(settings.point_groups - 1), windows[-1])
    else:
        first, last = window_label(windows[0]), window_label(windows[-1])
    tags = json.dumps({RANGE_START: first, RANGE_END: last})
    message = (
        "No partitions were chosen. In the UI choose them when materializing; on the command line add --tags "
        f"'{tags}' (everything between both, ends included), or use "
        f"`ferry backfill --source {settings.name} --start … --end …`."
    )
    emit({"kind": "error", "class": "Stop", "message": message})
    return message


@contextmanager
def readable() -> Iterator[None]:
    """Turns the product's errors into one readable Failure; only transient ones may be tried again."""
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        meant = meaning_of(error)
        if meant is None:
            raise
        tell_error(meant)
        raise dg.Failure(
            str(meant), metadata={"error": type(meant).__name__}, allow_retries=isinstance(meant, Retry)
        ) from error


def tell_error(error: FerryError) -> None:
    """Tells whoever started this process what its run ended with."""
    emit({"kind": "error", "class": type(error).__name__, "message": str(error)})
