"""How a run fails: one readable error, and tried again only where that can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from assets_defs.events import emit
from pipelines.ports import FerryError, Retry, Stop


def keys_or_failure(context: dg.AssetExecutionContext) -> list[str]:
    """The partitions of this run. One clear error for a run that was launched without any."""
    if not (context.has_partition_key or context.has_partition_key_range):
        error = Stop(
            "No partitions were chosen. In the UI choose them when materializing; on the command line give the tags "
            '{"dagster/asset_partition_range_start": "g000|2026-01-01", "dagster/asset_partition_range_end": '
            '"g007|2026-01-31"} (point group and window, both ends are included), or use `ferry backfill --start … '
            "--end …`."
        )
        emit({"kind": "error", "class": "Stop", "message": str(error)})
        raise dg.Failure(str(error), allow_retries=False)
    return list(context.partition_keys)


@contextmanager
def readable() -> Iterator[None]:
    """Turns the product's errors into one readable Failure; only transient ones may be tried again."""
    try:
        yield
    except FerryError as error:
        raise dg.Failure(
            str(error), metadata={"error": type(error).__name__}, allow_retries=isinstance(error, Retry)
        ) from error
