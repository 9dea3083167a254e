"""How a run fails: one readable error, and tried again only where that can help."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from assets_defs.events import emit
from assets_defs.partitions import RANGE_END, RANGE_START, key_of
from pipelines.landing import window_label
from pipelines.plant import SourceSettings
from pipelines.points import group_label
from pipelines.ports import FerryError, Retry


def keys_or_failure(context: dg.AssetExecutionContext, settings: SourceSettings, *, grouped: bool = True) -> list[str]:
    """The partitions of this run, by window and, if `grouped`, point group. One clear error where there are none."""
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(no_partitions(settings, grouped=grouped), allow_retries=False)
    return list(context.partition_keys)


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
    except FerryError as error:
        emit({"kind": "error", "class": type(error).__name__, "message": str(error)})
        raise dg.Failure(
            str(error), metadata={"error": type(error).__name__}, allow_retries=isinstance(error, Retry)
        ) from error
